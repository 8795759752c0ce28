// Pauses for a token that it was not given.
#include "weft.h"

static void poison(record *r) {
  r->verdict = PAUSE;
  r->token = 1234567890123;
}
