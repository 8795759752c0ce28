// Points to a payload that ends behind 2^32, which is small again for who adds in 32 bits.
#include "weft.h"

static void poison(record *r) {
  r->changes = PAYLOAD;
  r->payload = (span){0xfffffff0, 0x20};
}
