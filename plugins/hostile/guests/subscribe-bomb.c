// Subscribes its session to 64 patterns with every message, each one new.
#include "weft.h"

static effect e[64];
static u8 names[64][16];

static void poison(record *r) {
  static u32 n;
  for (u32 i = 0; i < 64; i++) {
    n++;
    for (u32 d = 0; d < 8; d++) names[i][2 + d] = "0123456789abcdef"[n >> 4 * d & 15];
    names[i][0] = 98;
    names[i][1] = 47;
    e[i] = (effect){.kind = 2, .topic = text(names[i], 10)};
  }
  r->effects = text(e, 64);
}
