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
	max, perSource int
	total          atomic.Int64
	listeners      []admissionListener

	mu      sync.Mutex
	sources map[netip.Addr]int // only if perSource > 0
}

type admissionListener struct {
	max, perSource int
	open           atomic.Int64
	sources        map[netip.Addr]int // only if perSource > 0; under admission.mu
}

func newAdmission(cfg Config, listeners []Listener) *admission {
	a := &admission{max: cfg.MaxConnections, perSource: cfg.MaxPerSource, sources: map[netip.Addr]int{}}
	a.listeners = make([]admissionListener, len(listeners))
	for i, l := range listeners {
		a.listeners[i].max, a.listeners[i].perSource = l.MaxConnections, l.MaxPerSource
		a.listeners[i].sources = map[netip.Addr]int{}
	}
	return a
}

// enter counts a connection in, or tells why it must stay out.
func (a *admission) enter(listener int, source netip.Addr) (Refusal, bool) {
	al := &a.listeners[listener]
	if a.total.Add(1) > int64(a.max) {
		a.total.Add(-1)
		return RefusedTotal, false
	}
	if n := al.open.Add(1); al.max > 0 && n > int64(al.max) {
		al.open.Add(-1)
		a.total.Add(-1)
		return RefusedListener, false
	}
	if a.perSource == 0 && al.perSource == 0 {
		return 0, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.perSource > 0 && a.sources[source] >= a.perSource || al.perSource > 0 && al.sources[source] >= al.perSource {
		al.open.Add(-1)
		a.total.Add(-1)
		return RefusedSource, false
	}
	if a.perSource > 0 {
		a.sources[source]++
	}
	if al.perSource > 0 {
		al.sources[source]++
	}
	return 0, true
}

// leave counts a connection out.
func (a *admission) leave(listener int, source netip.Addr) {
	al := &a.listeners[listener]
	al.open.Add(-1)
	a.total.Add(-1)
	if a.perSource == 0 && al.perSource == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.perSource > 0 {
		countDown(a.sources, source)
	}
	if al.perSource > 0 {
		countDown(al.sources, source)
	}
}

func countDown(m map[netip.Addr]int, key netip.Addr) {
	if m[key] > 1 {
		m[key]--
	} else {
		delete(m, key)
	}
}
