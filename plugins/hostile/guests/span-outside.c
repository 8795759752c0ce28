// Points to a payload that begins in its memory and ends outside.
#include "weft.h"

static void poison(record *r) {
  r->changes = PAYLOAD;
  r->payload = (span){(u32)__builtin_wasm_memory_size(0) * 65536 - 8, 16};
}
