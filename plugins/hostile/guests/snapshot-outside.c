// Hands out a state that does not lie in its memory.
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_snapshot) i64 weft_snapshot(void) { return (i64)0xfffffff0 << 32 | 0x20; }

EXPORT(weft_restore) i64 weft_restore(void *state, u32 length) { return 0; }
