// Writes a log line of 8 KiB, over and over.
#include "weft.h"

IMPORT(log) void weft_log(u32 level, const void *text, u32 length);

static void poison(record *r) {
  for (;;) weft_log(3, input, 8 << 10);
}
