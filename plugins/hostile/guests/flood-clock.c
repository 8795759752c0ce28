// Asks for the time, over and over.
#include "weft.h"

IMPORT(clock_wall) i64 clock_wall(void);
IMPORT(clock_monotonic) i64 clock_monotonic(void);

static void poison(record *r) {
  for (;;) sink = clock_wall() + clock_monotonic();
}
