// Begins HTTP requests whose header has as many fields as one may, over and over: to a
// host that it was granted, all of them good, and with a first one that is not.
#include "weft.h"

IMPORT(http_send) i64 http_send(const void *method, u32 method_length, const void *url, u32 url_length, const void *header, u32 header_length,
                                const void *body, u32 body_length, i64 deadline);

#define FIELDS ((16 << 10) / 6)

static u8 good[FIELDS * 6], bad[FIELDS * 6];

static void poison(record *r) {
  for (u32 n = 0; n < FIELDS; n++) { // their lengths, a name of one byte, a value of one
    u8 *g = good + 6 * n, *b = bad + 6 * n;
    g[0] = b[0] = g[2] = b[2] = 1;
    g[1] = b[1] = g[3] = b[3] = 0;
    g[4] = 'a' + n % 26, b[4] = n ? 'a' + n % 26 : ':';
    g[5] = b[5] = 'v';
  }
  for (;;) {
    sink = http_send("GET", 3, "http://127.0.0.1:9/", 19, good, sizeof good, 0, 0, 1);
    sink = http_send("GET", 3, "http://127.0.0.1:9/", 19, bad, sizeof bad, 0, 0, 1);
  }
}
