package filter

import (
	"fmt"
	"slices"
	"time"
)

// Configure replaces the listeners, which have IDs and names of their own, and the rules
// of the configuration, all of that or nothing. What both the old and the new ones forbid
// does not pass meanwhile, and what both let pass is not dropped: enforcers are given new
// entries, then the listeners, and then told what is to go. Other owners' rules stay; one
// for a listener that is not there any more has no effect.
func (b *Book) Configure(listeners []Listener, rules []Rule) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := func(name string) bool {
		return name == "" || slices.ContainsFunc(listeners, func(l Listener) bool { return l.Name == name })
	}
	now := b.now()
	entries := 0
	for i := range rules {
		r := &rules[i]
		if r.Owner = OwnerConfig; !known(r.Listener) {
			return fmt.Errorf("%w: no listener is called %q", ErrRule, r.Listener)
		}
		if err := b.check(r, b.owners[OwnerConfig], now); err != nil {
			return err
		}
		if entries++; r.Listener == "" {
			entries += len(listeners) - 1
		}
	}
	if entries > b.limit {
		return fmt.Errorf("%w: the configuration has %d, and there may be %d: raise kernel.entries, or name shorter prefixes", ErrFull, entries, b.limit)
	}
	fresh := slices.ContainsFunc(listeners, func(l Listener) bool {
		return !slices.ContainsFunc(b.listeners, func(was Listener) bool { return was.ID == l.ID })
	})
	if fresh { // entries cannot come before their listeners
		if err := b.tellListeners(listeners); err != nil {
			return err
		}
	}
	b.gone = []Entry{}
	b.place(slices.Clone(listeners))
	b.replace(rules, now)
	var err error
	if !fresh {
		err = b.tellListeners(listeners)
	}
	for _, n := range b.near {
		_ = n.Delete(b.gone)
	}
	b.gone = nil
	for _, f := range b.far {
		f.all = b.listeners
	}
	b.tell()
	return err
}

func (b *Book) tellListeners(listeners []Listener) error {
	for _, n := range b.near {
		if err := n.Listeners(listeners); err != nil {
			return err
		}
	}
	return nil
}

// place takes the listeners, forgets the entries of those that are gone, and looks up
// where rules are. Entries are not settled.
func (b *Book) place(listeners []Listener) {
	gone := map[uint16]bool{}
	for i := range b.listeners {
		gone[b.listeners[i].ID] = true
	}
	b.listeners = listeners
	for i := range listeners {
		delete(gone, listeners[i].ID)
	}
	for where, e := range b.entries {
		if gone[where.listener] {
			delete(b.entries, where)
			b.drop(where, e)
		}
	}
	for _, rules := range b.rules {
		for _, r := range rules {
			r.at = b.index(r.Listener)
		}
	}
}

// replace replaces the configuration's rules and settles all entries.
func (b *Book) replace(rules []Rule, now time.Time) {
	for _, list := range b.rules {
		for _, r := range slices.Clone(list) {
			if r.by.author == ByConfig {
				b.take(r)
			}
		}
	}
	for _, r := range rules {
		if b.find(r.Owner, r.Listener, r.Prefix) == nil {
			b.add(b.make(r, b.owners[OwnerConfig], now))
		}
	}
	for p := range b.rules {
		b.settleOne(p, everywhere)
	}
	for where, e := range b.entries { // of prefixes that no rule names any more
		if len(b.rules[where.prefix]) == 0 {
			delete(b.entries, where)
			b.drop(where, e)
		}
	}
}
