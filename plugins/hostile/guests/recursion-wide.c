// Calls itself for ever, with a large frame each time.
#include "weft.h"

static __attribute__((noinline)) u64 down(u64 n) {
  u64 a = sink, b = sink, c = sink, d = sink, e = sink, f = sink, g = sink, h = sink;
  u64 i = sink, j = sink, k = sink, l = sink, m = sink, o = sink, p = sink, q = sink;
  u64 below = down(n + 1);
  return below + a * b + c * d + e * f + g * h + i * j + k * l + m * o + p * q;
}

static void poison(record *r) { sink = down(1); }
