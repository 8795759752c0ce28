// Loops for ever when it is asked for its buffer.
#define OWN_BUFFER
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_buffer) void *weft_buffer(u32 size) {
  for (;;) sink++;
}
