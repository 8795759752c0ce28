// Asks for one secure random byte, over and over.
#include "weft.h"

IMPORT(random) u32 weft_random(void *at, u32 length);

static void poison(record *r) {
  for (;;) sink = weft_random(input, 1);
}
