// Blocks one source after another, over and over.
#define ABI_1_1
#include "weft.h"

IMPORT(filter_block) u32 filter_block(const void *source, u32 length, u64 ttl);

static char source[] = "10.100.100.100";

static void poison(record *r) {
  for (u32 n = 0;; n++) {
    for (u32 digit = 0; digit < 3; digit++) source[3 + 4 * digit + 1] = '0' + (n >> 3 * digit & 7);
    sink = filter_block(source, sizeof source - 1, 1000);
  }
}
