// Changes the attributes to a block whose value leads out of it.
#include "weft.h"

static void poison(record *r) {
  r->changes = ATTRIBUTES;
  r->attributes = text("\1\0\377\377k", 5);
}
