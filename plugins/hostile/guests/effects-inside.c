// Lets its effects lie over its records, each one over the half of another.
#include "weft.h"

static void poison(record *r) {
  r->effects = (span){(u32)r - 32, 64};
}
