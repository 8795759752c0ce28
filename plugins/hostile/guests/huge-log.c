// Writes one log line of 4 GiB and one of a MiB that is no text but what moves the
// cursor of a terminal, then goes on as if nothing had been.
#include "weft.h"

IMPORT(log) void weft_log(u32 level, const void *text, u32 length);

static u8 escapes[1 << 20];

static void poison(record *r) {
  static const u8 clear[] = "\033[2J\033[1;1Hroot@weft# \r\n\377";
  for (u32 n = 0; n < 8 << 10; n++) escapes[n] = clear[n % (sizeof clear - 1)];
  weft_log(0x7fffffff, 0, 0xffffffff);
  weft_log(3, escapes, sizeof escapes);
}
