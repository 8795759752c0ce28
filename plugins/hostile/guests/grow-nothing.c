// Grows its memory by nothing, over and over.
#include "weft.h"

static void poison(record *r) {
  for (;;) sink = __builtin_wasm_memory_grow(0, 0);
}
