// Changes the topic to one with a zero byte.
#include "weft.h"

static void poison(record *r) {
  r->changes = TOPIC;
  r->topic = text("a\0b", 3);
}
