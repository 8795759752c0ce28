// SPDX-License-Identifier: Apache-2.0
//
// Reading a packet: Ethernet, up to two VLAN tags, IPv4 with options, IPv6 with
// extension headers, and the ports of TCP and UDP.
#pragma once

#include "kernel.h"
#include "maps.h"

enum {
	ETHERNET = 14,
	TAGS = 2,
	TAG = 4,
	TYPE_IPV4 = 0x0800,
	TYPE_IPV6 = 0x86dd,
	TYPE_VLAN = 0x8100,
	TYPE_QINQ = 0x88a8,

	NEXT_HOPS = 0,
	NEXT_TCP = 6,
	NEXT_UDP = 17,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AUTHENTICATION = 51,
	NEXT_DESTINATION = 60,
	NEXT_MOBILITY = 135,
	NEXT_HIP = 139,
	NEXT_SHIM6 = 140,

	// More extension headers than any packet that keeps to RFC 8200.
	EXTENSIONS = 8,

	// TCP and UDP begin no further than this: the verifier wants a bound.
	FURTHEST = 0x7fff,

	FLAG_SYN = 0x02,
	FLAG_ACK = 0x10,
	FRAGMENT_OFFSET = 0x1fff,
	FRAGMENT_OFFSET6 = 0xfff8,
};

// view is a packet under one of the hooks. What of a packet does not lie in one piece
// (jumbo frames, packets that the kernel put together) is copied piece by piece.
struct view {
	u8 *data;
	u8 *end;
	void *context;
	u32 skb; // 1: a struct __sk_buff, 0: a struct xdp_md; known when it is compiled
};

struct packet {
	u32 ip;      // where the IP header begins
	u32 length;  // of the IP packet, as its header says
	u32 inner;   // where TCP or UDP begins
	u32 network; // enum network
	u32 family;  // enum family
	u32 from, to; // ports
	u8 source[16], destination[16];
};

// copy_out copies length bytes at offset, wherever they lie; 0 is success.
INLINE long copy_out(const struct view *view, u32 offset, void *to, u32 length)
{
	if (view->skb)
		return skb_load_bytes(view->context, offset, to, length);
	return xdp_load_bytes(view->context, offset, to, length);
}

// at is length bytes of the packet at offset: in their place if they lie in one
// piece, else copied to spare. 0: the packet ends before.
INLINE void *at(const struct view *view, u32 offset, u32 length, void *spare)
{
	u8 *place = view->data + offset;

	if (place + length <= view->end)
		return place;
	return copy_out(view, offset, spare, length) == 0 ? spare : 0;
}

INLINE struct view view_xdp(struct xdp_md *xdp)
{
	return (struct view){.data = (u8 *)(long)xdp->data, .end = (u8 *)(long)xdp->data_end, .context = xdp, .skb = 0};
}

INLINE struct view view_skb(struct __sk_buff *skb)
{
	return (struct view){.data = (u8 *)(long)skb->data, .end = (u8 *)(long)skb->data_end, .context = skb, .skb = 1};
}

INLINE u32 whole(const struct view *view)
{
	if (view->skb)
		return ((struct __sk_buff *)view->context)->len;
	return xdp_length(view->context);
}

struct ip4 {
	u8 start; // version, length in words
	u8 tos;
	u16 length;
	u16 id;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 sum;
	u8 source[4];
	u8 destination[4];
};

struct ip6 {
	u32 start;
	u16 length;
	u8 next;
	u8 hops;
	u8 source[16];
	u8 destination[16];
};

struct ends {
	u16 from, to;
};

#define COPY4(to, from) (*(u32 *)(to) = *(const u32 *)(from))
#define COPY16(to, from)                                                                           \
	do {                                                                                       \
		((u32 *)(to))[0] = ((const u32 *)(from))[0];                                       \
		((u32 *)(to))[1] = ((const u32 *)(from))[1];                                       \
		((u32 *)(to))[2] = ((const u32 *)(from))[2];                                       \
		((u32 *)(to))[3] = ((const u32 *)(from))[3];                                       \
	} while (0)

// inner_type is the type of what lies behind Ethernet and its tags, and where.
INLINE u32 inner_type(const struct view *view, u32 *offset)
{
	u16 spare, *type = at(view, 12, 2, &spare);
	u32 place = ETHERNET;

	if (!type)
		return 0;
	u32 found = BIG16(*type);

#pragma unroll
	for (int i = 0; i < TAGS; i++) {
		if (found != TYPE_VLAN && found != TYPE_QINQ)
			break;
		type = at(view, place + 2, 2, &spare);
		if (!type)
			return 0;
		found = BIG16(*type);
		place += TAG;
	}
	*offset = place;
	return found;
}

// transport tells TCP and UDP; -1 is another.
INLINE int transport(u32 protocol)
{
	if (protocol == NEXT_UDP)
		return UDP;
	if (protocol == NEXT_TCP)
		return TCP;
	return -1;
}

// read4 reads an IPv4 header. 0: it is TCP's or UDP's, and has the ports.
INLINE int read4(const struct view *view, u32 offset, struct packet *packet)
{
	struct ip4 spare, *ip = at(view, offset, sizeof spare, &spare);

	if (!ip)
		return -1;
	u32 words = ip->start & 15;
	int network = transport(ip->protocol);

	// A fragment behind the first has no ports.
	if (words < 5 || ip->start >> 4 != 4 || network < 0 || ip->fragment & BIG16(FRAGMENT_OFFSET))
		return -1;
	packet->network = network;
	packet->family = V4;
	packet->ip = offset;
	packet->length = BIG16(ip->length);
	packet->inner = offset + words * 4;
	COPY4(packet->source, ip->source);
	COPY4(packet->destination, ip->destination);
	return 0;
}

// extension tells whether a header is one behind which others come.
INLINE int extension(u32 next)
{
	return next == NEXT_HOPS || next == NEXT_ROUTING || next == NEXT_FRAGMENT || next == NEXT_DESTINATION ||
	       next == NEXT_AUTHENTICATION || next == NEXT_MOBILITY || next == NEXT_HIP || next == NEXT_SHIM6;
}

// skip walks over extension headers: where what is behind them begins, times 256, and
// its protocol in the last byte; 0 is a fragment behind the first, or no end.
INLINE u32 skip(const struct view *view, u32 place, u32 next)
{
	place &= 0xff;
	for (int i = 0; i < EXTENSIONS; i++) {
		if (!extension(next))
			break;
		u8 copy[4], *header = at(view, place, 4, copy);

		if (!header)
			return 0;
		u32 units = header[1];

		if (next == NEXT_FRAGMENT) {
			if (*(u16 *)(header + 2) & BIG16(FRAGMENT_OFFSET6))
				return 0;
			units = 8;
		} else if (next == NEXT_AUTHENTICATION) {
			units = (units + 2) * 4;
		} else {
			units = (units + 1) * 8;
		}
		next = header[0];
		place += units;
	}
	return place << 8 | (next & 0xff);
}

APART u32 skip_xdp(struct xdp_md *xdp, u32 place, u32 next)
{
	struct view view = view_xdp(xdp);

	return skip(&view, place, next);
}

APART u32 skip_skb(struct __sk_buff *skb, u32 place, u32 next)
{
	struct view view = view_skb(skb);

	return skip(&view, place, next);
}

// read6 reads an IPv6 header and those behind it.
INLINE int read6(const struct view *view, u32 offset, struct packet *packet)
{
	struct ip6 spare, *ip = at(view, offset, sizeof spare, &spare);

	if (!ip || *(u8 *)ip >> 4 != 6)
		return -1;
	u32 next = ip->next, place = offset + sizeof *ip;

	packet->family = V6;
	packet->ip = offset;
	packet->length = BIG16(ip->length) + sizeof *ip;
	COPY16(packet->source, ip->source);
	COPY16(packet->destination, ip->destination);
	if (extension(next)) {
		u32 behind = view->skb ? skip_skb(view->context, place, next) : skip_xdp(view->context, place, next);

		place = behind >> 8 & FURTHEST;
		next = behind & 0xff;
	}
	int network = transport(next);

	if (network < 0 || place == 0)
		return -1;
	packet->network = network;
	packet->inner = place;
	return 0;
}

// read_packet reads up to the ports. 0: it has ports.
INLINE int read_packet(const struct view *view, u32 type, u32 offset, struct packet *packet)
{
	if (type == TYPE_IPV4) {
		if (read4(view, offset, packet) < 0)
			return -1;
	} else if (type == TYPE_IPV6) {
		if (read6(view, offset, packet) < 0)
			return -1;
	} else {
		return -1;
	}
	struct ends spare, *ends = at(view, packet->inner, sizeof spare, &spare);

	if (!ends)
		return -1;
	packet->from = BIG16(ends->from);
	packet->to = BIG16(ends->to);
	return 0;
}
