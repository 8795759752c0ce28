// Has no buffer for its configuration.
#define OWN_BUFFER
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_buffer) void *weft_buffer(u32 size) { return 0; }

EXPORT(weft_init) i64 weft_init(void *config, u32 length) { return 0; }
