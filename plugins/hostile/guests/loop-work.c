// An endless loop that works: it hashes its own memory over and over.
#include "weft.h"

static void poison(record *r) {
  u64 hash = 14695981039346656037u;
  for (u32 n = 0;; n++) sink = hash = (hash ^ input[n % sizeof input]) * 1099511628211u;
}
