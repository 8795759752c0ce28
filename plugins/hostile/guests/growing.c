// Takes a little longer for every message than for the one before.
#include "weft.h"

static u32 seen;

static void poison(record *r) {
  seen += 20;
  for (u32 n = 0; n < seen; n++) sink = n;
}
