// Replies with its whole address space.
#include "weft.h"

static void poison(record *r) {
  r->verdict = REPLY;
  r->out = (span){0, 0xffffffff};
}
