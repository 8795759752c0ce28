// Declares metrics under new names, over and over.
#include "weft.h"

IMPORT(metric) u32 metric(u32 kind, const void *name, u32 length);

static char name[] = "m00000000";

static void poison(record *r) {
  for (u32 n = 0;; n++) {
    for (u32 digit = 0; digit < 8; digit++) name[1 + digit] = "0123456789abcdef"[n >> 4 * digit & 15];
    sink = metric(n % 3, name, 9);
  }
}
