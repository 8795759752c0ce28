package filter

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"
)

// One of sampleEvery drops of a lane is sampled, and each that comes sampleAfter
// nanoseconds or more after the last sample.
const (
	sampleEvery = 16
	sampleAfter = 100e6
)

// sampleRing is how many samples of a lane wait to be taken; older ones are overwritten.
const sampleRing = 256

// Sample is a drop, one of Weight: so many there were since the sample before.
type Sample struct {
	Listener uint16
	Source   netip.Addr
	Reason   Reason
	At       time.Time
	Weight   int
}

// samples is a ring with one writer and one reader. A sample that is overwritten while
// it is read is left out.
type samples struct {
	slots [sampleRing]sampleSlot
	next  atomic.Uint64 // of the writer
	read  uint64        // of the reader
}

// sampleSlot is as the writer leaves it: version is odd while it writes.
type sampleSlot struct {
	version atomic.Uint64
	hi, lo  atomic.Uint64
	meta    atomic.Uint64
	at      atomic.Int64
}

func newSamples() *samples { return &samples{} }

func (r *samples) put(listener uint16, source netip.Addr, why Reason, weight int, now int64) {
	n := r.next.Load()
	s := &r.slots[n%sampleRing]
	b := source.As16()
	meta := uint64(weight)<<32 | uint64(listener)<<8 | uint64(why)
	s.version.Store(2*n + 1)
	s.hi.Store(binary.BigEndian.Uint64(b[:8]))
	s.lo.Store(binary.BigEndian.Uint64(b[8:]))
	s.meta.Store(meta)
	s.at.Store(now)
	s.version.Store(2*n + 2)
	r.next.Store(n + 1)
}

// Samples appends what was sampled of drops since it was called last. One goroutine calls
// it.
func (t *Table) Samples(list []Sample) []Sample {
	for _, l := range *t.lanes.Load() {
		list = l.ring.take(list)
	}
	return list
}

func (r *samples) take(list []Sample) []Sample {
	end := r.next.Load()
	if end > r.read+sampleRing {
		r.read = end - sampleRing
	}
	for ; r.read < end; r.read++ {
		s := &r.slots[r.read%sampleRing]
		var b [16]byte
		version := s.version.Load()
		binary.BigEndian.PutUint64(b[:8], s.hi.Load())
		binary.BigEndian.PutUint64(b[8:], s.lo.Load())
		meta, at := s.meta.Load(), s.at.Load()
		if version != 2*r.read+2 || s.version.Load() != version {
			continue
		}
		list = append(list, Sample{
			Listener: uint16(meta >> 8), Source: netip.AddrFrom16(b).Unmap(), Reason: Reason(meta & 0xff), At: time.Unix(0, at), Weight: int(meta >> 32),
		})
	}
	return list
}
