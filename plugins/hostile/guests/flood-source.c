// Asks over and over where sessions come from.
#define ABI_1_1
#include "weft.h"

IMPORT(filter_source) u64 filter_source(u64 session, void *to, u32 room);

static char address[64];

static void poison(record *r) {
  for (u64 n = 0;; n++) sink = filter_source(n, address, sizeof address);
}
