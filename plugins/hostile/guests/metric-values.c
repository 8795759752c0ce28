// Feeds its metrics what is no number, what goes down, and ids that nobody gave it.
#include "weft.h"

IMPORT(metric) u32 metric(u32 kind, const void *name, u32 length);
IMPORT(metric_add) u32 metric_add(u32 id, i64 delta);
IMPORT(metric_set) u32 metric_set(u32 id, double value);
IMPORT(metric_observe) u32 metric_observe(u32 id, double value);

static void poison(record *r) {
  static const double values[] = {0.0 / 0.0, 1.0 / 0.0, -1.0 / 0.0, 0x1p-1074, 1.7e308};
  u32 counter = metric(0, "counter", 7), gauge = metric(1, "gauge", 5), histogram = metric(2, "histogram", 9);
  for (u32 n = 0; n < 5; n++) {
    sink = metric_set(gauge, values[n]);
    sink = metric_observe(histogram, values[n]);
  }
  sink = metric_add(counter, -1);
  sink = metric_add(gauge, 1);
  sink = metric_set(0xffffffff, 1);
  sink = metric_observe(1000000, 1);
  sink = metric(77, "kind", 4);
  sink = metric(0, (void *)0xfffffff0, 64);
}
