package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins/watch"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/codec"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/router"
)

// ErrInjected is what ExchangeFailing's loop answers.
var ErrInjected = errors.New("on purpose")

// WithPatience has a server of the backbone that takes nothing, and a node that says
// nothing, count as gone no sooner than that.
func (o Options) WithPatience(d time.Duration) Options {
	o.patience = d
	return o
}

// ExchangeFailing swaps a plugin for another instance of its own generation and
// lets one loop fail, when those before it have swapped already.
func (s *Server) ExchangeFailing(name string, failing int) error {
	r, g := s.rollouts, s.rollouts.all()[name]
	all, err := r.prepare(s.ctx, g, g.live, false)
	if err != nil {
		return err
	}
	defer all.close()
	return r.do(s.ctx, func() error {
		return r.exchange(func(p *path, loop int) (swapped, error) {
			if loop == failing {
				return nil, ErrInjected
			}
			return p.swap(g.live, all[loop])
		})
	})
}

// Identify gives a message's attributes what is known of its sender, as a path does.
func Identify(known abi.Attributes) func(m *abi.Message) bool {
	p, from := &path{}, &peer{secure: &credentials{known: known}}
	return func(m *abi.Message) bool {
		p.scratch = p.scratch[:0]
		return p.identify(from, m)
	}
}

// Waiting is how many requests of the API wait for their answers.
func (s *Server) Waiting() int {
	s.bus.asks.mu.Lock()
	defer s.bus.asks.mu.Unlock()
	return len(s.bus.asks.waiting)
}

// Translate converts messages of a listener, as a path does before its chain.
func Translate(c *codec.Converter) func(m *abi.Message) bool {
	p := &path{setup: &setup{listeners: []*listener{{convert: &conversion{converter: c, onFailure: config.OnFailureClosed}}}}}
	return func(m *abi.Message) bool {
		p.scratch = p.scratch[:0]
		return p.translate(m)
	}
}

// BreakRoutes makes every loop panic that looks up a topic, until mend is called.
func (s *Server) BreakRoutes() (mend func()) {
	caches := make([]*router.Cache[router.Subscriber], len(s.paths))
	for i := range caches {
		caches[i] = &router.Cache[router.Subscriber]{} // it has figures, which every tick shows, and nothing to look in
	}
	exchange := func() {
		for i, p := range s.paths {
			done := make(chan struct{})
			if err := s.engine.Do(i, func() { caches[i], p.cache = p.cache, caches[i]; close(done) }); err != nil {
				panic(err)
			}
			<-done
		}
	}
	exchange()
	return exchange
}

// onLoops runs f on every loop, one after another; not on those that have ended.
func (s *Server) onLoops(f func(p *path)) {
	for i, p := range s.paths {
		done := make(chan struct{})
		err := s.engine.Do(i, func() { f(p); close(done) })
		for ; errors.Is(err, engine.ErrBusy); time.Sleep(time.Millisecond) {
			err = s.engine.Do(i, func() { f(p); close(done) })
		}
		if err == nil {
			<-done
		}
	}
}

// Turn has every loop take a turn.
func (s *Server) Turn() { s.onLoops(func(*path) {}) }

// Deaf tells whether every loop takes nothing new any more.
func (s *Server) Deaf() bool {
	deaf := true
	s.onLoops(func(p *path) { deaf = deaf && p.loop.Deaf() })
	return deaf
}

// Leftovers is how many messages the loops have left behind outside of their lanes.
func (s *Server) Leftovers() (n int) {
	s.onLoops(func(p *path) {
		n += len(p.events.Messages)
		for j := range p.stages {
			n += len(p.stages[j].batch.Messages)
		}
	})
	return n
}

// FileChanged does what the watcher does when a file has new content.
func (s *Server) FileChanged(path string) { s.rollouts.changed(watch.Change{Path: path}) }

// ToLog hands messages over to a log that acknowledges each group of them at once, as
// a path does, and the log's goroutines.
func ToLog(t interface{ Fatal(...any) }, id string) func(m *abi.Message) {
	p := &path{setup: &setup{names: []string{"listener"}}}
	r := &durableRoute{Durable: &config.Durable{Delay: "delay"}, name: "route", woken: make(chan struct{}, 1)}
	if id != "" {
		r.id, _ = router.TextTemplate(id)
	}
	p.server = &Server{durable: &durables{node: []byte("node")}}
	l := newLogLane(r, p)
	p.logs, p.logList = []*logLane{l}, []*logLane{l}
	handed := 0
	return func(m *abi.Message) {
		p.scratch = p.scratch[:0]
		p.toLog(m, p.durable(0))
		if handed++; handed%64 != 0 {
			return
		}
		p.postLogs()
		if !l.box.Collect(func(parcel *delivery.Parcel[logItem]) {
			for i := range parcel.Items {
				l.answers.Put(logAnswer{parcel.Items[i].token, taken})
			}
		}) {
			t.Fatal("nothing was handed over")
		}
		for a, ok := l.answers.Take(); ok; a, ok = l.answers.Take() {
			p.endLogged(l, a)
		}
		if p.logging != 0 || l.waiting != 0 || l.bytes != 0 || p.ledger.Logged != uint64(handed) {
			t.Fatal("a message has no end", p.logging, l.waiting, l.bytes, p.ledger.Logged)
		}
	}
}

// SharedKeys is a namespace of the cluster, as plugins have it.
func (s *Server) SharedKeys(t interface{ Fatal(...any) }, name string) *hostfuncs.Namespace {
	space, err := s.plugins.env.KV().Shared(name, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return space
}

// CatchUp has a topic's turn come of which another node has written something meanwhile,
// and tells whether it comes again for that.
func (s *Server) CatchUp(ctx context.Context, topic string) (again bool) {
	k := s.retained
	k.behind.with(topic, func(standing) { k.behind.keys[topic], k.passed[topic] = writing, true })
	o := k.write(ctx, topic)
	k.behind.with(topic, func(s standing) {
		stale := s == writingStale || o == notYet
		again = k.finish(topic, stale, o) && !stale
		delete(k.behind.keys, topic)
		delete(k.passed, topic)
	})
	return again
}

// Unheard has the server forget that it has heard of a node.
func (s *Server) Unheard(node string) { s.cluster.rename(node, -1) }

// Asks tells whether the server asks a node for a session.
func (s *Server) Asks(node string) bool { return s.durable.kept.moves.asks(node) }

// Sight is what looks after the positions of other nodes in the first route's log, beside
// the server's own.
type Sight struct {
	d *durables
	r durableRoute
}

// NewSight has seen no position yet.
func NewSight(s *Server) *Sight {
	r := s.durable.list[0]
	return &Sight{d: s.durable, r: durableRoute{Durable: r.Durable, name: r.name, log: r.log}}
}

// Look is how many other nodes hold the log, as of now.
func (s *Sight) Look(ctx context.Context, now time.Time) (nodes int, err error) {
	others, err := s.d.sight(ctx, &s.r, now)
	return len(others), err
}

// Leases are what looks after the sessions of nodes that are gone, beside the server's own.
type Leases struct{ l leases }

// NewLeases has seen no lease yet.
func NewLeases(s *Server) *Leases {
	return &Leases{leases{v: &s.durable.kept.moves, seen: map[string]*seenLease{}, owners: map[string]bool{}}}
}

// Turn looks at the leases, as of now.
func (l *Leases) Turn(ctx context.Context, now time.Time) error { return l.l.turn(ctx, now) }

// Has tells whether a node has a lease.
func (l *Leases) Has(ctx context.Context, node string) bool {
	if l.l.bucket == nil && l.l.turn(ctx, time.Now()) != nil {
		return false
	}
	_, _, err := l.l.bucket.Get(ctx, node)
	return err == nil
}

// Outlived is how many sessions have ended by that.
func (l *Leases) Outlived() uint64 { return l.l.outlived.Load() }

// OverviewSamples is how often the overview was computed.
func (s *Server) OverviewSamples() uint64 {
	s.overview.mu.Lock()
	defer s.overview.mu.Unlock()
	return s.overview.taken
}

// AllMetrics is what a scrape collects of the server, families without samples included.
func (s *Server) AllMetrics() []admin.Metric { return s.metrics() }

// RefuseSessions has no session written to the bucket until accept is called. Refused is
// how many were not.
func (s *Server) RefuseSessions() (refused func() uint64, accept func()) {
	b := s.durable.kept.behind
	b.mu.Lock()
	defer b.mu.Unlock()
	const other = "no session's key"
	most := b.Most
	b.Most, b.keys[other] = 1, writing
	before := b.counts.Refused
	return func() uint64 {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.counts.Refused - before
		}, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.Most = most
			delete(b.keys, other)
		}
}

// StoredPosition is up to where the backbone knows this node to be in the log of the first
// durable route.
func (s *Server) StoredPosition() uint64 { return s.durable.list[0].stored.Load() }

// Occupy has a loop take no more functions until free is called.
func (s *Server) Occupy(loop int) (free func()) {
	held, began := make(chan struct{}), make(chan struct{})
	if err := s.engine.Do(loop, func() { close(began); <-held }); err != nil {
		panic(err)
	}
	<-began // else it takes one more when it begins
	for {
		if err := s.engine.Do(loop, func() { <-held }); errors.Is(err, engine.ErrBusy) {
			return func() { close(held) }
		}
	}
}

// LaneQuiet tells whether no loop holds messages of the listener.
func (s *Server) LaneQuiet(index int) bool { return s.laneQuiet(index) }

// ReleaseListeners lets others have the indices of listeners of which nothing is left.
func (s *Server) ReleaseListeners() { s.releaseListeners() }

// Ended tells whether the listener has, and whether others may have its index.
func (s *Server) Ended(index int) (ended, released bool) {
	l := s.setup().listeners[index]
	return l.ended.Load(), l.closed.Load()
}

// ReadAgain reads a configuration that was refused once more, as happens by itself after a while.
func (s *Server) ReadAgain() error {
	r := s.rollouts
	r.mu.RLock()
	sum := r.lastRead
	r.mu.RUnlock()
	return r.readAgain(sum)
}

// BreakDelivery makes loops panic that take something of a log to a client's MQTT session,
// until mend is called.
func (s *Server) BreakDelivery(client string) (mend func()) {
	own := map[*stay]*mqttSession{}
	s.onLoops(func(p *path) {
		for _, st := range p.stays.slots {
			if st != nil && st.said != nil && st.said.key.ClientID == client {
				own[st] = st.said
				st.said = &mqttSession{id: st.id, key: st.said.key, peer: st.said.peer, kept: st.said.kept}
			}
		}
	})
	return func() {
		s.onLoops(func(p *path) {
			for _, st := range p.stays.slots {
				if session := own[st]; session != nil {
					st.said = session
				}
			}
		})
	}
}

// Log puts a record into a durable route's log past all else, as if it had been there.
func (s *Server) Log(route string, r *delivery.Record) error {
	for _, at := range s.durable.list {
		if at.name == route {
			ended := make(chan error, 1)
			if err := at.log.Append("", 0, delivery.AppendRecord(nil, r), func(a backbone.Appended) { ended <- a.Err }); err != nil {
				return err
			}
			return <-ended
		}
	}
	return errors.New("there is no such route")
}

// LogSender is who sent an entry of a durable route, as the API shows it.
func (s *Server) LogSender(route string, seq uint64) string {
	entries, err := logsAPI{s}.Read(s.ctx, route, seq, 1)
	if err != nil || len(entries) == 0 {
		return fmt.Sprint("nobody: ", err)
	}
	return entries[0].From
}

// HoldClaims has all sessions that are claimed wait; each call of next lets one go on,
// and those behind it when that is done.
func (s *Server) HoldClaims() (next func()) {
	limit := s.durable.kept.moves.limit
	for range cap(limit) {
		limit <- struct{}{}
	}
	return func() { <-limit }
}

// Claiming is how many clients' sessions are being claimed.
func (s *Server) Claiming() (n int) {
	s.onLoops(func(p *path) {
		for _, at := range p.speakers {
			if speaker, ok := at.(*mqttSpeaker); ok {
				n += len(speaker.claims)
			}
		}
	})
	return n
}

// FloorWhileGiving is up to where this node's receivers have the first durable route's log,
// found while the session of a client without an identity is given to another node; and
// how far that was read.
func (s *Server) FloorWhileGiving(listener, client string) (floor, read uint64) {
	read = s.durable.list[0].counts.followed.Load()
	floor, err := s.durable.floorOf(giving{listener, client}, s.durable.list[0], read)
	if err != nil {
		return 0, 0
	}
	return floor, read
}

// giving gives a session away before each time that a loop is asked.
type giving struct{ listener, client string }

func (g giving) run(s *Server, loop int, fn func()) error {
	return onLoops{}.run(s, loop, func() {
		if speaker, ok := s.paths[loop].speakers[s.listenerIndex(g.listener)].(*mqttSpeaker); ok {
			speaker.give(mqtt.Key{ClientID: g.client}, false, true, func(error) {})
		}
		fn()
	})
}

// RestoredBehind tells whether a session that has everything up to seq is to read by itself
// on a loop that has dealt with what is up to fed, and has panicked at reached, if that is
// behind it.
func RestoredBehind(fed, reached, seq uint64) bool {
	l := &logLane{route: &durableRoute{name: "r"}, fed: fed, feeding: feeding{seq: reached}}
	return restoreCursor(l, &keptRecord{claimed: true, cursors: []keptCursor{{route: "r", seq: seq}}}).behind
}
