package filter

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// containing appends the rules whose prefixes contain p, the shortest first.
func (b *Book) containing(p netip.Prefix) []*rule {
	list := b.scratch[:0]
	counts := &b.lengths[family(p)]
	for n := range p.Bits() + 1 {
		if counts[n] == 0 {
			continue
		}
		if q, err := p.Addr().Prefix(n); err == nil {
			list = append(list, b.rules[q]...)
		}
	}
	b.scratch = list
	return list
}

// verdict is the rule that decides about sources for which p is the longest prefix of
// all that are named, at one listener: one of list, which are those that contain p. nil:
// the default does. See Book for the order. Those that end no later than without, which
// may be nil, are left out, and it itself.
func verdict(list []*rule, at int, without *rule) *rule {
	var operator, config, protect, block, allow *rule
	for _, r := range list { // the shortest first: the last one stays
		if !r.holds(at) || without != nil && (r == without || lasting(r.Until, without.Until) <= 0) {
			continue
		}
		switch {
		case r.by.author == ByOperator:
			operator = stronger(operator, r)
		case r.by.author == ByConfig:
			config = stronger(config, r)
			if r.Protect {
				protect = r
			}
		case r.Action == Deny:
			block = stronger(block, r)
		default:
			allow = stronger(allow, r)
		}
	}
	switch {
	case operator != nil:
		return operator
	case config != nil && config.Action == Deny:
		return config
	case protect != nil:
		return protect
	case block != nil && (config == nil || config.Prefix.Bits() < block.Prefix.Bits()):
		return block
	case config != nil:
		return config
	}
	return allow
}

// stronger is the one of two rules of one rank that decides: the longer prefix; of the
// same prefix the one that denies; then the one that lasts longer.
func stronger(a, b *rule) *rule {
	if a == nil {
		return b
	}
	by := cmp.Or(
		cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
		cmp.Compare(a.Action, b.Action),
		lasting(a.Until, b.Until))
	if by > 0 {
		return a
	}
	return b
}

// lasting compares ends, of which zero is the latest.
func lasting(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b)
}

// entry is what an enforcer is to have for p at a listener; ok is false for nothing.
func (b *Book) entry(list []*rule, p netip.Prefix, at int) (e Entry, ok bool) {
	named := slices.ContainsFunc(list, func(r *rule) bool { return r.Prefix == p && r.holds(at) })
	if !named {
		return e, false
	}
	r := verdict(list, at, nil)
	if r == nil {
		return e, false
	}
	// An enforcer forgets an entry at its end, before Tick has put another in its place.
	// Nothing passes meanwhile that is then forbidden.
	ends := r.Until
	for !ends.IsZero() {
		then := verdict(list, at, r)
		if then == nil || then.Action == Allow {
			break
		}
		if r.Action == Allow {
			ends = time.Time{}
			break
		}
		r, ends = then, then.Until
	}
	e = Entry{Listener: b.listeners[at].ID, Prefix: p, Action: r.Action, Until: ends, Author: r.by.author}
	if r.Action == Deny {
		if e.Reason = Blocked; r.by.author == ByConfig {
			e.Reason = Denied
		}
	}
	return e, true
}

// settle brings the entries of p, and of what it contains, to what the rules say, at one
// listener or everywhere.
func (b *Book) settle(p netip.Prefix, at int) {
	b.settleOne(p, at)
	switch {
	case p.IsSingleIP():
	case p.Addr().Is6() && p.Bits() == 64:
		for q := range b.within[p] {
			b.settleOne(q, at)
		}
	default:
		for q := range b.rules {
			if q != p && p.Bits() < q.Bits() && p.Contains(q.Addr()) {
				b.settleOne(q, at)
			}
		}
	}
	b.tell()
}

// settleAll is settle for many prefixes: if one of them contains others, for all.
func (b *Book) settleAll(touched map[netip.Prefix]struct{}) {
	wide := false
	for p := range touched {
		if wide = wide || !p.IsSingleIP(); !wide {
			b.settleOne(p, everywhere)
		}
	}
	if wide {
		for p := range touched {
			b.settleOne(p, everywhere)
		}
		for p := range b.rules {
			b.settleOne(p, everywhere)
		}
	}
	b.tell()
}

func (b *Book) settleOne(p netip.Prefix, at int) {
	list := b.containing(p)
	if at >= 0 {
		b.settleAt(list, p, at)
		return
	}
	for i := range b.listeners {
		b.settleAt(list, p, i)
	}
}

func (b *Book) settleAt(list []*rule, p netip.Prefix, at int) {
	where := place{b.listeners[at].ID, p}
	old, was := b.entries[where]
	e, is := b.entry(list, p, at)
	switch {
	case is && (!was || e != old):
		b.entries[where] = e
		b.put(where, e)
	case !is && was:
		delete(b.entries, where)
		b.drop(where, old)
	}
}

// overruled tells whether a rule is in force at no listener.
func (b *Book) overruled(r *rule) bool {
	list := b.containing(r.Prefix)
	for at := range b.listeners {
		if r.holds(at) {
			if won := verdict(list, at, nil); won != nil && won.Action == r.Action {
				return false
			}
		}
	}
	return len(b.listeners) > 0
}

func (b *Book) overruling(r *rule) error {
	list := b.containing(r.Prefix)
	for at := range b.listeners {
		if r.holds(at) {
			if won := verdict(list, at, nil); won != nil {
				does := "allows"
				if won.Action == Deny {
					does = "denies"
				}
				return fmt.Errorf("%w: %s %s %s", ErrOverruled, won.Owner, does, won.Prefix)
			}
		}
	}
	return fmt.Errorf("%w: %s", ErrOverruled, r.Prefix)
}
