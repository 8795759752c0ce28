// Answers one record more than it was given.
#define OWN_MESSAGES
#include "weft.h"

EXPORT(weft_on_messages) u32 weft_on_messages(record *records, u32 count) {
  for (u32 n = 0; n < count; n++)
    if (records[n].payload.length && *(u8 *)records[n].payload.at == 33) return count + 1;
  return count;
}
