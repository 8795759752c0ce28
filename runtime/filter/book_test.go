package filter_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/filter"
)

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// kept is an enforcer that is a plain map, and can fail.
type kept struct {
	mu        sync.Mutex
	listeners []filter.Listener
	entries   map[string]filter.Entry
	fail      error
	calls     int
	left      []filter.Entry // of an earlier process
}

func name(e filter.Entry) string { return fmt.Sprint(e.Listener, " ", e.Prefix) }

func (k *kept) Listeners(list []filter.Listener) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	if k.fail == nil {
		k.listeners = list
	}
	return k.fail
}

func (k *kept) Put(list []filter.Entry) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	for _, e := range list {
		if k.fail == nil {
			k.entries[name(e)] = e
		}
	}
	return k.fail
}

func (k *kept) Delete(list []filter.Entry) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	for _, e := range list {
		if k.fail == nil {
			delete(k.entries, name(e))
		}
	}
	return k.fail
}

func (k *kept) Counts(list []filter.Count) ([]filter.Count, error) { return list, nil }

func (k *kept) Kept() ([]filter.Listener, []filter.Entry, error) { return k.listeners, k.left, nil }

// book is a Book with a Table attached and a follower, and the listeners a and b.
type book struct {
	*filter.Book
	t     testing.TB
	clock *clock
	table *filter.Table
	far   *kept
}

func newBook(t testing.TB, entries int) *book {
	t.Helper()
	b := &book{t: t, clock: &clock{now: start}, table: filter.NewTable(filter.TableOptions{}), far: &kept{entries: map[string]filter.Entry{}}}
	b.Book = filter.NewBook(filter.BookOptions{Entries: entries, Now: b.clock.Now})
	if err := errors.Join(b.Attach(b.table), b.Configure([]filter.Listener{{ID: 0, Name: "a"}, {ID: 1, Name: "b"}}, nil)); err != nil {
		t.Fatal(err)
	}
	b.Follow(b.far)
	for _, p := range []string{"p", "q"} {
		b.Grant(filter.OwnerOfPlugin(p), filter.Ceiling{Rules: 3, TTL: time.Hour, Allow: true, Listeners: []string{"a"}})
	}
	return b
}

// config replaces the configuration's rules.
func (b *book) config(rules []filter.Rule) error {
	return b.Configure([]filter.Listener{{ID: 0, Name: "a"}, {ID: 1, Name: "b"}}, rules)
}

func (b *book) set(r filter.Rule) {
	b.t.Helper()
	if err := b.Set(r); err != nil {
		b.t.Fatal(err)
	}
}

func (b *book) expect(source string, want filter.Reason) {
	b.t.Helper()
	if got := b.table.Rules(0, addr(source), b.clock.Now().UnixNano()); got != want {
		b.t.Errorf("%s: %s, expected %s", source, got, want)
	}
}

// rule is written "owner +/- prefix [listener] [ttl]"; ! protects.
func (b *book) rule(text string) filter.Rule {
	b.t.Helper()
	words := strings.Fields(text)
	r := filter.Rule{Owner: words[0], Prefix: prefix(words[2])}
	switch words[1] {
	case "-":
		r.Action = filter.Deny
	case "!":
		r.Protect = true
	}
	for _, word := range words[3:] {
		if d, err := time.ParseDuration(word); err == nil {
			r.Until = b.clock.Now().Add(d)
		} else {
			r.Listener = word
		}
	}
	return r
}

// TestRank: who goes before whom, whatever the order in which they come.
func TestRank(t *testing.T) {
	for _, c := range []struct {
		rules  string
		source string
		want   filter.Reason
	}{
		{"operator - 10.1.2.3/32, config + 10.1.2.3/32", "10.1.2.3", filter.Blocked},
		{"operator + 10.0.0.0/8, config - 10.1.0.0/16", "10.1.2.3", filter.Pass},
		{"operator + 10.0.0.0/8, config - 10.1.0.0/16", "11.1.2.3", filter.Pass},
		{"operator - 10.0.0.0/8, config + 10.1.0.0/16", "10.1.2.3", filter.Blocked},
		{"operator - 10.0.0.0/8, operator + 10.1.0.0/16", "10.1.2.3", filter.Pass},
		{"config - 10.0.0.0/8, config + 10.1.0.0/16", "10.1.2.3", filter.Pass},
		{"config - 10.0.0.0/8, plugin:p + 10.1.2.3/32 a 1m", "10.1.2.3", filter.Denied}, // refused
		{"plugin:p - 10.1.2.3/32 a 1m, config + 10.0.0.0/8", "10.1.2.3", filter.Blocked},
		{"plugin:p - 10.1.2.3/32 a 1m, config + 10.1.2.3/32", "10.1.2.3", filter.Pass},
		{"plugin:p - 10.1.2.3/32 a 1m, config ! 10.0.0.0/8", "10.1.2.3", filter.Pass},
		{"plugin:p - 10.1.2.3/32 a 1m, config ! 10.0.0.0/8, config + 10.1.0.0/16", "10.1.2.3", filter.Pass},
		{"plugin:p - 10.1.2.3/32 a 1m, config ! 10.0.0.0/8, config - 10.1.0.0/16", "10.1.2.3", filter.Denied},
		{"operator - 10.1.2.3/32, config ! 10.0.0.0/8", "10.1.2.3", filter.Blocked},
		{"operator + 10.1.0.0/16, plugin:p - 10.1.2.3/32 a 1m", "10.1.2.3", filter.Pass},
		{"plugin:p - 10.1.2.3/32 a 1m, plugin:q + 10.1.2.3/32 a 1m", "10.1.2.3", filter.Blocked},
		{"plugin:p - 2001:db8::/64 a 1m, plugin:q + 2001:db8::1/128 a 1m", "2001:db8::1", filter.Blocked},
		{"plugin:p - 2001:db8::/64 a 1m, config + 2001:db8::1/128", "2001:db8::1", filter.Pass},
		{"plugin:p - 2001:db8::/64 a 1m, config + 2001:db8::1/128", "2001:db8::2", filter.Blocked},
		{"operator - 10.1.2.3/32 b", "10.1.2.3", filter.Pass},
		{"operator - 10.1.2.3/32 b, operator - 10.1.2.3/32", "10.1.2.3", filter.Blocked},
		{"policy:frame - 10.1.2.3/32 a 1m, policy:auth - 10.1.2.3/32 a 1h", "10.1.2.3", filter.Blocked},
	} {
		texts := strings.Split(c.rules, ",")
		for turn := range len(texts) {
			b := newBook(t, 100)
			var config []filter.Rule
			for i := range texts {
				r := b.rule(texts[(i+turn)%len(texts)])
				if r.Owner == filter.OwnerConfig {
					config = append(config, r)
					if err := b.config(config); err != nil {
						t.Fatal(err)
					}
				} else if err := b.Set(r); err != nil && !errors.Is(err, filter.ErrOverruled) {
					t.Fatal(err)
				}
			}
			if got := b.table.Rules(0, addr(c.source), start.UnixNano()); got != c.want {
				t.Errorf("%s (from %d): %s is %s, expected %s", c.rules, turn, c.source, got, c.want)
			}
		}
	}
}

func TestCeilings(t *testing.T) {
	b := newBook(t, 12)
	b.set(b.rule("plugin:p - 192.0.2.1/32 a 1m"))
	for _, c := range []struct {
		rule string
		is   error
		says string
	}{
		{"plugin:p - 192.0.2.0/24 a 1m", filter.ErrCeiling, "plugin:p may not name 192.0.2.0/24: only a single source"},
		{"plugin:p - 0.0.0.0/0 a 1m", filter.ErrCeiling, "single source"},
		{"plugin:p - 2001:db8::/48 a 1m", filter.ErrCeiling, "an address or an IPv6 /64"},
		{"plugin:p - 192.0.2.2/32 a 2h", filter.ErrCeiling, "192.0.2.2/32 for 2h0m0s: at most 1h0m0s"},
		{"plugin:p - 192.0.2.2/32 a", filter.ErrCeiling, "for ever: at most 1h0m0s"},
		{"plugin:p - 192.0.2.2/32 1m", filter.ErrCeiling, "may not name all listeners: only a"},
		{"plugin:p - 192.0.2.2/32 b 1m", filter.ErrCeiling, "may not name listener b: only a"},
		{"policy:frame + 192.0.2.2/32 a 1m", filter.ErrCeiling, "may not allow"},
		{"plugin:x - 192.0.2.2/32 a 1m", filter.ErrCeiling, `nobody is called "plugin:x"`},
		{"operator ! 192.0.2.2/32", filter.ErrCeiling, "only the configuration protects"},
		{"operator - 192.0.2.2/32 c", filter.ErrRule, `no listener is called "c"`},
		{"operator - 192.0.2.2/32 -1s", filter.ErrRule, "which is over"},
		{"operator - 192.0.2.2/31 -1s", filter.ErrRule, ""},
		{"operator - ::ffff:192.0.2.2/128", filter.ErrRule, "prefix"},
	} {
		err := b.Set(b.rule(c.rule))
		if !errors.Is(err, c.is) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v", c.rule, err)
		}
	}
	if err := b.Set(filter.Rule{Owner: filter.OwnerOperator, Prefix: netip.PrefixFrom(addr("10.0.0.1"), 8)}); !errors.Is(err, filter.ErrRule) {
		t.Errorf("a prefix with bits behind it: %v", err)
	}
	b.set(b.rule("plugin:p - 192.0.2.2/32 a 1m"))
	b.set(b.rule("plugin:p - 192.0.2.3/32 a 1m"))
	if err := b.Set(b.rule("plugin:p - 192.0.2.4/32 a 1m")); !errors.Is(err, filter.ErrCeiling) || !strings.Contains(err.Error(), "3 rules already") {
		t.Errorf("one too many: %v", err)
	}
	b.expect("192.0.2.4", filter.Pass)
	b.set(b.rule("plugin:p - 192.0.2.3/32 a 59m")) // the same again is no further one
	b.set(b.rule("plugin:q - 192.0.2.4/32 a 1m"))
	for i := range 4 { // two listeners
		b.set(b.rule(fmt.Sprintf("operator - 198.51.100.%d/32", i)))
	}
	if err := b.Set(b.rule("operator - 198.51.100.9/32")); !errors.Is(err, filter.ErrFull) {
		t.Errorf("beyond the book: %v", err)
	}
	if have, limit := b.Entries(); have != 12 || limit != 12 {
		t.Errorf("%d of %d entries", have, limit)
	}
	if n := b.Revoke(filter.OwnerOfPlugin("p")); n != 3 {
		t.Errorf("%d rules went with their owner", n)
	}
	b.expect("192.0.2.1", filter.Pass)
	b.expect("192.0.2.4", filter.Blocked)
}

func TestOverruled(t *testing.T) {
	b := newBook(t, 100)
	if err := b.config([]filter.Rule{b.rule("config ! 10.0.0.0/8 a"), b.rule("config - 192.0.2.0/24")}); err != nil {
		t.Fatal(err)
	}
	err := b.Set(b.rule("plugin:p - 10.1.2.3/32 a 1m"))
	if !errors.Is(err, filter.ErrOverruled) || !strings.Contains(err.Error(), "config allows 10.0.0.0/8") {
		t.Errorf("a block of what is protected: %v", err)
	}
	err = b.Set(b.rule("plugin:p + 192.0.2.1/32 a 1m"))
	if !errors.Is(err, filter.ErrOverruled) || !strings.Contains(err.Error(), "config denies 192.0.2.0/24") {
		t.Errorf("what the configuration denies was allowed: %v", err)
	}
	b.set(b.rule("policy:frame - 10.1.2.3/32 1m")) // holds at b
	if list, total := b.List(filter.Query{Owner: filter.OwnerFrame}); total != 1 || list[0].Overruled {
		t.Errorf("%+v", list)
	}
	if err := b.config([]filter.Rule{b.rule("config ! 10.0.0.0/8")}); err != nil {
		t.Fatal(err)
	}
	if list, _ := b.List(filter.Query{Owner: filter.OwnerFrame}); len(list) != 1 || !list[0].Overruled {
		t.Errorf("%+v", list)
	}
}

func TestEnds(t *testing.T) {
	b := newBook(t, 100)
	b.set(b.rule("plugin:p - 192.0.2.1/32 a 1m"))
	b.set(b.rule("policy:auth - 192.0.2.1/32 a 2m"))
	b.set(b.rule("operator + 10.0.0.0/8 1m"))
	if err := b.config([]filter.Rule{b.rule("config - 10.0.0.0/8")}); err != nil {
		t.Fatal(err)
	}
	if next := b.Tick(b.clock.Now()); !next.Equal(start.Add(time.Minute)) {
		t.Errorf("the next end is %s", next)
	}
	b.expect("10.1.1.1", filter.Pass)
	b.clock.move(time.Minute)
	b.expect("192.0.2.1", filter.Blocked) // by the other one, before anybody has noticed
	if next := b.Tick(b.clock.Now()); !next.Equal(start.Add(2 * time.Minute)) {
		t.Errorf("the next end is %s", next)
	}
	b.expect("192.0.2.1", filter.Blocked)
	b.expect("10.1.1.1", filter.Denied)
	b.clock.move(time.Minute)
	b.expect("192.0.2.1", filter.Pass) // before anybody has noticed
	if next := b.Tick(b.clock.Now()); !next.IsZero() {
		t.Errorf("the next end is %s", next)
	}
	if have, _ := b.Entries(); have != 2 {
		t.Errorf("%d entries are left, expected those of the configuration", have)
	}
}

func TestUnblock(t *testing.T) {
	b := newBook(t, 100)
	b.set(b.rule("plugin:p - 192.0.2.1/32 a 1m"))
	b.set(b.rule("operator - 192.0.2.1/32"))
	if err := b.config([]filter.Rule{b.rule("config - 192.0.2.2/32")}); err != nil {
		t.Fatal(err)
	}
	if gone := b.Unblock("a", prefix("192.0.2.1/32")); len(gone) != 1 || gone[0].Owner != "plugin:p" {
		t.Errorf("unblocked at a: %+v", gone)
	}
	b.expect("192.0.2.1", filter.Blocked)
	if gone := b.Unblock("", prefix("192.0.2.1/32")); len(gone) != 1 {
		t.Errorf("unblocked: %+v", gone)
	}
	b.expect("192.0.2.1", filter.Pass)
	if gone := b.Unblock("", prefix("192.0.2.2/32")); len(gone) != 0 {
		t.Errorf("the configuration's rule was removed: %+v", gone)
	}
	if !b.Remove(filter.OwnerConfig, "", prefix("192.0.2.2/32")) || b.Remove(filter.OwnerConfig, "", prefix("192.0.2.2/32")) {
		t.Error("Remove does not tell whether there was one")
	}
	b.expect("192.0.2.2", filter.Pass)
}

// TestFollower: who is told by Push has what the table has, also after it has failed.
func TestFollower(t *testing.T) {
	b := newBook(t, 10_000)
	push := func() error {
		t.Helper()
		select {
		case <-b.Changed():
		default:
			t.Error("nothing says that there is something to push")
		}
		return b.Push()
	}
	if err := push(); err != nil || len(b.far.listeners) != 2 {
		t.Fatalf("%v: %d listeners", err, len(b.far.listeners))
	}
	for i := range 3000 {
		b.set(b.rule(fmt.Sprintf("operator - 10.0.%d.%d/32", i/256, i%256)))
	}
	b.Remove(filter.OwnerOperator, "", prefix("10.0.0.1/32"))
	if err := push(); err != nil || len(b.far.entries) != 2*2999 {
		t.Fatalf("%v: %d entries", err, len(b.far.entries))
	}
	b.far.fail = errors.New("no room")
	b.set(b.rule("operator - 10.1.0.0/32 a"))
	b.Remove(filter.OwnerOperator, "", prefix("10.0.0.2/32"))
	if err := b.Configure([]filter.Listener{{ID: 0, Name: "a"}, {ID: 2, Name: "c"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := push(); !errors.Is(err, b.far.fail) {
		t.Fatalf("%v", err)
	}
	b.far.fail = nil
	if err := b.Push(); err != nil {
		t.Fatal(err)
	}
	have, _ := b.Entries()
	if len(b.far.entries) != have || have != 2*2998+1 {
		t.Errorf("%d entries, the book has %d", len(b.far.entries), have)
	}
	for _, e := range b.far.entries {
		if e.Listener == 1 {
			t.Fatalf("%+v is of a listener that is gone", e)
		}
	}
	calls := b.far.calls
	if err := b.Push(); err != nil || b.far.calls != calls {
		t.Errorf("%v, told again of nothing", err)
	}
}

// TestKeeper: what an earlier process left in force is taken up, or ended.
func TestKeeper(t *testing.T) {
	b := newBook(t, 100)
	if err := b.config([]filter.Rule{b.rule("config ! 10.0.0.0/8"), b.rule("config - 203.0.113.0/24 a")}); err != nil {
		t.Fatal(err)
	}
	entry := func(id uint16, p string, author filter.Author) filter.Entry {
		return filter.Entry{Listener: id, Prefix: prefix(p), Action: filter.Deny, Reason: filter.Blocked, Until: start.Add(time.Minute), Author: author}
	}
	over, allowed := entry(0, "192.0.2.9/32", filter.ByRuntime), entry(0, "192.0.2.8/32", filter.ByRuntime)
	forever, exempt := entry(0, "192.0.2.7/32", filter.ByOperator), entry(0, "203.0.113.7/32", filter.ByOperator)
	over.Until, allowed.Action, forever.Until, exempt.Action = start, filter.Allow, time.Time{}, filter.Allow
	k := &kept{entries: map[string]filter.Entry{}, left: []filter.Entry{
		entry(0, "192.0.2.1/32", filter.ByRuntime), entry(0, "198.51.100.0/24", filter.ByOperator), entry(0, "10.0.0.1/32", filter.ByRuntime),
		entry(9, "192.0.2.1/32", filter.ByRuntime), entry(0, "203.0.112.0/24", filter.ByConfig), over, allowed, forever, exempt,
	}}
	for _, e := range k.left {
		k.entries[name(e)] = e
	}
	if n, err := b.FollowKeeper(k); n != 4 || err != nil || len(k.listeners) != 2 {
		t.Errorf("%d restored, %v, %d listeners", n, err, len(k.listeners))
	}
	if len(k.entries) != len(k.left) {
		t.Error("something was deleted before the rest was there")
	}
	for source, want := range map[string]filter.Reason{
		"192.0.2.1": filter.Blocked, "198.51.100.7": filter.Blocked, "10.0.0.1": filter.Pass, "203.0.113.1": filter.Denied,
		"203.0.112.1": filter.Pass, "192.0.2.7": filter.Blocked, "192.0.2.8": filter.Pass, "203.0.113.7": filter.Pass,
	} {
		b.expect(source, want)
	}
	if err := b.Push(); err != nil {
		t.Fatal(err)
	}
	if have, _ := b.Entries(); len(k.entries) != have {
		t.Errorf("the keeper has %d entries, the book %d: %v", len(k.entries), have, k.entries)
	}
	if got := k.entries["0 192.0.2.1/32"]; !got.Until.Equal(start.Add(time.Minute)) {
		t.Errorf("restored: %+v", got)
	}
	if n := b.Owned(); n[filter.OwnerKept] != 1 || n[filter.OwnerOperator] != 3 {
		t.Errorf("restored for %v", n)
	}
}

func TestList(t *testing.T) {
	b := newBook(t, 100)
	r := b.rule("plugin:p - 192.0.2.1/32 a 1m")
	r.Why = strings.Repeat("x", 1000)
	b.set(r)
	b.set(b.rule("operator - 192.0.2.0/24"))
	b.set(b.rule("operator + 10.0.0.0/8 b"))
	denies := filter.Deny
	for _, c := range []struct {
		query filter.Query
		want  string
		total int
	}{
		{filter.Query{}, "10.0.0.0/8 192.0.2.0/24 192.0.2.1/32", 3},
		{filter.Query{Limit: 1}, "10.0.0.0/8", 3},
		{filter.Query{Owner: "operator", Action: &denies}, "192.0.2.0/24", 1},
		{filter.Query{Listener: "a"}, "192.0.2.0/24 192.0.2.1/32", 2},
		{filter.Query{Source: addr("::ffff:192.0.2.1")}, "192.0.2.0/24 192.0.2.1/32", 2},
		{filter.Query{Source: addr("192.0.2.2")}, "192.0.2.0/24", 1},
	} {
		list, total := b.List(c.query)
		var got []string
		for _, r := range list {
			got = append(got, r.Prefix.String())
		}
		if strings.Join(got, " ") != c.want || total != c.total {
			t.Errorf("%+v: %v of %d", c.query, got, total)
		}
	}
	list, _ := b.List(filter.Query{Owner: "plugin:p"})
	if len(list[0].Why) != filter.MaxWhy || !list[0].Since.Equal(start) || list[0].Overruled {
		t.Errorf("%+v", list[0])
	}
	b.clock.move(time.Second)
	b.set(b.rule("plugin:p - 192.0.2.1/32 a 2m"))
	if list, _ = b.List(filter.Query{Owner: "plugin:p"}); !list[0].Since.Equal(start) {
		t.Errorf("said again, it begins at %s", list[0].Since)
	}
	if n := b.Owned(); n["operator"] != 2 || n["plugin:p"] != 1 || n["config"] != 0 {
		t.Errorf("%v", n)
	}
}

// slow is an enforcer that looks, at each step of a change, what a table lets pass.
type slow struct {
	*filter.Table
	look func()
}

func (s slow) Listeners(list []filter.Listener) error {
	err := s.Table.Listeners(list)
	s.look()
	return err
}

func (s slow) Put(list []filter.Entry) error {
	err := s.Table.Put(list)
	s.look()
	return err
}

func (s slow) Delete(list []filter.Entry) error {
	err := s.Table.Delete(list)
	s.look()
	return err
}

// TestConfigureGap: from one configuration to another, what both forbid never passes, and
// what both let pass always does, in enforcers of both kinds.
func TestConfigureGap(t *testing.T) {
	b := filter.NewBook(filter.BookOptions{Entries: 1000})
	looks := 0
	look := func(tab *filter.Table) func() {
		return func() {
			looks++
			if tab.Rules(0, addr("10.0.0.1"), 0) != filter.Pass || tab.Rules(0, addr("192.0.2.1"), 0) == filter.Pass {
				t.Errorf("step %d: 10.0.0.1 is %s, 192.0.2.1 %s", looks, tab.Rules(0, addr("10.0.0.1"), 0), tab.Rules(0, addr("192.0.2.1"), 0))
			}
		}
	}
	near, far := filter.NewTable(filter.TableOptions{}), filter.NewTable(filter.TableOptions{})
	closed := func() error {
		return b.Configure([]filter.Listener{{Name: "a", Default: filter.Deny}}, []filter.Rule{{Prefix: prefix("10.0.0.0/8")}})
	}
	open := func() error {
		return b.Configure([]filter.Listener{{Name: "a"}}, []filter.Rule{{Prefix: prefix("192.0.0.0/16"), Action: filter.Deny}})
	}
	seen := false
	begun := func(tab *filter.Table) slow {
		do := look(tab)
		return slow{tab, func() {
			if seen {
				do()
			}
		}}
	}
	if err := errors.Join(b.Attach(begun(near)), closed()); err != nil {
		t.Fatal(err)
	}
	b.Follow(begun(far))
	if err := b.Push(); err != nil {
		t.Fatal(err)
	}
	seen = true
	for range 3 {
		for _, change := range []func() error{open, closed} {
			if err := errors.Join(change(), b.Push()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if looks < 6*2*2 {
		t.Errorf("only %d looks", looks)
	}
}
