// Prints nothing, over and over, with vectors by the thousand that all are empty, and
// waits for as many events that will never come.
#include "weft.h"

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

WASI(fd_write) u32 fd_write(u32 fd, const span *vectors, u32 count, u32 *written);
WASI(poll_oneoff) u32 poll_oneoff(const void *subscriptions, void *events, u32 count, u32 *events_count);
WASI(random_get) u32 random_get(void *at, u32 length);

static u8 subscriptions[4096 * 48], events[4096 * 32];
static span vectors[1024];

static void poison(record *r) {
  u32 done;
  for (;;) {
    sink = fd_write(1, vectors, 0xffffffff, &done);
    sink = poll_oneoff(subscriptions, events, 4096, &done);
    sink = random_get(events, 0xffffffff);
  }
}
