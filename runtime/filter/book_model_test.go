package filter_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/filter"
)

// TestBookModel does at random what owners do, and compares the table and the follower
// with the ranks, applied to all rules for each source.
func TestBookModel(t *testing.T) {
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		b := newBook(t, 4000)
		for _, p := range []string{"p", "q"} {
			b.Grant(filter.OwnerOfPlugin(p), filter.Ceiling{Rules: 1000, TTL: time.Hour, Allow: true})
		}
		source := func() netip.Addr {
			if rnd.IntN(2) == 0 {
				return netip.AddrFrom4([4]byte{10, byte(rnd.IntN(2)), 0, byte(rnd.IntN(6))})
			}
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, byte(rnd.IntN(2)), 15: byte(rnd.IntN(3))})
		}
		var config []filter.Rule
		for step := range 600 {
			a, r := source(), filter.Rule{Listener: []string{"", "a", "b"}[rnd.IntN(3)], Action: filter.Action(rnd.IntN(2))}
			r.Prefix, _ = a.Prefix(a.BitLen())
			if n := rnd.IntN(4); a.Is6() && n == 0 {
				r.Prefix, _ = a.Prefix(64)
			}
			if rnd.IntN(2) == 0 {
				r.Until = b.clock.Now().Add(time.Duration(1+rnd.IntN(200)) * time.Second)
			}
			switch n := rnd.IntN(10); {
			case n < 4:
				if r.Owner = filter.OwnerOfPlugin([]string{"p", "q"}[rnd.IntN(2)]); r.Until.IsZero() {
					r.Until = b.clock.Now().Add(time.Minute)
				}
				if err := b.Set(r); err != nil && !errors.Is(err, filter.ErrOverruled) {
					t.Fatal(err)
				}
			case n < 6:
				r.Owner = filter.OwnerOperator
				r.Prefix, _ = a.Prefix(rnd.IntN(a.BitLen() + 1))
				b.set(r)
			case n < 7:
				r.Owner, r.Until = filter.OwnerConfig, time.Time{}
				r.Prefix, _ = a.Prefix(rnd.IntN(a.BitLen() + 1))
				r.Protect = r.Action == filter.Allow && rnd.IntN(2) == 0
				if len(config) > 6 {
					config = config[rnd.IntN(6):]
				}
				config = slices.DeleteFunc(config, func(c filter.Rule) bool { return c.Listener == r.Listener && c.Prefix == r.Prefix })
				if config = append(config, r); b.config(config) != nil {
					t.Fatal("the configuration was refused")
				}
			case n < 8:
				b.Unblock(r.Listener, r.Prefix)
			case n < 9:
				if list, _ := b.List(filter.Query{}); len(list) > 0 {
					gone := list[rnd.IntN(len(list))]
					if gone.Owner != filter.OwnerConfig && !b.Remove(gone.Owner, gone.Listener, gone.Prefix) {
						t.Fatal("what is listed is not there")
					}
				}
			default:
				b.clock.move(time.Duration(rnd.IntN(30)) * time.Second)
				b.Tick(b.clock.Now())
			}
			b.compare(fmt.Sprintf("seed %d, step %d", seed, step), source)
		}
		if err := b.Push(); err != nil {
			t.Fatal(err)
		}
		if have, _ := b.Entries(); have != len(b.far.entries) {
			t.Errorf("the follower has %d entries, the book %d", len(b.far.entries), have)
		}
	}
}

func (b *book) compare(where string, source func() netip.Addr) {
	b.t.Helper()
	rules, _ := b.List(filter.Query{})
	for range 6 {
		a := source()
		for id, listener := range []string{"a", "b"} {
			got := b.table.Rules(uint16(id), a, b.clock.Now().UnixNano())
			if want := ranked(rules, listener, a); (got == filter.Pass) != (want == filter.Pass) {
				b.t.Fatalf("%s: %s at %s is %s, by the ranks %s\n%+v", where, a, listener, got, want, rules)
			}
		}
	}
}

// ranked is Book's list of ranks, word for word.
func ranked(rules []filter.Rule, listener string, a netip.Addr) filter.Reason {
	longest := func(which func(filter.Rule) bool) (best filter.Rule, bits int) {
		bits = -1
		for _, r := range rules {
			if r.Prefix.Contains(a) && (r.Listener == "" || r.Listener == listener) && which(r) &&
				(r.Prefix.Bits() > bits || r.Prefix.Bits() == bits && r.Action > best.Action) {
				best, bits = r, r.Prefix.Bits()
			}
		}
		return best, bits
	}
	says := func(r filter.Rule) filter.Reason {
		if r.Action == filter.Deny {
			return filter.Blocked
		}
		return filter.Pass
	}
	plugin := func(r filter.Rule) bool { return strings.HasPrefix(r.Owner, "plugin:") }
	if r, bits := longest(func(r filter.Rule) bool { return r.Owner == filter.OwnerOperator }); bits >= 0 {
		return says(r)
	}
	config, configBits := longest(func(r filter.Rule) bool { return r.Owner == filter.OwnerConfig })
	if configBits >= 0 && config.Action == filter.Deny {
		return filter.Denied
	}
	_, protected := longest(func(r filter.Rule) bool { return r.Protect })
	if block, bits := longest(func(r filter.Rule) bool { return plugin(r) && r.Action == filter.Deny }); bits >= 0 && protected < 0 && configBits < bits {
		return says(block)
	}
	return filter.Pass
}
