package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/router"
)

// Durable routes. A message of such a route does not go to the route's destinations
// but into its log, and its sender hears of it when the log has it:
//
//	durable_lane.go     loop -> log, and the log's answers back on the loop
//	durable_write.go    one goroutine a route: hands the loops' records to the log
//	durable_ack.go      acknowledgements of frames, and answers of the API, that wait
//	durable_follow.go   log -> every loop: destinations that fan out
//	durable_work.go     log -> one member in the cluster: queue, node, upstream, dead-letter
//	durable_shared.go   log -> one member of each shared subscription in the cluster
//	durable_positions.go  how far each node is, which of them are gone for good, and works that nobody has any more
//	durable_cursor.go   how far each kept MQTT session is, and reading back what it missed
//	durable_sessions.go kept MQTT sessions outlive the process: when each is written
//	lasting*.go         sessions of frames
//	sessions_*.go       what is written of one, how it comes back, and how it moves to another node
//	durable_away.go     a start without the backbone: what is read when it is there
//
// A receiver gets a route's messages in the order of its log, whatever their topics.

// durables are a server's durable routes; nil where there are none.
type durables struct {
	server   *Server
	backbone *backbone.Backbone
	routes   []*durableRoute // by index in the configuration; nil for those that are not durable
	list     []*durableRoute
	node     []byte // this one, as records have it
	kept     *keptSessions
	readers  *catchers

	unwritten unwritten

	stop    context.CancelFunc // of what reads the logs
	reading sync.WaitGroup
	end     context.CancelFunc // of what writes
	writing sync.WaitGroup
}

// durableRoute is one of them.
type durableRoute struct {
	*config.Durable
	name  string
	rule  int // index in the configuration
	place int // in durables.list
	log   *backbone.Log
	id    *router.Template // nil for none
	last  uint64           // the newest entry when it was opened
	fan   bool             // some destination fans out
	sum   uint16           // of the destinations: see keptCursor
	// shared: there is a work for shared subscriptions. back: this node was here before;
	// what is below worked went to shared subscriptions while it was not.
	shared, back bool
	worked       uint64
	once         []*durableWork // destinations that take a message once in the cluster

	lanes    []*logLane    // by loop
	woken    chan struct{} // some loop has posted records
	room     chan struct{} // the log has answered: it may take more
	floor    uint64        // of this node: see savePosition
	released uint64        // from the log
	anew     bool          // this node had no position when it was opened: it began with the newest entry
	unsaved  bool          // and has not written one

	// Of the goroutine that saves: see durable_positions.go.
	signed, looked time.Time
	seen           map[string]sighted

	newest      atomic.Uint64 // that the log has confirmed to this node
	savedNewest uint64        // of that, what the bucket has
	stored      atomic.Uint64 // the position in the bucket: every loop has dealt with what is up to here

	counts durableCounts
}

// isOnce tells destinations that take a message once in the cluster from those that
// each node serves for its own.
func isOnce(kind abi.DestinationKind) bool {
	switch kind {
	case abi.ToQueue, abi.ToNode, abi.ToUpstream, abi.ToDeadLetter:
		return true
	}
	return false
}

// newDurables opens the logs, and the bucket of sessions; nil if the configuration has no
// durable route, and no listener with sessions to be kept where a backbone runs.
func newDurables(ctx context.Context, s *Server, b *backbone.Backbone) (*durables, error) {
	d := &durables{server: s, backbone: b, node: []byte(s.node), routes: make([]*durableRoute, len(s.cfg.Routes))}
	for i := range s.cfg.Routes {
		if s.cfg.Routes[i].Durable == nil {
			continue
		}
		r, err := d.newRoute(ctx, i)
		if err != nil {
			return nil, errors.Join(err, d.close(ctx))
		}
		r.place = len(d.list)
		d.routes[i] = r
		d.list = append(d.list, r)
	}
	if b != nil {
		d.forgotten(ctx)
	}
	if len(d.list) == 0 && (b == nil || s.mqtt == nil && s.lasting == nil) {
		return nil, nil
	}
	var err error
	if d.kept, err = newKeptSessions(ctx, d); err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	d.readers = newCatchers(d)
	return d, nil
}

// forgotten tells of logs with messages whose route is not in the configuration, as when
// it was given another name: nobody delivers what they hold.
func (d *durables) forgotten(ctx context.Context) {
	logs, err := d.backbone.Logs(ctx)
	if err != nil {
		d.server.log.Debug("whether there are logs without a route is not known", "error", err)
		return
	}
	for _, r := range d.list {
		delete(logs, r.name)
	}
	for name, held := range logs {
		if held > 0 {
			d.server.unrouted += held
			d.server.log.Warn("a log has no durable route in this configuration: what it holds is not delivered from here, and takes room", "log", name, "held", held,
				"fix", "give the route its name again, or durable: {}, if some of it was not delivered yet")
		}
	}
}

func (d *durables) newRoute(ctx context.Context, index int) (*durableRoute, error) {
	c := &d.server.cfg.Routes[index]
	r := &durableRoute{
		Durable: c.Durable, name: c.Name, rule: index,
		woken: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	var err error
	if c.Durable.ID != "" {
		if r.id, err = router.TextTemplate(c.Durable.ID); err != nil {
			return nil, fmt.Errorf("routes.%s.durable.id: %w", c.Name, err)
		}
	}
	for _, to := range d.server.setup().table.Destinations(index) {
		r.sum = uint16(mixed(uint64(r.sum) + hashOf(to.String())))
		if isOnce(to.Kind) {
			r.once = append(r.once, &durableWork{route: r, to: to.String()})
		} else {
			r.fan = true
			r.shared = r.shared || to.Kind == abi.ToSubscribers && d.server.mqtt != nil && d.server.cluster != nil
		}
	}
	if r.shared {
		r.once = append(r.once, &durableWork{route: r, to: sharedWork, shared: true})
	}
	r.log, err = d.backbone.Log(ctx, backbone.LogOptions{
		Name: c.Name, Size: int64(c.Durable.Size), Messages: int64(c.Durable.Messages), Age: c.Durable.Age.Std(), Window: c.Durable.Window.Std(),
		DropOldest: c.Durable.WhenFull == config.WhenFullOldest, Tries: c.Durable.Tries,
		Works: r.works(), FromFirst: c.Durable.From == config.FromBeginning,
	})
	if err != nil {
		return nil, fmt.Errorf("routes.%s.durable: %w", c.Name, err)
	}
	return r, nil
}

// attach gives a loop its lanes.
func (d *durables) attach(p *path) {
	if d == nil {
		return
	}
	if len(d.list) > 0 {
		p.logs = make([]*logLane, len(d.routes))
	}
	for _, r := range d.list {
		l := newLogLane(r, p)
		r.lanes = append(r.lanes, l)
		l.rule = r.rule
		p.logs[r.rule] = l
		p.logList = append(p.logList, l)
	}
	p.onLogs = p.hearLogs
}

// start begins to write and to read. The engine runs, or is about to.
func (d *durables) start(ctx context.Context) error {
	if d == nil {
		return nil
	}
	if err := d.kept.moves.serve(); err != nil {
		return err
	}
	late := d.kept.waiting.Load()
	if !late {
		if err := d.kept.restore(ctx, direct{}); err != nil {
			return err
		}
	}
	writing, end := context.WithCancel(ctx)
	reading, stop := context.WithCancel(ctx)
	d.end, d.stop = end, stop
	for _, r := range d.list {
		d.writing.Go(func() { r.write(writing, d.server) })
	}
	d.kept.behind.start(ctx)
	d.readers.start(reading)
	if late {
		d.reading.Go(func() { d.arrive(reading) })
	} else {
		d.read(reading)
	}
	return nil
}

// read begins to take messages out of the logs, and to write how far that is.
func (d *durables) read(reading context.Context) {
	for _, r := range d.list {
		if r.fan {
			d.reading.Go(func() { r.follow(reading, d.server) })
		}
		for _, w := range r.once {
			d.reading.Go(func() { w.run(reading, d.server) })
		}
	}
	d.reading.Go(func() { d.keep(reading) })
	if d.server.cluster != nil {
		d.kept.moves.call(d.kept.moves.keepLeases)
	}
}

// quiet ends what takes messages out of the logs: it goes on after the next start.
func (d *durables) quiet() {
	if d == nil || d.stop == nil {
		return
	}
	d.stop()
	d.reading.Wait()
}

// finish ends everything when the loops have ended: what they still wait for is lost
// to their senders, who were told nothing.
func (d *durables) finish() {
	if d == nil || d.end == nil {
		return
	}
	d.quiet()
	for _, p := range d.server.paths {
		p.abandonLogs()
	}
	d.kept.final()
	ctx, cancel := context.WithTimeout(d.server.ctx, savedWithin)
	defer cancel()
	if d.kept.waiting.Load() {
		// Nothing is known that could be written.
	} else if err := d.save(ctx, direct{}); err != nil {
		d.server.log.Warn("how far receivers of durable routes are was not written: they get more than once what came in the last second", "error", err)
	}
	d.kept.moves.end()
	if left := d.kept.behind.close(writeWithin); left > 0 {
		d.server.log.Warn("sessions were not written to the backbone: the next start has older ones", "sessions", left)
	}
	d.end()
	d.writing.Wait()
	d.end = nil
}

// close closes the logs.
func (d *durables) close(ctx context.Context) error {
	if d == nil {
		return nil
	}
	d.finish()
	if d.kept != nil {
		d.kept.moves.end()
	}
	var errs []error
	for _, r := range d.list {
		errs = append(errs, r.log.Close(ctx))
	}
	return errors.Join(errs...)
}

const (
	// savedEvery is how often it is written how far receivers are.
	savedEvery = time.Second
	// savedWithin is how long a last try at that may take.
	savedWithin = 5 * time.Second
)
