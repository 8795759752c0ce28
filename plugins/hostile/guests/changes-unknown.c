// Sets bits in changes that do not exist.
#include "weft.h"

static void poison(record *r) {
  r->changes = 1u << 31;
}
