// Writes into the reserved bytes of its record.
#include "weft.h"

static void poison(record *r) {
  r->reserved[7] = 1;
}
