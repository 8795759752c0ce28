// Emits 64 messages, each of which is the same MiB of its memory.
#include "weft.h"

static effect e[64];

static void poison(record *r) {
  for (u32 n = 0; n < 64; n++) e[n] = (effect){.kind = 1, .topic = text("a", 1), .payload = text(input, sizeof input)};
  r->effects = text(e, 64);
}
