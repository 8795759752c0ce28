package server

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/filter"
)

// maxOrders is how many orders may wait for the book.
const maxOrders = 4096

// sanctions takes the orders of loops to block or allow sources, those of plugins and
// those of the policy of offenders, and carries them out on a goroutine of its own: a
// loop waits for nobody's lock but for that of the queue.
type sanctions struct {
	book   *filter.Book
	log    *slog.Logger
	scopes atomic.Pointer[map[string][]string] // listeners by plugin
	filter *hostfuncs.Filter                   // of the plugins; set before anything is loaded

	lost      atomic.Uint64 // orders of the policy for which there was no room
	overruled atomic.Uint64 // that would have changed nothing
	refused   atomic.Uint64 // that the book did not take
	plugins   atomic.Uint64 // of plugins that the book did not take

	wake, done chan struct{}

	mu     sync.Mutex // guards what follows
	orders []order
	closed bool
}

// order is a rule to be made or ended. That of a plugin has its change; revoke ends all
// rules of a plugin.
type order struct {
	change hostfuncs.FilterChange
	revoke bool
	rule   filter.Rule // of the policy
	until  time.Time
}

// newSanctions makes the queue in front of a book.
func newSanctions(cfg *config.Config, book *filter.Book, log *slog.Logger) *sanctions {
	s := &sanctions{book: book, log: log, wake: make(chan struct{}, 1), done: make(chan struct{})}
	s.concern(cfg)
	s.filter = hostfuncs.NewFilter(nil, s)
	return s
}

// concern notes at which listeners what plugins say holds.
func (s *sanctions) concern(cfg *config.Config) {
	scopes := map[string][]string{}
	for name, p := range cfg.Plugins { // a reload may grant it
		if scopes[name] = listenersOf(cfg, name); len(scopes[name]) == 0 && p.Grants.Filter != nil {
			s.log.Warn("a plugin is granted filter and stands in no chain of a listener: what it says of sources concerns nobody", "plugin", name)
		}
	}
	s.scopes.Store(&scopes)
}

// listenersOf are those in whose chains the plugin stands; a route's chain is that of the
// listener that the route names, or of all.
func listenersOf(cfg *config.Config, plugin string) []string {
	stands := func(chain []config.ChainEntry) bool {
		for _, entry := range chain {
			if entry.Plugin == plugin {
				return true
			}
		}
		return false
	}
	var names []string
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		is := stands(l.Chain)
		for k := range cfg.Routes {
			r := &cfg.Routes[k]
			is = is || (r.When.Listener == "" || r.When.Listener == l.Name) && stands(r.Chain)
		}
		if is {
			names = append(names, l.Name)
		}
	}
	return names
}

// Change implements hostfuncs.FilterRules.
func (s *sanctions) Change(c hostfuncs.FilterChange) bool {
	return s.give(order{change: c, until: time.Now().Add(c.TTL)})
}

// Revoke implements hostfuncs.FilterRules.
func (s *sanctions) Revoke(plugin string) {
	s.give(order{change: hostfuncs.FilterChange{Plugin: plugin}, revoke: true})
}

// block has the policy block a source at a listener.
func (s *sanctions) block(owner, listener string, source netip.Prefix, d time.Duration, why string) bool {
	now := time.Now()
	ok := s.give(order{rule: filter.Rule{
		Owner: owner, Listener: listener, Prefix: source, Action: filter.Deny, Since: now, Until: now.Add(d), Why: why,
	}})
	if !ok {
		s.lost.Add(1)
	}
	return ok
}

// give queues an order. Only those that revoke always have room.
func (s *sanctions) give(o order) bool {
	s.mu.Lock()
	if s.closed || len(s.orders) >= maxOrders && !o.revoke {
		s.mu.Unlock()
		return false
	}
	s.orders = append(s.orders, o)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// start carries orders out until the function that it returns is called.
func (s *sanctions) start() (stop func()) {
	end := make(chan struct{})
	go func() {
		defer close(s.done)
		for {
			select {
			case <-s.wake:
				s.carryOut()
			case <-end:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(end)
		<-s.done
	})
}

// carryOut empties the queue.
func (s *sanctions) carryOut() {
	s.mu.Lock()
	orders := s.orders
	s.orders = nil
	s.mu.Unlock()
	for i := range orders {
		switch o := &orders[i]; {
		case o.revoke:
			if n := s.book.Revoke(filter.OwnerOfPlugin(o.change.Plugin)); n > 0 {
				s.log.Info("a plugin has no filter any more: its rules have ended", "plugin", o.change.Plugin, "rules", n)
			}
		case o.change.Plugin != "":
			s.said(o)
		default:
			s.punish(o)
		}
	}
}

// said does what a plugin says, at each of its listeners. What the operator's rules go
// before is done all the same where they do not.
func (s *sanctions) said(o *order) {
	c := &o.change
	owner, names := filter.OwnerOfPlugin(c.Plugin), (*s.scopes.Load())[c.Plugin]
	s.book.Grant(owner, filter.Ceiling{
		Rules: hostfuncs.MaxFilterSources * max(1, len(names)), TTL: hostfuncs.MaxFilterLongest, Allow: true, Listeners: append([]string{}, names...),
	})
	action := filter.Deny
	if c.Verb == hostfuncs.FilterAllow {
		action = filter.Allow
	}
	made := false
	for _, name := range names {
		if c.Verb == hostfuncs.FilterForget {
			s.book.Remove(owner, name, c.Source)
			continue
		}
		err := s.book.Set(filter.Rule{Owner: owner, Listener: name, Prefix: c.Source, Action: action, Until: o.until})
		made = made || err == nil
		s.failed(err, &s.plugins, "what a plugin says of a source was not put into force", "plugin", c.Plugin, "source", c.Source, "verb", c.Verb.String(), "listener", name)
	}
	if !made {
		s.filter.Refused(*c)
	}
}

// punish blocks an offender.
func (s *sanctions) punish(o *order) {
	s.failed(s.book.Set(o.rule), &s.refused, "an offender was not blocked", "source", o.rule.Prefix, "listener", o.rule.Listener, "owner", o.rule.Owner)
}

// failed counts an order that was not carried out.
func (s *sanctions) failed(err error, count *atomic.Uint64, text string, about ...any) {
	switch {
	case err == nil:
	case errors.Is(err, filter.ErrOverruled):
		s.overruled.Add(1)
		s.log.Debug(text, append(about, "error", err)...)
	default:
		count.Add(1)
		s.log.Warn(text, append(about, "error", err)...)
	}
}

// metrics shows what became of orders.
func (s *sanctions) metrics(plugins []string, granted func(string) bool) []admin.Metric {
	orders := newFamily("weft_filter_orders_refused_total", "Orders of plugins and of the policy of offenders to block or allow a source that were not carried out, by reason.", admin.Counter, "reason")
	orders.add(s.lost.Load(), "queue_full")
	orders.add(s.overruled.Load(), "overruled")
	orders.add(s.refused.Load()+s.plugins.Load(), "book")
	said := newFamily("weft_plugin_filter_changes_total", "What plugins said of sources, by result.", admin.Counter, "plugin", "result")
	rules := newFamily("weft_plugin_filter_rules", "Sources of which plugins have said something that holds.", admin.Gauge, "plugin")
	for _, name := range plugins {
		st := s.filter.Stats(name)
		if st == (hostfuncs.FilterStats{}) && !granted(name) {
			continue
		}
		said.add(st.Changes-min(st.Changes, st.Refused), name, "done")
		said.add(st.Refused, name, "refused")
		said.add(st.Limited, name, "limited")
		said.add(st.Failed, name, "failed")
		said.add(st.Invalid, name, "invalid")
		said.add(st.Denied, name, "denied")
		rules.add(uint64(st.Rules), name)
	}
	list := []admin.Metric{orders.Metric}
	if len(said.Samples) > 0 {
		list = append(list, said.Metric, rules.Metric)
	}
	return list
}
