// Answers one small message with 16 MiB.
#include "weft.h"

static u8 big[16 << 20];

static void poison(record *r) {
  r->verdict = REPLY;
  r->out = text(big, sizeof big);
}
