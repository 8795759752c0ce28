package filter

import (
	"fmt"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Table enforces a policy in user space. Checks take no lock and no memory, and may be
// made by any number of goroutines while the policy changes; who changes it takes turns.
type Table struct {
	listeners [MaxListeners]atomic.Pointer[tableListener]
	rules     atomic.Pointer[hash]
	rates     atomic.Pointer[rates]
	options   TableOptions

	mu    sync.Mutex
	lanes atomic.Pointer[[]*Lane]
}

// TableOptions are those of NewTable.
type TableOptions struct {
	// Sources is how many sources' rates are remembered at once; 0 is 65536.
	Sources int
	// Behind tells that another enforcer bounds connections before this one: it lets
	// twice the burst in, so that those that come late together are not refused after
	// the other has let them in. In the long run the rate is the same.
	Behind bool
}

// NewTable makes a table without listeners.
func NewTable(o TableOptions) *Table {
	if o.Sources == 0 {
		o.Sources = 65536
	}
	t := &Table{options: o}
	t.rules.Store(newHash(64))
	t.lanes.Store(&[]*Lane{})
	return t
}

// tableListener is a listener as readers have it. All but the lengths is never changed.
type tableListener struct {
	fallback    Reason // Pass, or Denied by default
	patterns    []pattern
	rate        gcra
	connections gcra
	lengths     *lengths
}

// lengths are those of the prefixes of a listener's entries, one bit each.
type lengths struct {
	v4     atomic.Uint64
	v6     [3]atomic.Uint64 // v6[2] has 128 alone
	counts [2][129]int      // of the writer
}

// Listeners implements Enforcer.
func (t *Table) Listeners(list []Listener) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := make(map[uint16]*tableListener, len(list))
	for i := range list {
		l := &list[i]
		if l.ID >= MaxListeners || len(l.Patterns) > MaxPatterns {
			return fmt.Errorf("%w: listener %s has the number %d and %d patterns: at most %d and %d", ErrRule, l.Name, l.ID, len(l.Patterns), MaxListeners-1, MaxPatterns)
		}
		made := &tableListener{rate: newGCRA(l.Rate), connections: newGCRA(l.Connections)}
		if t.options.Behind {
			made.connections.tolerance += made.connections.tolerance + made.connections.every
		}
		if l.Default == Deny {
			made.fallback = Denied
		}
		for _, p := range l.Patterns {
			made.patterns = append(made.patterns, newPattern(p))
		}
		if was := t.listeners[l.ID].Load(); was != nil {
			made.lengths = was.lengths
		} else {
			made.lengths = &lengths{}
		}
		next[l.ID] = made
		if (l.Rate.Every > 0 || l.Connections.Every > 0) && t.rates.Load() == nil {
			t.rates.Store(newRates(t.options.Sources))
		}
	}
	for id := range t.listeners {
		made := next[uint16(id)]
		if t.listeners[id].Swap(made) != nil && made == nil {
			t.rules.Load().each(func(e *hashEntry) {
				if e.listener == uint16(id) {
					t.remove(Entry{Listener: e.listener, Prefix: e.prefix})
				}
			})
		}
	}
	return nil
}

// Put implements Enforcer.
func (t *Table) Put(list []Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range list {
		if e.Listener >= MaxListeners || t.listeners[e.Listener].Load() == nil || !e.Prefix.IsValid() {
			return fmt.Errorf("%w: an entry for %s of listener %d, which is not there", ErrRule, e.Prefix, e.Listener)
		}
		made := newHashEntry(e)
		rules := t.rules.Load()
		if rules.crowded() {
			rules = rules.grown()
			t.rules.Store(rules)
		}
		if rules.put(made) {
			t.listeners[e.Listener].Load().lengths.add(e.Prefix, 1)
		}
	}
	return nil
}

// Delete implements Enforcer.
func (t *Table) Delete(list []Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range list {
		t.remove(e)
	}
	return nil
}

func (t *Table) remove(e Entry) {
	if e.Prefix.IsValid() && t.rules.Load().remove(newHashEntry(e)) && e.Listener < MaxListeners {
		if l := t.listeners[e.Listener].Load(); l != nil {
			l.lengths.add(e.Prefix, -1)
		}
	}
}

// add counts a prefix in or out. The bit is set after the entry is there, and cleared
// after it is gone.
func (l *lengths) add(p netip.Prefix, by int) {
	n := p.Bits()
	count := &l.counts[family(p)][n]
	*count += by
	word := &l.v4
	if !p.Addr().Is4() {
		word = &l.v6[n/64]
	}
	bit := uint64(1) << (n % 64)
	if *count > 0 {
		word.Or(bit)
	} else {
		word.And(^bit)
	}
}

// Rules is what the rules say of a source at a listener: Pass, Denied or Blocked. now is
// in nanoseconds since 1970. A listener that is not there is passed.
func (t *Table) Rules(listener uint16, source netip.Addr, now int64) Reason {
	l := t.listener(listener)
	if l == nil {
		return Pass
	}
	return t.look(l, listener, source, now)
}

func (t *Table) listener(listener uint16) *tableListener {
	if listener >= MaxListeners {
		return nil
	}
	return t.listeners[listener].Load()
}

func (t *Table) look(l *tableListener, listener uint16, source netip.Addr, now int64) Reason {
	if source.Is4() || source.Is4In6() {
		set := l.lengths.v4.Load()
		if set == 0 {
			return l.fallback
		}
		b := source.As4()
		word := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
		rules := t.rules.Load()
		for set != 0 {
			n := 63 - bits.LeadingZeros64(set)
			set &^= 1 << n
			if e := rules.get(listener, uint16(n), 0, word&(^uint64(0)<<(32-n))&0xffffffff, false); e != nil && e.holds(now) {
				return e.reason
			}
		}
		return l.fallback
	}
	hi, lo := halves(source)
	var rules *hash
	for i := 2; i >= 0; i-- {
		set := l.lengths.v6[i].Load()
		if set == 0 {
			continue
		}
		if rules == nil {
			rules = t.rules.Load()
		}
		for set != 0 {
			at := 63 - bits.LeadingZeros64(set)
			set &^= 1 << at
			n := 64*i + at
			h, w := maskHalves(hi, lo, n)
			if e := rules.get(listener, uint16(n), h, w, true); e != nil && e.holds(now) {
				return e.reason
			}
		}
	}
	return l.fallback
}

func (e *hashEntry) holds(now int64) bool { return e.until == 0 || now < e.until }

// FirstBytes tells whether a datagram begins as the listener's do.
func (t *Table) FirstBytes(listener uint16, data []byte) bool {
	l := t.listener(listener)
	return l == nil || l.begins(data)
}

func (l *tableListener) begins(data []byte) bool {
	if len(l.patterns) == 0 {
		return true
	}
	for i := range l.patterns {
		if l.patterns[i].matches(data) {
			return true
		}
	}
	return false
}

// Rate takes a token for a datagram of the source, and tells whether there was one.
func (t *Table) Rate(listener uint16, source netip.Addr, now int64) bool {
	l := t.listener(listener)
	return l == nil || l.rate.every == 0 || t.rates.Load().take(&l.rate, rateKey(listener, kindDatagrams, source), now)
}

// ConnectionRate takes a token for a connection of the source, and tells whether there
// was one.
func (t *Table) ConnectionRate(listener uint16, source netip.Addr, now int64) bool {
	l := t.listener(listener)
	return l == nil || l.connections.every == 0 || t.rates.Load().take(&l.connections, rateKey(listener, kindConnections, source), now)
}

// Connect is the verdict on a new connection. Nothing is counted: see Lane.
func (t *Table) Connect(listener uint16, source netip.Addr, now int64) Reason {
	if why := t.Rules(listener, source, now); why != Pass {
		return why
	}
	if !t.ConnectionRate(listener, source, now) {
		return ConnectionRate
	}
	return Pass
}

// Datagram is the verdict on a datagram. Nothing is counted: see Lane.
func (t *Table) Datagram(listener uint16, source netip.Addr, data []byte, now int64) Reason {
	if why := t.Rules(listener, source, now); why != Pass {
		return why
	}
	if !t.FirstBytes(listener, data) {
		return Malformed
	}
	if !t.Rate(listener, source, now) {
		return Rate
	}
	return Pass
}

// pattern is a Pattern as two words.
type pattern struct {
	offset, length int
	least          int
	mask, value    uint64
}

func newPattern(p Pattern) pattern {
	made := pattern{offset: int(p.Offset), length: int(min(p.Length, 8)), least: int(p.MinLength)}
	for i := range made.length {
		made.mask |= uint64(p.Mask[i]) << (8 * i)
		made.value |= uint64(p.Value[i]&p.Mask[i]) << (8 * i)
	}
	made.least = max(made.least, made.offset+made.length)
	return made
}

func (p *pattern) matches(data []byte) bool {
	if len(data) < p.least {
		return false
	}
	word := uint64(0)
	for i, b := range data[p.offset : p.offset+p.length] {
		word |= uint64(b) << (8 * i)
	}
	return word&p.mask == p.value
}

// untilOf is an end in nanoseconds since 1970; 0 is never.
func untilOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, t.UnixNano())
}
