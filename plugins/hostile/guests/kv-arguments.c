// Hands the key-value store pointers and lengths that lead out of its memory, wrap
// around the address space, or are longer than a key may be.
#include "weft.h"

IMPORT(kv_set) u32 kv_set(const void *key, u32 key_length, const void *value, u32 value_length, i64 ttl);
IMPORT(kv_get) i64 kv_get(const void *key, u32 key_length, void *at, u32 capacity);
IMPORT(kv_cas) i64 kv_cas(const void *key, u32 key_length, i64 revision, const void *value, u32 value_length, i64 ttl);
IMPORT(kv_add) i64 kv_add(const void *key, u32 key_length, i64 delta, i64 ttl);
IMPORT(kv_delete) u32 kv_delete(const void *key, u32 key_length);

static void poison(record *r) {
  static void *const at[] = {0, (void *)0xffffffff, (void *)0x7fffffff, (void *)0x80000000, input + sizeof input};
  static const u32 length[] = {0, 1, 1025, 0x7fffffff, 0x80000000, 0xffffffff};
  for (u32 a = 0; a < 5; a++)
    for (u32 l = 0; l < 6; l++) {
      sink = kv_set(at[a], length[l], at[a], length[l], 0);
      sink = kv_get("k", 1, at[a], length[l]);
      sink = kv_cas("k", 1, -1, at[a], length[l], -1);
      sink = kv_delete(at[a], length[l]);
    }
  sink = kv_add("n", 1, 0x7fffffffffffffff, 0);
  sink = kv_add("n", 1, 0x7fffffffffffffff, 0);
}
