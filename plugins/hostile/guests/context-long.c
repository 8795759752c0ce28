// Changes the context to a block of 5 KiB.
#include "weft.h"

static void poison(record *r) {
  r->changes = CONTEXT;
  r->context = text("\1\0\0\24k", 5 + (20 << 8));
}
