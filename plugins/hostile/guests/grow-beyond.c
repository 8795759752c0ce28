// Asks for 65,535 pages at once, over and over, whatever the answer is.
#include "weft.h"

static void poison(record *r) {
  for (;;) sink = __builtin_wasm_memory_grow(0, 65535);
}
