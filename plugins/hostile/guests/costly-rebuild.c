// Takes 10 ms to begin with and traps on every message with an exclamation mark: what it
// costs its neighbours is not the trap but the new instance after it.
#include "weft.h"

static void poison(record *r) { __builtin_trap(); }

EXPORT(weft_init) i64 weft_init(void *config, u32 length) {
  for (u32 n = 0; n < 2000000; n++) sink = n;
  return 0;
}
