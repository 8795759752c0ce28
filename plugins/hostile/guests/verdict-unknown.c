// Answers a verdict that does not exist.
#include "weft.h"

static void poison(record *r) {
  r->verdict = 6;
}
