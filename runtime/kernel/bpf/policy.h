// SPDX-License-Identifier: Apache-2.0
//
// The policy of package filter, in its order: the listener, the rules, the first
// bytes of a datagram, the rate of the source.
#pragma once

#include "kernel.h"
#include "maps.h"
#include "packet.h"

enum {
	// Whom others overtake this often between reading and writing one number is
	// one of many packets of one source at the same moment: over its rate.
	ATTEMPTS = 8,
	// One event in this many ns, by CPU and listener.
	EVENT_EVERY = 10 * 1000 * 1000,
};

INLINE u64 time(const struct state *state)
{
	return ticks() * state->tick;
}

// find finds the listener that a packet is for: which is its place in its map. 0: it is
// for none.
INLINE int find(const struct packet *packet, u32 *which)
{
	u32 zero = 0;
	struct state *current = map_lookup(&state, &zero);

	if (!current)
		return 0;
	u32 slot = current->slot & 1;
	struct ports *all = map_lookup(&ports, &slot);

	if (!all)
		return 0;
	u32 number = all->group[(packet->network & 1) << 16 | packet->to];

	if (number == 0)
		return 0;
	u32 base = slot * LISTENERS;

	number += base - 1;
	struct group *group = map_lookup(&groups, &number);

	if (!group)
		return 0;
	number = group->any[packet->family & 1];
	if (unlikely(group->specific)) {
		struct address key = {.port = packet->to, .network = packet->network, .family = packet->family, .slot = slot};

		COPY4(key.address, packet->destination);
		if (packet->family == V6)
			COPY16(key.address, packet->destination);
		u32 *found = map_lookup(&addresses, &key);

		if (found)
			number = *found;
	}
	*which = number + base;
	return number < LISTENERS;
}

// judge_rule is what a rule says; -1: it has ended.
INLINE int judge_rule(const struct state *state, const struct rule *rule)
{
	if (rule->until && time(state) >= rule->until)
		return -1;
	if (rule->action == ALLOW)
		return PASS;
	return rule->reason == BLOCKED ? BLOCKED : DENIED;
}

// older4 and older6 look for the next shorter prefix that has not ended, when a rule of
// a prefix of bits has. It is rare, and bounded by the lengths that there are.
#define OLDER(name, map, type, most)                                                               \
	APART int name(struct type *key, u32 bits)                                                 \
	{                                                                                          \
		u32 zero = 0;                                                                      \
		struct state *current = map_lookup(&state, &zero);                                 \
                                                                                                   \
		if (!key || !current)                                                              \
			return -1;                                                                 \
		for (int i = 0; i < most; i++) {                                                   \
			if (bits <= 32 || bits > 32 + most)                                        \
				break;                                                             \
			key->bits = bits - 1;                                                      \
			struct rule *rule = map_lookup(map, key);                                  \
			if (!rule)                                                                 \
				break;                                                             \
			int verdict = judge_rule(current, rule);                                   \
			if (verdict >= 0)                                                          \
				return verdict;                                                    \
			bits = rule->bits;                                                         \
		}                                                                                  \
		return -1;                                                                         \
	}

OLDER(older4, &rules4, key4, 32)
OLDER(older6, &rules6, key6, 128)

// judge_rules is what the rule with the longest prefix says that has not ended, or the
// listener's default.
INLINE int judge_rules(const struct state *state, const struct packet *packet, const struct listener *listener, u32 id)
{
	struct rule *rule = 0;
	int verdict = -1;

	if (!state->has[id * 2 + (packet->family & 1)])
		return listener->deny ? DENIED : PASS;
	if (packet->family == V4) {
		struct key4 key = {.bits = 64, .listener = id};

		COPY4(key.address, packet->source);
		rule = map_lookup(&rules4, &key);
		if (rule)
			verdict = judge_rule(state, rule);
		if (rule && unlikely(verdict < 0))
			verdict = older4(&key, rule->bits);
	} else {
		struct key6 key = {.bits = 160, .listener = id};

		COPY16(key.address, packet->source);
		rule = map_lookup(&rules6, &key);
		if (rule)
			verdict = judge_rule(state, rule);
		if (rule && unlikely(verdict < 0))
			verdict = older6(&key, rule->bits);
	}
	if (verdict >= 0)
		return verdict;
	return listener->deny ? DENIED : PASS;
}

// begins looks whether a datagram begins as one of the listener's does. One whose first
// fragment is shorter than what it has to show does not.
INLINE int begins(const struct view *view, u32 inner, const struct listener *listener)
{
	u16 spare, *field = at(view, inner + 4, 2, &spare);

	if (!field)
		return 0;
	u32 length = BIG16(*field);

	length = length > 8 ? length - 8 : 0;
	for (int i = 0; i < PATTERNS; i++) {
		const struct pattern *pattern = &listener->pattern[i];
		u32 size = pattern->length, offset = pattern->offset & 31;

		if (i >= listener->patterns)
			break;
		if (length < pattern->minimum)
			continue;
		if (size == 0)
			return 1;
		if (length < offset + size)
			continue;
		u64 word = 0;
		u32 place = inner + 8 + offset;
		u8 *bytes = view->data + place;

		if (bytes + 8 <= view->end)
			word = *(u64 *)bytes;
		else if (size > 8 || copy_out(view, place, &word, size) < 0)
			continue;
		if ((word & pattern->mask) == pattern->value)
			return 1;
	}
	return 0;
}

// within takes count tokens from the source, if it has them. Within a tick time stands
// still, so a source may be early by one: who keeps to the limit is never beyond it, and
// a burst may be longer by what a tick has of the rate.
INLINE int within(const struct state *state, const struct packet *packet, u32 id, const struct listener *listener, u32 count)
{
	struct source key = {.listener = id, .family = packet->family};
	u64 cost = listener->every * count, now = time(state), depth = listener->depth + state->tick;

	key.address[0] = *(const u32 *)packet->source;
	if (packet->family == V6)
		key.address[1] = *(const u32 *)(packet->source + 4);
	u64 *full = map_lookup(&sources, &key);

	if (!full) {
		u64 first = now + cost;

		if (cost > depth)
			return 0;
		if (map_update(&sources, &key, &first, UPDATE_NOEXIST) == 0)
			return 1;
		full = map_lookup(&sources, &key);
		if (!full)
			return 1; // no memory for it: it is not known, and passes
	}
	for (int i = 0; i < ATTEMPTS; i++) {
		u64 old = *(volatile u64 *)full;
		u64 next = (old > now ? old : now) + cost;

		if (next > now + depth)
			return 0;
		if (__sync_val_compare_and_swap(full, old, next) == old)
			return 1;
	}
	return 0;
}

// opens tells whether a TCP packet begins a connection. One that hides its flags in a
// later fragment does.
INLINE int opens(const struct view *view, const struct packet *packet)
{
	u8 spare, *flags = at(view, (packet->inner & FURTHEST) + 13, 1, &spare);

	return !flags || (*flags & (FLAG_SYN | FLAG_ACK)) == FLAG_SYN;
}

INLINE int judge(const struct state *state, const struct view *view, const struct packet *packet,
		 const struct listener *listener, u32 id, u32 count)
{
	int reason = judge_rules(state, packet, listener, id);

	if (reason != PASS)
		return reason;
	if (packet->network == UDP && listener->patterns && !begins(view, packet->inner & FURTHEST, listener))
		return MALFORMED;
	if (!listener->every)
		return PASS;
	if (packet->network == UDP)
		return within(state, packet, id, listener, count) ? PASS : RATE;
	if (opens(view, packet) && !within(state, packet, id, listener, 1))
		return CONNECTION_RATE;
	return PASS;
}

// tell sends an event, unless this CPU sent one for this listener just now.
INLINE void tell(const struct state *state, const struct packet *packet, struct counter *counter, u32 id, int reason, u32 count)
{
	u64 now = time(state);

	counter->since += count;
	if (now < counter->next)
		return;
	struct event event = {.listener = id, .port = packet->from, .reason = reason, .family = packet->family};

	event.weight = counter->since;
	counter->since = 0;
	counter->next = now + EVENT_EVERY;
	COPY4(event.address, packet->source);
	if (packet->family == V6)
		COPY16(event.address, packet->source);
	ringbuf_output(&events, &event, sizeof event, 0);
}

// decide is 1 for a packet that is to be dropped, of those for the listener at which.
INLINE int decide(const struct view *view, struct packet *packet, u32 which, u32 count)
{
	u32 zero = 0;
	struct state *current = map_lookup(&state, &zero);
	struct listener *listener = map_lookup(&listeners, &which);

	if (!packet || !current || !listener)
		return 0;
	u32 id = listener->id, length = packet->length;

	if (id >= LISTENERS)
		return 0;
	int reason = judge(current, view, packet, listener, id, count);
	struct counter *counter = map_lookup(&counters, &id);

	if (view->data + (packet->ip & 0xff) + (length & 0xffff) > view->end || length == 0) {
		u32 real = whole(view) - packet->ip;

		if (length == 0 || length > real)
			length = real;
	}
	if (counter) {
		// Nothing else runs on this CPU meanwhile that counts here: the hooks
		// run in the network's soft interrupt.
		counter->packets[reason & 7] += count;
		counter->bytes[reason & 7] += length;
		if (reason != PASS)
			tell(current, packet, counter, id, reason, count);
	}
	return reason != PASS;
}

APART int decide_xdp(struct xdp_md *xdp, struct packet *packet, u32 which)
{
	struct view view = view_xdp(xdp);

	return decide(&view, packet, which, 1);
}

APART int decide_skb(struct __sk_buff *skb, struct packet *packet, u32 which)
{
	struct view view = view_skb(skb);
	u32 count = skb->gso_segs; // how many packets it was before the kernel put them together

	return decide(&view, packet, which, count ? count : 1);
}

// verdict is 1 for a packet that is to be dropped.
INLINE int verdict(const struct view *view, u32 type, u32 offset)
{
	struct packet packet = {}; // all of it, for older verifiers
	u32 which;

	if (read_packet(view, type, offset, &packet) < 0 || !find(&packet, &which))
		return 0;
	return view->skb ? decide_skb(view->context, &packet, which) : decide_xdp(view->context, &packet, which);
}
