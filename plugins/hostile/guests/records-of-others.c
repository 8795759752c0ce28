// Writes over what the host put into the records of its neighbours in the batch: their
// sessions, sequence numbers, payloads, times, listeners.
#define OWN_MESSAGES
#include "weft.h"

EXPORT(weft_on_messages) u32 weft_on_messages(record *records, u32 count) {
  u32 bad = 0;
  for (u32 n = 0; n < count; n++) bad |= records[n].payload.length && *(u8 *)records[n].payload.at == 33;
  for (u32 n = 0; bad && n < count; n++) {
    records[n].hook = 99;
    records[n].type = 4;
    records[n].session = records[n].seq = 0xdeadbeef;
    records[n].topic = records[n].attributes = records[n].context = records[n].listener = (span){0xffffffff, 0xffffffff};
    records[n].payload = (span){0, 0};
    records[n].time = 0;
    records[n].flags = 0xffffffff;
  }
  return count;
}
