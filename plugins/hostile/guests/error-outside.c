// Refuses its configuration with a text that does not lie in its memory.
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_init) i64 weft_init(void *config, u32 length) { return (i64)0xfffffff0 << 32 | 0x20; }
