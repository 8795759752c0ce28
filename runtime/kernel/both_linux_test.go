package kernel

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/filter"
)

// TestBothEnforcers has user space judge the rows of the table that get as far: datagrams
// that are whole, and new connections. It gives the verdicts that the kernel gives.
func TestBothEnforcers(t *testing.T) {
	table := filter.NewTable(filter.TableOptions{})
	if err := table.Listeners(example.listeners()); err != nil {
		t.Fatal(err)
	}
	if err := table.Put(entries(time.Now().Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	judged := map[filter.Reason]int{}
	for _, v := range example.table() {
		if v.want == foreign || v.cut != 0 || v.fragment != 0 || v.size != 0 {
			continue
		}
		now := time.Now().UnixNano()
		var got filter.Reason
		switch {
		case v.network == filter.UDP:
			got = table.Datagram(v.listener, v.from.Addr(), []byte(v.payload), now)
		case v.flags == flagSYN:
			got = table.Connect(v.listener, v.from.Addr(), now)
		default:
			continue // a packet of a connection that there is: user space sees none
		}
		if got != v.want {
			t.Errorf("%s: %s, not %s", v.name, got, v.want)
		}
		judged[got]++
	}
	for reason := range filter.Reasons {
		if judged[reason] == 0 {
			t.Errorf("no row was judged: %s", reason)
		}
	}
}

// TestBook has the book of rules tell the kernel: also of a listener that takes over the
// ID of another one, with rules of its own.
func TestBook(t *testing.T) {
	k := loaded(t, Options{})
	book := filter.NewBook(filter.BookOptions{Entries: 100})
	at := func(id uint16, name string) filter.Listener {
		return filter.Listener{ID: id, Name: name, Network: filter.UDP, Address: netip.AddrPortFrom(netip.MustParseAddr(example.near4), 7000+id)}
	}
	rule := func(listener, prefix string) filter.Rule {
		return filter.Rule{Listener: listener, Prefix: netip.MustParsePrefix(prefix), Action: filter.Deny}
	}
	if err := book.Configure([]filter.Listener{at(0, "a"), at(1, "b")}, []filter.Rule{rule("a", "10.0.0.0/8"), rule("b", "10.1.0.0/16")}); err != nil {
		t.Fatal(err)
	}
	if _, err := book.FollowKeeper(k); err != nil {
		t.Fatal(err)
	}
	expect := func(want map[string]string) {
		t.Helper()
		if err := book.Push(); err != nil {
			t.Fatal(err)
		}
		listeners, entries, err := k.Kept()
		if err != nil {
			t.Fatal(err)
		}
		names, got := map[uint16]string{}, map[string]string{}
		for _, l := range listeners {
			names[l.ID] = l.Name
		}
		slices.SortFunc(entries, func(a, b filter.Entry) int { return a.Prefix.Compare(b.Prefix) })
		for _, e := range entries {
			got[names[e.Listener]] += e.Prefix.String() + " "
		}
		if !maps.Equal(got, want) {
			t.Errorf("the kernel has %v, not %v", got, want)
		}
	}
	expect(map[string]string{"a": "10.0.0.0/8 ", "b": "10.1.0.0/16 "})
	if err := book.Configure([]filter.Listener{at(0, "a"), at(1, "c")}, []filter.Rule{rule("a", "10.0.0.0/8"), rule("c", "10.2.0.0/16")}); err != nil {
		t.Fatal(err)
	}
	expect(map[string]string{"a": "10.0.0.0/8 ", "c": "10.2.0.0/16 "})
	if err := book.Configure([]filter.Listener{at(0, "a"), at(2, "d")}, []filter.Rule{rule("a", "10.3.0.0/16"), rule("", "10.4.0.0/16")}); err != nil {
		t.Fatal(err)
	}
	expect(map[string]string{"a": "10.3.0.0/16 10.4.0.0/16 ", "d": "10.4.0.0/16 "})
}
