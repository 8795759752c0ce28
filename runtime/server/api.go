package server

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/router"
)

// apiLoop stands in a session id where the engine has the number of a loop: such
// an id is a subscription of the API. No engine has so many loops.
const apiLoop = 0xff

func isAPI(id uint64) bool { return engine.ConnID(id).Loop() == apiLoop }

// bus is the part of the server that the API publishes to and subscribes at.
type bus struct {
	server *Server

	mu     sync.Mutex // writers
	last   uint64
	bytes  atomic.Int64 // that wait for readers
	active atomic.Pointer[map[uint64]*apiSubscription]
	asks   asks
}

func newBus(s *Server) *bus {
	b := &bus{server: s}
	b.active.Store(&map[uint64]*apiSubscription{})
	return b
}

// Publish implements admin.Bus: it hands the message to a loop, where it takes
// its way behind the chains.
func (b *bus) Publish(ctx context.Context, m *abi.Message) (admin.Receipt, error) {
	if err := router.ValidateTopic(m.Topic); err != nil {
		return admin.Receipt{}, fmt.Errorf("%w: %w", admin.ErrInvalidMessage, err)
	}
	if err := honest(m); err != nil {
		return admin.Receipt{}, err
	}
	if state, _ := b.server.life.State(); state != life.Running {
		return admin.Receipt{}, fmt.Errorf("%w: weft is %s", admin.ErrDraining, state)
	}
	m.Session = 0
	return b.hand(ctx, m)
}

// honest refuses a message that has attributes which only weft gives.
func honest(m *abi.Message) error {
	if !forges(m.Attrs) {
		return nil
	}
	return fmt.Errorf("%w: names of attributes that begin with %s are weft's own: they say who has sent a message", admin.ErrInvalidMessage, ownPrefix)
}

// hand hands a message to the loop of its topic and waits for what becomes of it.
func (b *bus) hand(ctx context.Context, m *abi.Message) (admin.Receipt, error) {
	m.Listener, m.Frame, m.Changed, m.Came = apiListener, nil, false, nil
	done := make(chan admin.Receipt, 1)
	at := b.server.publishTo(m.Topic)
	err := b.server.engine.Do(at, func() {
		b.server.paths[at].takeFor(m, -1, done)
	})
	if err != nil {
		return admin.Receipt{}, fmt.Errorf("%w: %w", admin.ErrBusy, err)
	}
	select {
	case r := <-done:
		return r, unkept(r)
	case <-ctx.Done():
		return admin.Receipt{}, ctx.Err()
	}
}

// takeFor takes a message to its places, as take does, and tells done, which has room
// for it, what became of it.
func (p *path) takeFor(m *abi.Message, rule int, done chan<- admin.Receipt) {
	say := func(r admin.Receipt) {
		select {
		case done <- r:
		default: // it was said already
		}
	}
	r, waits := admin.Receipt{Dropped: delivery.Internal.String()}, false
	m.Receipt = 0
	if p.logs != nil {
		m.Receipt = p.callReceipt(done)
	}
	defer func() { // whatever happens: somebody waits
		switch {
		case waits:
			delete(p.calls, m.Receipt) // a pool's outcome says it
		case m.Receipt == 0 || !p.callWaits(m.Receipt):
			say(r)
		}
	}()
	r, waits = p.take(m, rule, say)
}

// take takes one message of the API to its places: along a rule, past its chain, or as
// all rules say where the rule is negative. If it waits for upstream pools, it says
// later what became of it.
func (p *path) take(m *abi.Message, rule int, later func(admin.Receipt)) (r admin.Receipt, waits bool) {
	p.begin()
	done := false
	defer p.mend(&done, p.underWay())
	m.Time = p.now
	p.ledger.In++
	p.flows.turn++
	p.flows.published++
	copies, held, dropped := p.ledger.Copies, p.held(), p.ledger.Dropped
	p.why, p.letter = delivery.NoRoute, routeLetter(apiName)
	p.encoded.reset(abi.ChangesKnown)
	p.receipts.expect(func(at *pendingReceipt) {
		if r.Delivered += at.copies; r.Delivered == 0 && !at.taken && !at.dead {
			r.Dropped = at.why.String()
		}
		later(r)
	})
	var outer *followed
	if p.tail != nil {
		outer = p.tail.entering(m, true)
	}
	if rule < 0 {
		p.route(m)
	} else {
		p.asking(m)
		choice, found := p.setup.table.Choice(rule, &p.input), p.cache.Lookup(m.Topic)
		p.toChoice(m, &choice, &found)
	}
	if p.tail != nil {
		p.tail.settled(outer)
	}
	p.flush()
	waits = p.receipts.expected()
	done = true
	r = admin.Receipt{Delivered: int(p.ledger.Copies - copies)}
	switch {
	case waits || r.Delivered > 0 || p.why == asDeadLetter && p.kept:
	case p.held() > held: // it goes on when a plugin's call is answered
	case p.why == asDeadLetter: // which nobody took
		r.Dropped = delivery.DeadLetterLost.String()
	default:
		r.Dropped = p.why.String()
		for reason := range delivery.Reasons() { // a plugin's verdict is not in why
			if p.ledger.Dropped[reason] > dropped[reason] {
				r.Dropped = reason.String()
			}
		}
	}
	return r, waits
}

// Subscribe implements admin.Bus.
func (b *bus) Subscribe(_ context.Context, patterns []string, buffer int) (admin.Subscription, error) {
	return b.subscribe(patterns, buffer, 0)
}

// subscribeHere is Subscribe to messages of this node alone: what every node of a
// cluster does by itself is not to be done once more for each of the others.
func (b *bus) subscribeHere(patterns []string, buffer int) (admin.Subscription, error) {
	return b.subscribe(patterns, buffer, hereBit)
}

// subscribe subscribes under an id with these bits.
func (b *bus) subscribe(patterns []string, buffer int, bits uint64) (admin.Subscription, error) {
	for _, pattern := range patterns {
		if err := router.ValidatePattern(pattern); err != nil {
			return nil, fmt.Errorf("%w: %w", admin.ErrInvalidPattern, err)
		}
	}
	if state, _ := b.server.life.State(); state != life.Running {
		return nil, fmt.Errorf("%w: weft is %s", admin.ErrDraining, state)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	s := &apiSubscription{
		bus: b, id: apiLoop<<56 | bits | b.last, patterns: patterns,
		queue: make(chan admin.Delivery, max(buffer, 1)), ended: make(chan struct{}),
	}
	next := maps.Clone(*b.active.Load())
	next[s.id] = s
	b.active.Store(&next)
	for _, pattern := range patterns {
		if _, err := b.server.topics.Add(pattern, router.Subscriber{Session: s.id}); err != nil {
			return nil, fmt.Errorf("%w: %w", admin.ErrInvalidPattern, err)
		}
	}
	return s, nil
}

// offer puts a copy of the message into a subscription's queue, if there is room.
func (b *bus) offer(m *abi.Message, id uint64, listener string) delivery.Reason {
	if isAsk(id) {
		return b.asks.get(id).take(m, listener)
	}
	s := (*b.active.Load())[id]
	if s == nil {
		return delivery.Closed
	}
	size := int64(len(m.Topic) + len(m.Attrs) + len(m.Context) + len(m.Payload))
	waiting, all := s.bytes.Load(), b.bytes.Load()
	if len(s.queue) == cap(s.queue) || waiting > 0 && (waiting+size > maxWaiting || all+size > maxAllWaiting) {
		s.missed.Add(1)
		return delivery.OutboxFull
	}
	d := admin.Delivery{Message: cloneMessage(m), Listener: listener, Missed: s.missed.Load()}
	select {
	case s.queue <- d:
		s.bytes.Add(size)
		b.bytes.Add(size)
		if s.gone.Load() {
			s.discard()
		}
		return taken
	default:
		s.missed.Add(1)
		return delivery.OutboxFull
	}
}

// maxWaiting bounds the bytes that wait for one reader, maxAllWaiting those that
// wait for all. One message is always let in.
const (
	maxWaiting    = 16 << 20
	maxAllWaiting = 256 << 20
)

// drain ends all subscriptions once their queues are empty.
func (b *bus) drain() {
	for _, s := range *b.active.Load() {
		s.finish.Do(func() { s.draining.Store(true); close(s.ended) })
	}
}

// cloneMessage copies a message with all its bytes, into one array.
func cloneMessage(m *abi.Message) *abi.Message {
	c := *m
	all := make([]byte, 0, len(m.Topic)+len(m.Attrs)+len(m.Context)+len(m.Payload))
	take := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		start := len(all)
		all = append(all, b...)
		return all[start:len(all):len(all)]
	}
	c.Topic, c.Attrs, c.Context, c.Payload, c.Frame = take(m.Topic), take(m.Attrs), take(m.Context), take(m.Payload), nil
	c.Came = nil
	return &c
}

// apiSubscription is one subscriber at the API.
type apiSubscription struct {
	bus      *bus
	id       uint64
	patterns []string
	queue    chan admin.Delivery
	bytes    atomic.Int64 // of what waits in the queue
	missed   atomic.Uint64
	draining atomic.Bool
	gone     atomic.Bool
	ended    chan struct{}
	finish   sync.Once
	removed  sync.Once
}

// Next implements admin.Subscription.
func (s *apiSubscription) Next(ctx context.Context) (admin.Delivery, error) {
	select {
	case d := <-s.queue:
		return s.taken(d), nil
	default:
	}
	select {
	case d := <-s.queue:
		return s.taken(d), nil
	case <-s.ended:
		if s.draining.Load() {
			return admin.Delivery{}, admin.ErrDraining
		}
		return admin.Delivery{}, admin.ErrEnded
	case <-ctx.Done():
		return admin.Delivery{}, ctx.Err()
	}
}

func (s *apiSubscription) taken(d admin.Delivery) admin.Delivery {
	m := d.Message
	size := int64(len(m.Topic) + len(m.Attrs) + len(m.Context) + len(m.Payload))
	s.bytes.Add(-size)
	s.bus.bytes.Add(-size)
	return d
}

// Close implements admin.Subscription.
func (s *apiSubscription) Close() {
	s.finish.Do(func() { close(s.ended) })
	s.removed.Do(func() {
		b := s.bus
		for _, pattern := range s.patterns {
			b.server.topics.Remove(pattern, router.Subscriber{Session: s.id})
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		next := maps.Clone(*b.active.Load())
		delete(next, s.id)
		b.active.Store(&next)
		s.gone.Store(true)
		s.discard()
	})
}

// discard gives back what nobody will read.
func (s *apiSubscription) discard() {
	for {
		select {
		case d := <-s.queue:
			s.taken(d)
		default:
			return
		}
	}
}
