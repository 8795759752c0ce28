// Drops with a reason of a MiB.
#include "weft.h"

static void poison(record *r) {
  r->verdict = DROP;
  r->out = text(input, sizeof input);
}
