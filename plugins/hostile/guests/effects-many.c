// Claims 67,108,865 effects, which take 64 bytes if one multiplies in 32 bits.
#include "weft.h"

static void poison(record *r) {
  r->effects = (span){(u32)input, 0x4000001};
}
