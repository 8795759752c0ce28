// Changes the topic to one with wildcards.
#include "weft.h"

static void poison(record *r) {
  r->changes = TOPIC;
  r->topic = text("trucks/+/#", 10);
}
