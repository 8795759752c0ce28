// Loops for ever on its configuration.
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_init) i64 weft_init(void *config, u32 length) {
  for (;;) sink++;
}
