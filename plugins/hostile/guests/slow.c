// Takes about half its budget for every message, and never more.
#include "weft.h"

static void poison(record *r) {
  for (u32 n = 0; n < 8000; n++) sink = n;
}
