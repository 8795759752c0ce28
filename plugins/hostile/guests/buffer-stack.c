// Hands out a buffer that begins at address 8, where its own stack and data lie.
#define OWN_BUFFER
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_buffer) void *weft_buffer(u32 size) { return (void *)8; }
