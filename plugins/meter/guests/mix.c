// The kinds of code that Calibrate times: each export does about the same little
// work n times over and returns something that depends on all of it.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(#name))) u32 name(u32 n)

static u8 text[4096];
static u32 table[1024];

// Arithmetic in registers: xorshift.
EXPORT(arithmetic) {
  u64 x = 88172645463325252ull + n;
  for (u32 i = 0; i < n * 64; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return (u32)x;
}

// Bytes and branches: counts the words and numbers of a text.
EXPORT(parse) {
  u32 seed = 1, words = 0, number = 0, sum = 0;
  for (u32 i = 0; i < sizeof text; i++) {
    seed = seed * 1664525 + 1013904223;
    text[i] = " {}:,\"019az"[(seed >> 24) % 11];
  }
  while (n--) {
    for (u32 i = 0; i < 256; i++) {
      u8 c = text[(n * 256 + i) % sizeof text];
      if (c >= '0' && c <= '9') {
        number = number * 10 + (c - '0');
      } else if (c == ' ' || c == ',') {
        sum += number;
        number = 0;
        words++;
      } else if (c == '"') {
        words ^= 1;
      }
    }
  }
  return sum + words;
}

// Loads and stores: one pass of sifting over a table.
EXPORT(sift) {
  for (u32 i = 0; i < 1024; i++) table[i] = i * 2654435761u;
  for (u32 k = 0; k < n; k++) {
    for (u32 i = 1; i < 64; i++) {
      u32 at = (k * 61 + i) & 1023, before = (at - 1) & 1023;
      if (table[before] > table[at]) {
        u32 t = table[at];
        table[at] = table[before];
        table[before] = t;
      }
    }
  }
  return table[17];
}

// Calls.
static __attribute__((noinline)) u32 fib(u32 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

EXPORT(calls) {
  u32 sum = 0;
  while (n--) sum += fib(8);
  return sum;
}

// Floating point.
EXPORT(floats) {
  double x = 0.5, y = 0;
  for (u32 i = 0; i < n * 32; i++) {
    x = x * 3.7 * (1.0 - x);
    y += x;
  }
  return (u32)y;
}
