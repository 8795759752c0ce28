package filter

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Offenders counts failures of sources and tells when one has had too many. What it
// remembers is bounded: where a source finds no place, the one of its neighbours that
// failed the longest time ago is forgotten. Its methods may be called from any goroutine;
// only failures cost anything.
type Offenders struct {
	seed maphash.Seed

	mu    sync.Mutex // guards sets
	sets  [][offenderWays]offender
	since time.Time // offender.window counts from then on
}

// offenderWays is how many sources share a set.
const offenderWays = 8

// offender is what is remembered of a source: its failures in this window and in the one
// before.
type offender struct {
	key         offenderKey
	window      int64 // nanoseconds after Offenders.since at which it began
	now, before uint32
}

type offenderKey struct {
	source netip.Addr // of the prefix
	kind   uint32
}

// NewOffenders makes one that remembers about so many sources, at 48 bytes each; 0 is
// 16384.
func NewOffenders(sources int) *Offenders {
	if sources <= 0 {
		sources = 16384
	}
	sets := 1
	for sets*offenderWays < sources {
		sets *= 2
	}
	return &Offenders{seed: maphash.MakeSeed(), sets: make([][offenderWays]offender, sets), since: time.Now()}
}

// Failed counts a failure of a source, of a kind (a listener and a cause, say), and tells
// whether it is the one too many: the failures-th within window, and then it is forgotten.
// Failures of the window before count for as much as of it is within the last window, as
// if they were spread over it.
func (o *Offenders) Failed(kind uint32, source netip.Prefix, now time.Time, failures int, window time.Duration) bool {
	if !source.IsValid() || failures <= 0 || window <= 0 {
		return false
	}
	key := offenderKey{source.Addr(), kind}
	var b [20]byte
	at16 := key.source.As16()
	binary.LittleEndian.PutUint32(b[copy(b[:], at16[:]):], kind)
	set := &o.sets[maphash.Bytes(o.seed, b[:])&uint64(len(o.sets)-1)]
	at := int64(now.Sub(o.since))
	o.mu.Lock()
	defer o.mu.Unlock()
	e := placeOf(set, key, at)
	switch past := at - e.window; {
	case past >= 2*int64(window) || past < 0:
		e.window, e.before, e.now = at, 0, 0
	case past >= int64(window):
		e.window, e.before, e.now = e.window+int64(window), e.now, 0
	}
	e.now++
	left := 1 - float64(at-e.window)/float64(window)
	if float64(e.before)*left+float64(e.now) < float64(failures) {
		return false
	}
	*e = offender{}
	return true
}

// placeOf is where a source is in its set, or is to be from now on.
func placeOf(set *[offenderWays]offender, key offenderKey, at int64) *offender {
	oldest := &set[0]
	for i := range set {
		e := &set[i]
		if e.key == key {
			return e
		}
		if !e.key.source.IsValid() {
			oldest = e
		} else if oldest.key.source.IsValid() && e.window < oldest.window {
			oldest = e
		}
	}
	*oldest = offender{key: key, window: at}
	return oldest
}
