package filter

import (
	"net/netip"
	"sync/atomic"
)

// Lane is a Table as one goroutine uses it: it counts what it lets pass and drops, where
// no other one writes.
type Lane struct {
	table  *Table
	counts [MaxListeners]atomic.Pointer[laneCounts]
	ring   *samples

	unsampled int   // drops since the last sample
	sampledAt int64 // when that was
}

// laneCounts are one listener's.
type laneCounts struct {
	_       [64]byte // two of them are never in one cache line
	packets [Reasons]atomic.Uint64
	bytes   [Reasons]atomic.Uint64
}

// Lane makes another lane. It is for one goroutine.
func (t *Table) Lane() *Lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &Lane{table: t, ring: newSamples()}
	lanes := append(append([]*Lane(nil), *t.lanes.Load()...), l)
	t.lanes.Store(&lanes)
	return l
}

// Connect is the verdict on a new connection of a source; now is in nanoseconds since
// 1970.
func (l *Lane) Connect(listener uint16, source netip.Addr, now int64) Reason {
	why := l.table.Connect(listener, source, now)
	l.count(listener, source, why, 0, now)
	return why
}

// Datagram is the verdict on a datagram. Of one that is covered, because another enforcer
// has looked at it, only the rules are looked at; it is counted all the same.
func (l *Lane) Datagram(listener uint16, source netip.Addr, data []byte, covered bool, now int64) Reason {
	var why Reason
	if covered {
		why = l.table.Rules(listener, source, now)
	} else {
		why = l.table.Datagram(listener, source, data, now)
	}
	l.count(listener, source, why, len(data), now)
	return why
}

func (l *Lane) count(listener uint16, source netip.Addr, why Reason, size int, now int64) {
	if listener >= MaxListeners {
		return
	}
	c := l.counts[listener].Load()
	if c == nil {
		c = &laneCounts{}
		l.counts[listener].Store(c)
	}
	// One goroutine writes: no need for a locked addition.
	c.packets[why].Store(c.packets[why].Load() + 1)
	c.bytes[why].Store(c.bytes[why].Load() + uint64(size))
	if why != Pass {
		if l.unsampled++; l.unsampled >= sampleEvery || now-l.sampledAt >= sampleAfter {
			l.ring.put(listener, source, why, l.unsampled, now)
			l.unsampled, l.sampledAt = 0, now
		}
	}
}

// Counts implements Enforcer: the sums of all lanes, of the listeners that there are or
// were, without those of which nothing came.
func (t *Table) Counts(list []Count) ([]Count, error) {
	lanes := *t.lanes.Load()
	for id := range t.listeners {
		sum := Count{Listener: uint16(id)}
		any := t.listeners[id].Load() != nil
		for _, l := range lanes {
			c := l.counts[id].Load()
			if c == nil {
				continue
			}
			any = true
			for why := range c.packets {
				sum.Packets[why] += c.packets[why].Load()
				sum.Bytes[why] += c.bytes[why].Load()
			}
		}
		if any {
			list = append(list, sum)
		}
	}
	return list, nil
}
