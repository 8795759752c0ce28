// Hands out a state, and loops for ever when it is given one.
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_snapshot) i64 weft_snapshot(void) { return (i64)(u32)input << 32 | 16; }

EXPORT(weft_restore) i64 weft_restore(void *state, u32 length) {
  for (;;) sink++;
}
