// Behaves until its 10,000th message, and loops for ever from then on.
#include "weft.h"

static u32 seen;

static void poison(record *r) {
  if (++seen < 10000) return;
  for (;;) sink++;
}
