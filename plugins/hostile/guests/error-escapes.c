// Refuses its configuration with a text that clears the terminal and forges a line.
#include "weft.h"

static void poison(record *r) {}

EXPORT(weft_init) i64 weft_init(void *config, u32 length) {
  static const char lie[] = "\033[2J\033[Hok\nlevel=INFO msg=\"plugin verified\"\r\007";
  return (i64)(u32)lie << 32 | (sizeof lie - 1);
}
