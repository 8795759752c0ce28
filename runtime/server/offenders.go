package server

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/filter"
)

// offence is what a source fails at.
type offence uint8

const (
	offenceFrame offence = iota // what it sends cannot be decoded
	offenceAuth                 // it does not authenticate
	offences
)

// String is the offence's label in metrics.
func (o offence) String() string { return [...]string{"frame", "auth"}[o] }

// offenders is the policy of offenders: sources that fail again and again at a listener
// are blocked there for a while. Only what comes from an address that has been proven
// counts: that of a TCP connection, or of a conversation of datagrams that was let in.
// Otherwise whoever forges an address could have its owner locked out.
type offenders struct {
	server *Server
	seen   atomic.Pointer[filter.Offenders] // nil as long as no listener has the policy
	all    atomic.Pointer[map[string]*offending]
}

// offending is the policy of one listener.
type offending struct {
	policy atomic.Pointer[config.Offenders] // nil: nobody is blocked
	counts [offences]atomic.Uint64          // blocked
}

func newOffenders(s *Server) *offenders {
	o := &offenders{server: s}
	o.all.Store(&map[string]*offending{})
	o.apply(s.cfg)
	return o
}

// apply puts a configuration's policy into force, by the listeners' names. One caller at
// a time.
func (o *offenders) apply(cfg *config.Config) {
	former, all := *o.all.Load(), map[string]*offending{}
	for i := range cfg.Listeners {
		c := &cfg.Listeners[i]
		if all[c.Name] = former[c.Name]; all[c.Name] == nil {
			all[c.Name] = &offending{}
		}
		if c.Offenders != nil && o.seen.Load() == nil {
			o.seen.Store(filter.NewOffenders(0))
		}
		all[c.Name].policy.Store(c.Offenders)
	}
	o.all.Store(&all)
}

// offends counts a failure of the connection's source.
func (p *path) offends(from *peer, what offence) {
	p.server.offences.failed(from.listener, what, from.conn.Remote().Addr())
}

// failed counts a failure, and blocks who has failed too often.
func (o *offenders) failed(l *listener, what offence, source netip.Addr) {
	at := (*o.all.Load())[l.name]
	if at == nil { // it is gone
		return
	}
	policy := at.policy.Load()
	if policy == nil || !source.IsValid() {
		return
	}
	prefix := hostfuncs.Blocked(source)
	kind := l.index*uint32(offences) + uint32(what)
	if !o.seen.Load().Failed(kind, prefix, time.Now(), policy.Failures, policy.Window.Std()) {
		return
	}
	owner, failure := filter.OwnerFrame, "frames that cannot be decoded"
	if what == offenceAuth {
		owner, failure = filter.OwnerAuth, "failures to authenticate"
	}
	why := fmt.Sprintf("%d %s within %v", policy.Failures, failure, policy.Window.Std())
	if !o.server.orders.block(owner, l.name, prefix, policy.Block.Std(), why) {
		return
	}
	at.counts[what].Add(1)
	o.server.crowd.Warn("a source that fails again and again is blocked", "listener", l.name, "source", prefix, "for", policy.Block.Std(), "why", why)
}

// metrics shows how many were blocked.
func (o *offenders) metrics() []admin.Metric {
	f := newFamily("weft_filter_offenders_total", "Sources that were to be blocked because they failed again and again, by what they failed at.", admin.Counter, "listener", "cause")
	all := *o.all.Load()
	for _, name := range sortedKeys(all) {
		for what := range offences {
			if n := all[name].counts[what].Load(); n > 0 || all[name].policy.Load() != nil {
				f.add(n, name, what.String())
			}
		}
	}
	if len(f.Samples) == 0 {
		return nil
	}
	return []admin.Metric{f.Metric}
}
