// Loops for ever when it is asked for its state.
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_snapshot) i64 weft_snapshot(void) {
  for (;;) sink++;
}

EXPORT(weft_restore) i64 weft_restore(void *state, u32 length) { return 0; }
