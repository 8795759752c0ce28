// SPDX-License-Identifier: Apache-2.0
//
// What the programs need of the kernel's interface, so that clang alone builds them:
// the same object on every machine, whatever headers it has. The numbers are the
// kernel's stable interface to user space (bpf(2)).
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline)) inline
// APART is a function that the verifier looks at by itself, once, whoever calls it: it
// keeps the number of ways through a program small. Its arguments may be anything.
#define APART __attribute__((noinline))
#define unlikely(x) __builtin_expect(!!(x), 0)

// How a map is described in the section .maps.
#define NUMBER(name, value) int (*name)[value]
#define TYPE(name, value) __typeof__(value) *name

enum {
	MAP_ARRAY = 2,
	MAP_PERCPU_ARRAY = 6,
	MAP_LRU_HASH = 9,
	MAP_HASH = 1,
	MAP_LPM_TRIE = 11,
	MAP_RINGBUF = 27,
};

enum { F_NO_PREALLOC = 1 };
enum { UPDATE_ANY = 0, UPDATE_NOEXIST = 1 };

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static long (*const map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const skb_load_bytes)(const void *skb, u32 offset, void *to, u32 length) = (void *)26;
static u64 (*const ticks)(void) = (void *)118; // the verifier makes a load of it: no call
static long (*const ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static u64 (*const xdp_length)(void *xdp) = (void *)188;
static long (*const xdp_load_bytes)(void *xdp, u32 offset, void *to, u32 length) = (void *)189;

enum { XDP_DROP = 1, XDP_PASS = 2 };
enum { TCX_NEXT = -1, TCX_DROP = 2 };

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

// As far as it is used.
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 before_data[14];
	u32 data;
	u32 data_end;
	u32 behind_data[20];
	u32 gso_segs;
	u64 sk;
	u32 gso_size;
};

_Static_assert(__builtin_offsetof(struct __sk_buff, data) == 76, "the layout of struct __sk_buff");
_Static_assert(__builtin_offsetof(struct __sk_buff, gso_segs) == 164, "the layout of struct __sk_buff");

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BIG16(x) ((u16)__builtin_bswap16(x))
#define BIG32(x) ((u32)__builtin_bswap32(x))
#else
#define BIG16(x) (x)
#define BIG32(x) (x)
#endif
