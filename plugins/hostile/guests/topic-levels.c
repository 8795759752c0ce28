// Changes the topic to one of 65,535 bytes that is nothing but levels.
#include "weft.h"

static u8 big[65535];

static void poison(record *r) {
  __builtin_memset(big, 47, sizeof big);
  r->changes = TOPIC;
  r->topic = text(big, 65535);
}
