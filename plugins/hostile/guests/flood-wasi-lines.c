// Prints empty lines by the MiB and lines of one letter, over and over, with as many
// vectors as one call takes.
#include "weft.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write"))) u32 fd_write(u32 fd, const span *vectors, u32 count, u32 *written);

static u8 empty[1 << 20], letters[1 << 10];
static span vectors[1024];

static void poison(record *r) {
  u32 written;
  for (u32 n = 0; n < sizeof empty; n++) empty[n] = '\n';
  for (u32 n = 0; n < sizeof letters; n++) letters[n] = n % 2 ? '\n' : 'x';
  for (u32 n = 0; n < 1024; n++) vectors[n] = text(letters, sizeof letters);
  span all = text(empty, sizeof empty);
  for (;;) {
    sink = fd_write(1, &all, 1, &written);
    sink = fd_write(2, vectors, 1024, &written);
  }
}
