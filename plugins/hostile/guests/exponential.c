// Calls itself twice, sixty deep: 2^60 calls, no loop, never deep.
#include "weft.h"

static __attribute__((noinline)) void tree(u32 n) {
  if (n == 0) {
    sink++;
    return;
  }
  tree(n - 1);
  tree(n - 1);
}

static void poison(record *r) { tree(60); }
