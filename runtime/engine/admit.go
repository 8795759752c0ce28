package engine

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// acceptsPerTurn bounds a turn's new connections: a storm of them must not starve
// those that are there.
const acceptsPerTurn = 64

// acceptPause is how long a listener rests when the system has no memory or no
// descriptor for another connection, in ms.
const acceptPause = 100

// admission counts open connections against the limits. It is the one thing that
// loops share, once for each connection.
type admission struct {
	total     atomic.Int64
	max       atomic.Int64
	listeners atomic.Pointer[[]*admissionListener]

	mu        sync.Mutex // guards what follows, and what listeners have of it
	perSource int
	sources   map[netip.Addr]int // counted as soon as there is a limit
	counts    atomic.Bool        // sources are, the engine's or a listener's
}

type admissionListener struct {
	max       atomic.Int64
	now       atomic.Int64
	perSource int                // under admission.mu
	sources   map[netip.Addr]int // too
}

func newAdmission(cfg Config, listeners []Listener) *admission {
	a := &admission{sources: map[netip.Addr]int{}}
	a.listeners.Store(&[]*admissionListener{})
	a.limit(cfg.MaxConnections, cfg.MaxPerSource)
	for i, l := range listeners {
		a.admit(i, l)
	}
	return a
}

// limit sets the bounds of the whole engine.
func (a *admission) limit(connections, perSource int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.max.Store(int64(connections))
	a.perSource = perSource
	if perSource > 0 {
		a.counts.Store(true)
	}
}

// admit sets those of a listener, which may be a new one. One caller at a time.
func (a *admission) admit(index int, l Listener) {
	list := *a.listeners.Load()
	if index == len(list) {
		list = append(list[:len(list):len(list)], &admissionListener{sources: map[netip.Addr]int{}})
		a.listeners.Store(&list)
	}
	al := list[index]
	a.mu.Lock()
	defer a.mu.Unlock()
	al.max.Store(int64(l.MaxConnections))
	al.perSource = l.MaxPerSource
	if al.perSource > 0 {
		a.counts.Store(true)
	}
}

// open is how many connections of a listener there are, those included whose
// handshakes are under way.
func (a *admission) open(listener int) int64 { return (*a.listeners.Load())[listener].now.Load() }

// enter counts a connection in, or tells why it must stay out.
func (a *admission) enter(listener int, source netip.Addr) (Refusal, bool) {
	al := (*a.listeners.Load())[listener]
	if a.total.Add(1) > a.max.Load() {
		a.total.Add(-1)
		return RefusedTotal, false
	}
	if n, most := al.now.Add(1), al.max.Load(); most > 0 && n > most {
		al.now.Add(-1)
		a.total.Add(-1)
		return RefusedListener, false
	}
	if !a.counts.Load() {
		return 0, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.perSource > 0 && a.sources[source] >= a.perSource || al.perSource > 0 && al.sources[source] >= al.perSource {
		al.now.Add(-1)
		a.total.Add(-1)
		return RefusedSource, false
	}
	a.sources[source]++
	al.sources[source]++
	return 0, true
}

// leave counts a connection out.
func (a *admission) leave(listener int, source netip.Addr) {
	al := (*a.listeners.Load())[listener]
	al.now.Add(-1)
	a.total.Add(-1)
	if !a.counts.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	countDown(a.sources, source) // one that came before sources were counted is in neither
	countDown(al.sources, source)
}

func countDown(m map[netip.Addr]int, key netip.Addr) {
	if m[key] > 1 {
		m[key]--
	} else {
		delete(m, key)
	}
}
