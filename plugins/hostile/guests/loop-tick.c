// Loops for ever on every tick.
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_on_tick) u32 weft_on_tick(record *records, u32 count) {
  for (;;) sink++;
}
