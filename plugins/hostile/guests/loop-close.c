// Loops for ever on every session that has ended.
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_on_close) u32 weft_on_close(record *records, u32 count) {
  for (;;) sink++;
}
