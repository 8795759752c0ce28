// Changes the topic to one of 64 KiB.
#include "weft.h"

static u8 big[65536];

static void poison(record *r) {
  __builtin_memset(big, 116, sizeof big);
  r->changes = TOPIC;
  r->topic = text(big, 65536);
}
