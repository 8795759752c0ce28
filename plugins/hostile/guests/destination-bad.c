// Routes to destinations that do not exist.
#include "weft.h"

static void poison(record *r) {
  r->verdict = ROUTE;
  r->out = text("upstream:\nnode:\n\n\377", 18);
}
