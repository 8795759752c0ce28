package filter

import (
	"container/heap"
	"net/netip"
	"slices"
)

// ends are the rules that end, the next one first.
type ends []*rule

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].Until.Before(e[j].Until) }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i]; e[i].index, e[j].index = i, j }
func (e *ends) Push(x any)        { r := x.(*rule); r.index = len(*e); *e = append(*e, r) }
func (e *ends) Pop() any {
	last := len(*e) - 1
	r := (*e)[last]
	(*e)[last], *e = nil, (*e)[:last]
	r.index = -1
	return r
}

// add puts a rule in. What comes of it is settled by the caller.
func (b *Book) add(r *rule) {
	list := b.rules[r.Prefix]
	if len(list) == 0 {
		b.lengths[family(r.Prefix)][r.Prefix.Bits()]++
		if link, ok := linkOf(r.Prefix); ok {
			if b.within[link] == nil {
				b.within[link] = map[netip.Prefix]struct{}{}
			}
			b.within[link][r.Prefix] = struct{}{}
		}
	}
	b.rules[r.Prefix] = append(list, r)
	b.total++
	r.by.rules++
	if !r.Until.IsZero() {
		heap.Push(&b.ends, r)
	}
}

// take takes a rule out. What comes of it is settled by the caller.
func (b *Book) take(r *rule) {
	list := b.rules[r.Prefix]
	at := slices.Index(list, r)
	if at < 0 {
		return
	}
	if list = slices.Delete(list, at, at+1); len(list) > 0 {
		b.rules[r.Prefix] = list
	} else {
		delete(b.rules, r.Prefix)
		b.lengths[family(r.Prefix)][r.Prefix.Bits()]--
		if link, ok := linkOf(r.Prefix); ok {
			if delete(b.within[link], r.Prefix); len(b.within[link]) == 0 {
				delete(b.within, link)
			}
		}
	}
	b.total--
	r.by.rules--
	if r.index >= 0 {
		heap.Remove(&b.ends, r.index)
	}
}

func (b *Book) removeAll(which func(*rule) bool) (n int) {
	touched := map[netip.Prefix]struct{}{}
	for _, list := range b.rules {
		for _, r := range slices.Clone(list) {
			if which(r) {
				b.take(r)
				touched[r.Prefix] = struct{}{}
				n++
			}
		}
	}
	b.settleAll(touched)
	return n
}

func (b *Book) find(owner, listener string, p netip.Prefix) *rule {
	for _, r := range b.rules[p] {
		if r.Owner == owner && r.Listener == listener {
			return r
		}
	}
	return nil
}

func (b *Book) index(listener string) int {
	if listener == "" {
		return everywhere
	}
	for i := range b.listeners {
		if b.listeners[i].Name == listener {
			return i
		}
	}
	return nowhere
}

func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

// linkOf is the /64 that contains a longer prefix.
func linkOf(p netip.Prefix) (netip.Prefix, bool) {
	if p.Addr().Is4() || p.Bits() <= 64 {
		return netip.Prefix{}, false
	}
	link, err := p.Addr().Prefix(64)
	return link, err == nil
}
