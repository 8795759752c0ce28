package filter

import (
	"cmp"
	"net/netip"
	"slices"
)

// Query narrows down a list of rules; the zero value is all.
type Query struct {
	// Owner is whose rules; empty: everybody's.
	Owner string
	// Listener is for which listener, rules for all of them included; empty: any.
	Listener string
	// Source is in the rules' prefixes; the zero Addr: any.
	Source netip.Addr
	// Action is what the rules do; nil: both.
	Action *Action
	// Limit is how many at most; 0: all.
	Limit int
}

// List is the rules that the query names, by prefix, listener and owner, and how many
// there are without the limit.
func (b *Book) List(q Query) (list []Rule, total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	add := func(rules []*rule) {
		for _, r := range rules {
			if q.Owner != "" && q.Owner != r.Owner || q.Listener != "" && r.Listener != "" && q.Listener != r.Listener || q.Action != nil && *q.Action != r.Action {
				continue
			}
			list = append(list, r.Rule)
		}
	}
	if q.Source.IsValid() {
		source := q.Source.Unmap().WithZone("")
		add(b.containing(netip.PrefixFrom(source, source.BitLen())))
	} else {
		for _, rules := range b.rules {
			add(rules)
		}
	}
	slices.SortFunc(list, func(x, y Rule) int {
		return cmp.Or(x.Prefix.Addr().Compare(y.Prefix.Addr()), cmp.Compare(x.Prefix.Bits(), y.Prefix.Bits()),
			cmp.Compare(x.Listener, y.Listener), cmp.Compare(x.Owner, y.Owner))
	})
	total = len(list)
	if q.Limit > 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	for i := range list {
		if r := b.find(list[i].Owner, list[i].Listener, list[i].Prefix); r != nil {
			list[i].Overruled = b.overruled(r)
		}
	}
	return list, total
}

// Owned tells how many rules each owner has.
func (b *Book) Owned() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := make(map[string]int, len(b.owners))
	for name, o := range b.owners {
		counts[name] = o.rules
	}
	return counts
}

// Entries is how many entries the enforcers have, or are about to, and how many there may
// be.
func (b *Book) Entries() (have, limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries), b.limit
}
