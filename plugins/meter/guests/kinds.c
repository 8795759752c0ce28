// The kinds of code that the overhead is measured by (TestOverheadTable): each
// export does n times about a microsecond of its kind and returns a number that
// depends on all of it.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(#name))) u32 name(u32 n)
#define NOINLINE __attribute__((noinline))

static u8 bytes[65536];
static u32 words[4096];

static void text(void) {
  static const char record[] = "{\"truck\":\"7\",\"temp\":-19.25,\"door\":false,\"at\":[52.52,13.4,null],\"note\":\"ice \\\"cream\\\"\"} ";
  u32 at = 0;
  while (at + sizeof record < sizeof bytes)
    for (u32 i = 0; i + 1 < sizeof record; i++) bytes[at++] = (u8)record[i];
}

// --- hashes
EXPORT(fnv) {
  u32 h = 2166136261u;
  text();
  while (n--)
    for (u32 i = 0; i < 1024; i++) h = (h ^ bytes[i]) * 16777619u;
  return h;
}

static u64 rotl(u64 x, int b) { return x << b | x >> (64 - b); }

EXPORT(siphash) {
  u64 v0 = 1, v1 = 2, v2 = 3, v3 = 4, sum = 0;
  const u64 *in = (const u64 *)bytes;
  text();
  while (n--)
    for (u32 i = 0; i < 64; i++) {
      u64 m = in[i];
      v3 ^= m;
      for (int r = 0; r < 2; r++) {
        v0 += v1; v1 = rotl(v1, 13); v1 ^= v0; v0 = rotl(v0, 32);
        v2 += v3; v3 = rotl(v3, 16); v3 ^= v2;
        v0 += v3; v3 = rotl(v3, 21); v3 ^= v0;
        v2 += v1; v1 = rotl(v1, 17); v1 ^= v2; v2 = rotl(v2, 32);
      }
      v0 ^= m;
      sum += v0;
    }
  return (u32)(sum ^ v1 ^ v2 ^ v3);
}

static const u32 K[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static u32 ror(u32 x, int b) { return x >> b | x << (32 - b); }

static NOINLINE void sha256(u32 *state, const u8 *block) {
  u32 w[64];
  for (int i = 0; i < 16; i++)
    w[i] = (u32)block[4 * i] << 24 | (u32)block[4 * i + 1] << 16 | (u32)block[4 * i + 2] << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; i++)
    w[i] = w[i - 16] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
           (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
  u32 a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; i++) {
    u32 x = h + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i];
    u32 y = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g; g = f; f = e; e = d + x; d = c; c = b; b = a; a = x + y;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d;
  state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

EXPORT(sha) {
  u32 state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  text();
  while (n--)
    for (u32 i = 0; i < 4; i++) sha256(state, bytes + 64 * i);
  return state[0] ^ state[7];
}

// --- text
static const u8 *value(const u8 *p, u32 *sum);

static const u8 *space(const u8 *p) {
  while (*p == ' ' || *p == '\n' || *p == '\t') p++;
  return p;
}

static const u8 *string(const u8 *p, u32 *sum) {
  for (p++; *p != '"'; p++) {
    if (*p == '\\') p++;
    *sum = *sum * 31 + *p;
  }
  return p + 1;
}

static const u8 *list(const u8 *p, u32 *sum, u8 close, int keys) {
  p = space(p + 1);
  while (*p != close) {
    if (keys) {
      p = space(string(p, sum));
      p = space(p + 1);
    }
    p = space(value(p, sum));
    if (*p == ',') p = space(p + 1);
  }
  return p + 1;
}

static NOINLINE const u8 *value(const u8 *p, u32 *sum) {
  u32 v = 0, minus = 0;
  switch (*p) {
  case '{': return list(p, sum, '}', 1);
  case '[': return list(p, sum, ']', 0);
  case '"': return string(p, sum);
  case 't': *sum += 1; return p + 4;
  case 'f': *sum += 2; return p + 5;
  case 'n': *sum += 3; return p + 4;
  case '-': minus = 1; p++;
  }
  for (; *p >= '0' && *p <= '9' || *p == '.'; p++)
    if (*p != '.') v = v * 10 + (*p - '0');
  *sum += minus ? -v : v;
  return p;
}

EXPORT(json) {
  u32 sum = 0;
  text();
  while (n--) {
    const u8 *p = bytes;
    for (int i = 0; i < 3; i++) p = space(value(p, &sum));
  }
  return sum;
}

EXPORT(search) {
  static const char needle[] = "cream\\\"\"} {\"trucks";
  u32 found = 0;
  text();
  while (n--)
    for (u32 at = 0; at < 1024; at++) {
      u32 i = 0;
      while (i + 1 < sizeof needle && bytes[at + i] == (u8)needle[i]) i++;
      found += i > 3;
    }
  return found;
}

EXPORT(utf8) {
  u32 good = 0;
  text();
  bytes[100] = 0xc3; bytes[101] = 0xa9;
  while (n--)
    for (u32 i = 0; i < 512;) {
      u8 c = bytes[i];
      if (c < 0x80) i++, good++;
      else if (c >> 5 == 6 && bytes[i + 1] >> 6 == 2) i += 2, good++;
      else if (c >> 4 == 14 && bytes[i + 1] >> 6 == 2 && bytes[i + 2] >> 6 == 2) i += 3, good++;
      else i++;
    }
  return good;
}

// --- calls
static NOINLINE u32 fibonacci(u32 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

EXPORT(recursion) {
  u32 sum = 0;
  while (n--) sum += fibonacci(11 + (sum & 1));
  return sum;
}

typedef u32 (*step)(u32);
static NOINLINE u32 add(u32 x) { return x + 7; }
static NOINLINE u32 mix(u32 x) { return x ^ x >> 3; }
static NOINLINE u32 twist(u32 x) { return x * 2654435761u; }
static NOINLINE u32 turn(u32 x) { return x << 5 | x >> 27; }
static step volatile steps[4] = {add, mix, twist, turn};

EXPORT(indirect) {
  u32 x = n;
  for (u32 i = 0; i < n * 128; i++) x = steps[i & 3](x);
  return x;
}

// --- machines
EXPORT(interpreter) {
  static const u8 program[] = {0, 1, 2, 3, 1, 0, 4, 2, 5, 1, 3, 0, 2, 4, 6};
  u32 a = 1, b = 2, c = n;
  for (u32 k = 0; k < n * 16; k++)
    for (u32 pc = 0; pc < sizeof program; pc++)
      switch (program[pc]) {
      case 0: a += b; break;
      case 1: b ^= c; break;
      case 2: c = c << 3 | c >> 29; break;
      case 3: a -= c; break;
      case 4: b += 17; break;
      case 5: c ^= a; break;
      default: a ^= b + c; break;
      }
  return a ^ b ^ c;
}

// --- tables
static NOINLINE void sort(u32 *v, int from, int to) {
  while (to - from > 8) {
    u32 pivot = v[(from + to) / 2];
    int i = from, j = to;
    while (i <= j) {
      while (v[i] < pivot) i++;
      while (v[j] > pivot) j--;
      if (i <= j) {
        u32 t = v[i];
        v[i++] = v[j];
        v[j--] = t;
      }
    }
    sort(v, from, j);
    from = i;
  }
  for (int i = from + 1; i <= to; i++) {
    u32 x = v[i];
    int j = i;
    for (; j > from && v[j - 1] > x; j--) v[j] = v[j - 1];
    v[j] = x;
  }
}

EXPORT(quicksort) {
  u32 x = 1;
  while (n--) {
    for (u32 i = 0; i < 128; i++) words[i] = x = x * 1664525 + 1013904223;
    sort(words, 0, 127);
  }
  return words[64];
}

EXPORT(lookup) {
  u32 found = 0, x = 1;
  for (u32 i = 0; i < 4096; i++) words[i] = 0;
  for (u32 i = 1; i < 2048; i++) {
    u32 h = i * 2654435761u >> 20;
    while (words[h]) h = (h + 1) & 4095;
    words[h] = i;
  }
  for (u32 i = 0; i < n * 128; i++) {
    x = x * 1664525 + 1013904223;
    u32 key = x >> 20, h = key * 2654435761u >> 20;
    while (words[h] && words[h] != key) h = (h + 1) & 4095;
    found += words[h] == key;
  }
  return found;
}

EXPORT(sieve) {
  u32 primes = 0;
  while (n--) {
    for (u32 i = 0; i < 1024; i++) bytes[i] = 1;
    for (u32 i = 2; i < 1024; i++)
      if (bytes[i]) {
        primes++;
        for (u32 j = i * i; j < 1024; j += i) bytes[j] = 0;
      }
  }
  return primes;
}

// --- numbers
static float a[16][16], b[16][16], c[16][16];

EXPORT(matrix) {
  for (int i = 0; i < 256; i++) a[i / 16][i % 16] = i, b[i / 16][i % 16] = 256 - i;
  while (n--)
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 16; j++) {
        float s = 0;
        for (int k = 0; k < 16; k++) s += a[i][k] * b[k][j];
        c[i][j] = s;
      }
  return (u32)c[3][5];
}

EXPORT(bodies) {
  double p[12] = {0, 0, 1, 0, 0, 3, 2, 2, 1, 4, 1, 0}, v[12] = {0};
  while (n--)
    for (int t = 0; t < 4; t++) {
      for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
          if (i == j) continue;
          double dx = p[3 * j] - p[3 * i], dy = p[3 * j + 1] - p[3 * i + 1], dz = p[3 * j + 2] - p[3 * i + 2];
          double d2 = dx * dx + dy * dy + dz * dz + 0.01;
          double f = 0.001 / (d2 * __builtin_sqrt(d2));
          v[3 * i] += f * dx;
          v[3 * i + 1] += f * dy;
          v[3 * i + 2] += f * dz;
        }
      for (int i = 0; i < 12; i++) p[i] += v[i] * 0.01;
    }
  return (u32)(p[0] * 1e6);
}

EXPORT(gcd) {
  u32 sum = 0;
  while (n--)
    for (u32 i = 1; i < 32; i++) {
      u32 x = 1071 * i, y = 462 + i;
      while (y) {
        u32 t = x % y;
        x = y;
        y = t;
      }
      sum += x;
    }
  return sum;
}

// --- memory
EXPORT(copy) {
  text();
  while (n--)
    for (u32 i = 0; i < 16; i++) __builtin_memcpy(bytes + 32768 + 256 * i, bytes + 64 * i, 200 + i);
  return bytes[32768];
}

EXPORT(copy_loop) {
  text();
  while (n--)
    for (u32 i = 0; i < 1024; i++) ((volatile u8 *)bytes)[32768 + i] = bytes[i];
  return bytes[32768];
}

EXPORT(crc) {
  u32 crc = ~0u;
  for (u32 i = 0; i < 256; i++) {
    u32 x = i;
    for (int k = 0; k < 8; k++) x = x >> 1 ^ (x & 1 ? 0xedb88320 : 0);
    words[i] = x;
  }
  text();
  while (n--)
    for (u32 i = 0; i < 512; i++) crc = crc >> 8 ^ words[(crc ^ bytes[i]) & 255];
  return ~crc;
}
