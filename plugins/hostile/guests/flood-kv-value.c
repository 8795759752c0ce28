// Sets one key to a value of a MiB, over and over.
#include "weft.h"

IMPORT(kv_set) u32 kv_set(const void *key, u32 key_length, const void *value, u32 value_length, i64 ttl);

static void poison(record *r) {
  for (;;) sink = kv_set("k", 1, input, sizeof input, 0);
}
