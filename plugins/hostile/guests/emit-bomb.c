// Emits 64 messages with 1 KiB each for each message.
#include "weft.h"

static effect e[64];

static void poison(record *r) {
  for (u32 n = 0; n < 64; n++) e[n] = (effect){.kind = 1, .topic = text("bomb/a", 6), .payload = text(input, 1024)};
  r->effects = text(e, 64);
}
