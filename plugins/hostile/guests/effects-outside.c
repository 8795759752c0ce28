// Points to effects that do not lie in its memory.
#include "weft.h"

static void poison(record *r) {
  r->effects = (span){0xffffffc0, 2};
}
