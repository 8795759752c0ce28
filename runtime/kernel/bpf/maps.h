// SPDX-License-Identifier: Apache-2.0
//
// The maps, and what lies in them. Go sees the same structs (bpf2go). A change of a
// key, a value or a type is a new layout: raise layout in pin_linux.go with it.
#pragma once

#include "kernel.h"

enum {
	LISTENERS = 256,
	PATTERNS = 4,
	REASONS = 8, // of which package filter names the first six
	SLOTS = 2,
	PORTS = 65536,
	NETWORKS = 2,
	NONE = 0xffff,
};

enum reason { PASS, DENIED, BLOCKED, MALFORMED, RATE, CONNECTION_RATE };
enum action { ALLOW, DENY };
enum network { TCP, UDP };
enum family { V4, V6 };

// The listeners lie in two slots: one is in force while the other is written.
//
// Time is what the kernel's ticks say, in ns: as fine as a tick (1 to 10 ms) and free,
// while a clock costs as much as all the rest of the way of a packet.
struct state {
	u32 slot;
	u32 tick; // ns
	// Which listeners have rules, by listener and family: who has none is not looked
	// for. It may say yes too long, never too late.
	u8 has[2 * LISTENERS];
};

// ports has, for each network and port, the group of listeners there, plus one; 0 is
// a port of nobody.
struct ports {
	u16 group[NETWORKS * PORTS];
};

// group is who listens on one port of one network.
struct group {
	u16 any[2];   // for every address of a family, by family; NONE
	u16 specific; // 1: some listen on one address only, see addresses
	u16 zero;
};

struct address {
	u8 address[16]; // IPv4: the first four, then zeros
	u16 port;
	u8 network;
	u8 family;
	u8 slot;
	u8 zero[3];
};

struct pattern {
	u64 mask;
	u64 value;
	u16 offset;
	u16 length;
	u16 minimum;
	u16 zero;
};

struct listener {
	u64 every;
	u64 depth; // every times burst
	u16 id;
	u8 network;
	u8 deny; // who is in no rule
	u8 patterns;
	u8 zero[3];
	struct pattern pattern[PATTERNS];
};

// The first 32 bits of a rule's key are the listener; the prefix length counts them.
struct key4 {
	u32 bits;
	u16 listener;
	u16 zero;
	u8 address[4];
};

struct key6 {
	u32 bits;
	u16 listener;
	u16 zero;
	u8 address[16];
};

struct rule {
	u64 until; // 0: for ever
	u8 action;
	u8 reason;
	u16 bits; // those of its key
	u8 author; // for user space
	u8 zero[3];
};

// source is who has a rate. Of an IPv6 address it is the first half: a host has a
// whole /64 to speak from.
struct source {
	u32 address[2];
	u16 listener;
	u16 family;
};

struct counter {
	u64 packets[REASONS];
	u64 bytes[REASONS];
	u64 next;  // when the next event may be
	u64 since; // what was dropped since the last event
};

struct event {
	u64 weight; // what was dropped on this CPU since the last event, this one included
	u8 address[16];
	u16 listener;
	u16 port; // the source's
	u8 reason;
	u8 family;
	u16 zero;
};

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct state);
} state SEC(".maps");

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, SLOTS);
	TYPE(key, u32);
	TYPE(value, struct ports);
} ports SEC(".maps");

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, SLOTS * LISTENERS);
	TYPE(key, u32);
	TYPE(value, struct group);
} groups SEC(".maps");

struct {
	NUMBER(type, MAP_HASH);
	NUMBER(max_entries, SLOTS * LISTENERS);
	TYPE(key, struct address);
	TYPE(value, u32);
} addresses SEC(".maps");

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, SLOTS * LISTENERS);
	TYPE(key, u32);
	TYPE(value, struct listener);
} listeners SEC(".maps");

struct {
	NUMBER(type, MAP_LPM_TRIE);
	NUMBER(max_entries, 65536);
	NUMBER(map_flags, F_NO_PREALLOC);
	TYPE(key, struct key4);
	TYPE(value, struct rule);
} rules4 SEC(".maps");

struct {
	NUMBER(type, MAP_LPM_TRIE);
	NUMBER(max_entries, 65536);
	NUMBER(map_flags, F_NO_PREALLOC);
	TYPE(key, struct key6);
	TYPE(value, struct rule);
} rules6 SEC(".maps");

// now is what time it is by ticks, for user space.
struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, u64);
} now SEC(".maps");

// sources has, for each source with a rate, when it has all its tokens again.
struct {
	NUMBER(type, MAP_LRU_HASH);
	NUMBER(max_entries, 65536);
	TYPE(key, struct source);
	TYPE(value, u64);
} sources SEC(".maps");

struct {
	NUMBER(type, MAP_PERCPU_ARRAY);
	NUMBER(max_entries, LISTENERS);
	TYPE(key, u32);
	TYPE(value, struct counter);
} counters SEC(".maps");

// names are the listeners' names, for the next process; no program reads them.
struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, LISTENERS);
	TYPE(key, u32);
	TYPE(value, u8[128]);
} names SEC(".maps");

struct {
	NUMBER(type, MAP_RINGBUF);
	NUMBER(max_entries, 65536);
} events SEC(".maps");
