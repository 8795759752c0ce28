// Reads a value of 900 KiB, over and over.
#include "weft.h"

IMPORT(kv_set) u32 kv_set(const void *key, u32 key_length, const void *value, u32 value_length, i64 ttl);
IMPORT(kv_get) i64 kv_get(const void *key, u32 key_length, void *at, u32 capacity);

static void poison(record *r) {
  sink = kv_set("k", 1, input, 900 << 10, 0);
  for (;;) sink = kv_get("k", 1, input, sizeof input);
}
