// Grows its memory until it gets no more and writes to every page; then it goes on
// as if nothing had been.
#include "weft.h"

static void poison(record *r) {
  u32 page = __builtin_wasm_memory_size(0);
  while (__builtin_wasm_memory_grow(0, 1) != (__SIZE_TYPE__)-1) *(volatile u8 *)(page++ << 16) = 1;
}
