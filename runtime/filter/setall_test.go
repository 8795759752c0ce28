package filter

import (
	"errors"
	"net/netip"
	"testing"
)

// TestSetAllIsAllOrNothing: where one rule of several cannot be, none is, and what they
// would have replaced is still there.
func TestSetAllIsAllOrNothing(t *testing.T) {
	b := NewBook(BookOptions{Entries: 3})
	if err := b.Configure([]Listener{{ID: 0, Name: "a"}, {ID: 1, Name: "b"}}, nil); err != nil {
		t.Fatal(err)
	}
	rule := func(listener, prefix, why string) Rule {
		return Rule{Owner: OwnerOperator, Listener: listener, Prefix: netip.MustParsePrefix(prefix), Action: Deny, Why: why}
	}
	if err := b.SetAll([]Rule{rule("a", "192.0.2.1/32", "first"), rule("b", "192.0.2.1/32", "first")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		list []Rule
		want error
	}{
		{[]Rule{rule("a", "192.0.2.1/32", "second"), rule("none", "192.0.2.1/32", "second")}, ErrRule},
		{[]Rule{rule("a", "192.0.2.1/32", "second"), rule("a", "192.0.2.2/32", "second"), rule("b", "192.0.2.2/32", "second")}, ErrCeiling},
	} {
		if err := b.SetAll(c.list); !errors.Is(err, c.want) {
			t.Fatalf("%v, want %v", err, c.want)
		}
		list, total := b.List(Query{})
		if have, _ := b.Entries(); total != 2 || have != 2 || list[0].Why != "first" || list[1].Why != "first" {
			t.Errorf("after %v: %d entries, %+v", c.want, have, list)
		}
	}
}
