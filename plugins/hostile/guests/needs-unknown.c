// Needs what does not exist.
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_needs) i64 weft_needs(void) { return 1ll << 63; }
