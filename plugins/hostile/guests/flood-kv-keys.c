// Fills its namespace with keys, and goes on when it is full.
#include "weft.h"

IMPORT(kv_set) u32 kv_set(const void *key, u32 key_length, const void *value, u32 value_length, i64 ttl);

static void poison(record *r) {
  static u32 n;
  for (;;) {
    n++;
    sink = kv_set(&n, 4, "x", 1, 0);
  }
}
