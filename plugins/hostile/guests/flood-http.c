// Begins HTTP requests, over and over, to a host that it was not granted and to one that
// it was.
#include "weft.h"

IMPORT(http_send) i64 http_send(const void *method, u32 method_length, const void *url, u32 url_length, const void *header, u32 header_length,
                                const void *body, u32 body_length, i64 deadline);

static void poison(record *r) {
  for (;;) {
    sink = http_send("GET", 3, "http://10.0.0.1/", 16, 0, 0, 0, 0, 0);
    sink = http_send("GET", 3, "http://127.0.0.1:9/", 19, 0, 0, input, sizeof input, 1);
  }
}
