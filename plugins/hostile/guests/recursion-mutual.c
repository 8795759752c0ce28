// Three functions that call each other for ever.
#include "weft.h"

static u64 one(u64 n);
static __attribute__((noinline)) u64 three(u64 n) { return sink ^ one(n + 3); }
static __attribute__((noinline)) u64 two(u64 n) { return sink ^ three(n + 2); }
static __attribute__((noinline)) u64 one(u64 n) { return sink ^ two(n + 1); }

static void poison(record *r) { sink = one(1); }
