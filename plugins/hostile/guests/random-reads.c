// Follows pointers all over 8 MiB for ever: each read waits for the memory.
#include "weft.h"

static u32 next[2 << 20];

static void poison(record *r) {
  u32 at = 1;
  for (u32 n = 0;; n++) {
    at = (at * 1664525u + 1013904223u + next[at % (2 << 20)]);
    sink += at;
  }
}
