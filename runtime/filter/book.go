package filter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Rule is one of the book: what an owner says of a prefix, at one listener or at all.
// There is one rule of an owner for a listener and a prefix.
type Rule struct {
	// Owner is whose it is: OwnerConfig, OwnerOperator, OwnerOfPlugin(name), ...
	Owner string
	// Listener is the name of the one that it holds for; empty: all, those to come too.
	Listener string
	// Prefix is masked, and IPv4 in its own form.
	Prefix netip.Prefix
	// Action allows or denies.
	Action Action
	// Protect is of the configuration's rules that allow: no block of a plugin or
	// policy within the prefix holds.
	Protect bool
	// Since is when the owner said so first, Until when it ends; zero is never.
	Since, Until time.Time
	// Why is for people; at most MaxWhy bytes.
	Why string
	// Overruled tells that no listener does what the rule says, since other rules go
	// before it. The book fills it in.
	Overruled bool
}

// MaxWhy is the longest Rule.Why in bytes; what is longer is cut.
const MaxWhy = 200

// Book is who may speak to which listener: the rules of all owners, and the entries
// that come of them, which it keeps equal in every Enforcer.
//
// For one source at one listener they rank so; the first that says something decides:
//
//  1. the operator's rule with the longest prefix that contains the source;
//  2. the configuration's one with the longest prefix, if it denies;
//  3. a block of a plugin or policy, unless the configuration protects the source, or
//     allows a prefix that is at least as long as the block's;
//  4. the configuration's one with the longest prefix, which allows;
//  5. what a plugin allows;
//  6. the listener's default.
//
// So no plugin lets in what an operator or the configuration denies, and none locks out
// what they have named or protected. Between listeners and rules for all listeners there
// is no rank.
//
// All methods may be called at once by any goroutine. They hold one lock for about a
// microsecond, and longer only where an operator or the configuration names a prefix that
// contains many others. Enforcers of Attach are called under it; those of Follow are not.
type Book struct {
	mu        sync.Mutex
	now       func() time.Time
	limit     int
	listeners []Listener
	owners    map[string]*owner
	rules     map[netip.Prefix][]*rule
	lengths   [2][129]int // prefixes of each length with rules; IPv4, IPv6
	within    map[netip.Prefix]map[netip.Prefix]struct{}
	total     int
	entries   map[place]Entry
	ends      ends
	near      []Enforcer
	gone      []Entry // while the configuration changes: what near is to delete at its end
	far       []*follower
	changed   chan struct{}
	scratch   []*rule
}

// place is where an entry is.
type place struct {
	listener uint16
	prefix   netip.Prefix
}

// rule is a Rule in the book.
type rule struct {
	Rule
	by    *owner
	at    int // of the listener in Book.listeners; everywhere, or nowhere
	index int // in ends, -1 if not there
}

// Where a rule is that is not at one listener.
const (
	everywhere = -1
	nowhere    = -2 // its listener is not there
)

// holds tells whether the rule is about the listener.
func (r *rule) holds(at int) bool { return r.at == at || r.at == everywhere }

// BookOptions are those of NewBook.
type BookOptions struct {
	// Entries bounds the entries, each listener's counted for itself.
	Entries int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// NewBook makes an empty book in which the configuration and operators may do anything,
// and the policies of offenders block DefaultPolicyRules single sources each.
func NewBook(o BookOptions) *Book {
	if o.Now == nil {
		o.Now = time.Now
	}
	b := &Book{
		now: o.Now, limit: o.Entries, owners: map[string]*owner{}, rules: map[netip.Prefix][]*rule{},
		within:  map[netip.Prefix]map[netip.Prefix]struct{}{},
		entries: map[place]Entry{}, changed: make(chan struct{}, 1),
	}
	for _, name := range []string{OwnerConfig, OwnerOperator} {
		b.Grant(name, Ceiling{Rules: o.Entries, Allow: true, Prefixes: true})
	}
	b.Grant(OwnerKept, Ceiling{Rules: o.Entries})
	for _, name := range []string{OwnerFrame, OwnerAuth} {
		b.Grant(name, Ceiling{Rules: DefaultPolicyRules, TTL: 24 * time.Hour})
	}
	return b
}

// Grant makes an owner, or gives it another ceiling. Rules that it has stay, even beyond
// a lower one.
func (b *Book) Grant(name string, c Ceiling) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.owners[name]; o != nil {
		o.ceiling = c
		return
	}
	b.owners[name] = &owner{name: name, author: authorOf(name), ceiling: c}
}

// Revoke removes an owner and all its rules, and tells how many there were.
func (b *Book) Revoke(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.removeAll(func(r *rule) bool { return r.Owner == name })
	delete(b.owners, name)
	return n
}

// Set adds a rule, or replaces the owner's one for the same listener and prefix. From
// its return on, the enforcers of Attach follow it. The error wraps ErrRule, ErrCeiling,
// ErrOverruled or ErrFull; the book is unchanged then.
func (b *Book) Set(r Rule) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, _, err := b.set(r, b.now())
	return err
}

// SetAll is Set for several rules, all or none: what is wrong with a rule itself is found
// before any of them is in force, and where there is no room for one those before it are
// taken back.
func (b *Book) SetAll(list []Rule) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for i := range list {
		r := &list[i]
		if err := b.check(r, b.owners[r.Owner], now); err != nil {
			return err
		}
		if b.index(r.Listener) == nowhere {
			return b.noListener(r.Listener)
		}
	}
	type change struct{ made, old *rule }
	var done []change
	for i := range list {
		made, old, err := b.set(list[i], now)
		if err == nil {
			done = append(done, change{made, old})
			continue
		}
		for _, c := range slices.Backward(done) {
			b.take(c.made)
			if c.old != nil {
				b.add(c.old)
			}
			b.settle(c.made.Prefix, c.made.at)
		}
		return err
	}
	return nil
}

// CheckListener wraps ErrRule if there is no listener of that name; "" is all of them.
func (b *Book) CheckListener(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.index(name) == nowhere {
		return b.noListener(name)
	}
	return nil
}

func (b *Book) noListener(name string) error {
	names := make([]string, len(b.listeners))
	for i := range b.listeners {
		names[i] = b.listeners[i].Name
	}
	return fmt.Errorf("%w: no listener is called %q; there are: %s", ErrRule, name, strings.Join(names, ", "))
}

// set is Set under the lock: the rule as it is in the book, and the one in whose place it
// is, or nil.
func (b *Book) set(r Rule, now time.Time) (made, old *rule, err error) {
	o := b.owners[r.Owner]
	if err := b.check(&r, o, now); err != nil {
		return nil, nil, err
	}
	made = b.make(r, o, now)
	if made.at == nowhere {
		return nil, nil, b.noListener(r.Listener)
	}
	old = b.find(made.Owner, made.Listener, made.Prefix)
	if err := b.room(made, old); err != nil {
		return nil, nil, err
	}
	if old != nil {
		made.Since = old.Since
		b.take(old)
	}
	b.add(made)
	if made.by.author == ByRuntime && b.overruled(made) {
		b.take(made)
		if old != nil {
			b.add(old)
		}
		return nil, nil, b.overruling(made)
	}
	b.settle(made.Prefix, made.at)
	return made, old, nil
}

// check tells what is wrong with a rule, but for its listener.
func (b *Book) check(r *Rule, o *owner, now time.Time) error {
	if o == nil {
		return fmt.Errorf("%w: nobody is called %q here", ErrCeiling, r.Owner)
	}
	if !r.Prefix.IsValid() || r.Prefix.Masked() != r.Prefix || r.Prefix.Addr().Is4In6() || r.Action > Deny || r.Protect && r.Action != Allow {
		return fmt.Errorf("%w: prefix %s: expected one such as 192.0.2.7/32, without bits behind its length", ErrRule, r.Prefix)
	}
	if !r.Until.IsZero() && !r.Until.After(now) {
		return fmt.Errorf("%w: %s until %s, which is over", ErrRule, r.Prefix, r.Until.UTC().Format(time.RFC3339))
	}
	return o.check(r, now)
}

// make makes a rule that is in order.
func (b *Book) make(r Rule, o *owner, now time.Time) *rule {
	if len(r.Why) > MaxWhy {
		r.Why = strings.ToValidUTF8(r.Why[:MaxWhy], "")
	}
	if r.Since.IsZero() {
		r.Since = now
	}
	r.Overruled = false
	return &rule{Rule: r, by: o, at: b.index(r.Listener), index: -1}
}

// room tells whether there is room for a rule in the place of old, which may be nil.
func (b *Book) room(r, old *rule) error {
	if old != nil {
		return nil
	}
	if r.by.rules >= r.by.ceiling.Rules {
		return fmt.Errorf("%w: %s has %d rules already, as many as it may", ErrCeiling, r.Owner, r.by.rules)
	}
	more := 1
	if r.at == everywhere {
		more = max(1, len(b.listeners))
	}
	if len(b.entries)+more > b.limit || b.total >= b.limit {
		return fmt.Errorf("%w: %d, and there may be %d: raise kernel.entries, or block for shorter", ErrFull, len(b.entries), b.limit)
	}
	return nil
}

// Remove removes an owner's rule for a prefix at one listener, or that for all of them
// if listener is empty. It tells whether there was one.
func (b *Book) Remove(owner, listener string, p netip.Prefix) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.find(owner, listener, p)
	if r == nil {
		return false
	}
	b.take(r)
	b.settle(r.Prefix, r.at)
	return true
}

// Unblock removes what denies exactly this prefix, whoever has said so, but for the
// configuration's rules: at one listener, or everywhere if listener is empty. It returns
// the rules that it has removed.
func (b *Book) Unblock(listener string, p netip.Prefix) []Rule {
	b.mu.Lock()
	defer b.mu.Unlock()
	var gone []Rule
	for _, r := range slices.Clone(b.rules[p]) {
		if r.Action == Deny && r.by.author != ByConfig && (listener == "" || listener == r.Listener) {
			b.take(r)
			b.settle(p, r.at)
			gone = append(gone, r.Rule)
		}
	}
	return gone
}

// Tick ends what is over by now and tells when the next rule ends; zero if none does. It
// does a bounded part at a time: next may be in the past.
func (b *Book) Tick(now time.Time) (next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range 1024 {
		if len(b.ends) == 0 {
			return time.Time{}
		}
		r := b.ends[0]
		if r.Until.After(now) {
			return r.Until
		}
		b.take(r)
		b.settle(r.Prefix, r.at)
	}
	if len(b.ends) == 0 {
		return time.Time{}
	}
	return b.ends[0].Until
}
