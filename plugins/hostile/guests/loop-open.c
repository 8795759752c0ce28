// Loops for ever on every session that begins.
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_on_open) u32 weft_on_open(record *records, u32 count) {
  for (;;) sink++;
}
