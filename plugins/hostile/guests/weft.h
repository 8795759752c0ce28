// What the hostile guests in C have in common: the records of abi/SPEC.md and a
// guest that is well-behaved but for messages that begin with an exclamation mark.
// Those are handed to the function poison, which each guest defines.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(name) __attribute__((import_module("weft"), import_name(#name)))

typedef struct { u32 at, length; } span;

typedef struct {
  u8 hook, type, priority, qos;
  u32 flags;
  u64 session, seq, time;
  span topic, attributes, context, payload;
  u32 payload_total;
  span listener;
  u32 verdict, changes;
  span out, effects, answer;
  u32 answer_status;
  u64 token;
  u8 reserved[8];
} record;
_Static_assert(sizeof(record) == 128, "a record has 128 bytes");

typedef struct {
  u8 kind, type, priority, qos;
  u32 flags;
  u64 seq;
  span topic, attributes, payload;
  u8 reserved[24];
} effect;
_Static_assert(sizeof(effect) == 64, "an effect has 64 bytes");

enum { CONTINUE, DROP, REPLY, ROUTE, CLOSE, PAUSE };
enum { TOPIC = 1, ATTRIBUTES = 2, CONTEXT = 4, PAYLOAD = 8 };

static inline span text(const void *at, u32 length) { return (span){(u32)at, length}; }

// sink is written to so that the compiler leaves in what is there to cost time.
static volatile u64 sink;

#ifdef ABI_1_1
EXPORT(weft_abi_1_1) void weft_abi_1_1(void) {}
#else
EXPORT(weft_abi_1_0) void weft_abi_1_0(void) {}
#endif

#ifndef OWN_BUFFER
static _Alignas(8) u8 input[1 << 20];
EXPORT(weft_buffer) void *weft_buffer(u32 size) { return size <= sizeof input ? input : 0; }
#endif

#ifndef OWN_MESSAGES
static void poison(record *r);

static int poisonous(const record *r) { return r->payload.length > 0 && *(u8 *)r->payload.at == '!'; }

EXPORT(weft_on_messages) u32 weft_on_messages(record *records, u32 count) {
  for (u32 n = 0; n < count; n++)
    if (poisonous(&records[n])) poison(&records[n]);
  return count;
}
#endif
