package server

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
)

// path is a message's whole way on one loop, from the bytes that the engine has
// read to the bytes that it is to write. It is the loop's engine.Handler: all
// methods run on the loop's goroutine, so nothing here takes a lock.
//
//	Data     bytes -> frame -> message, into its listener's lane   (frames.go, lane.go)
//	Turn     lane -> chain -> verdict
//	settle   verdict -> an answer, or the routes
//	route    message -> places, through the route's own chain (route.go)
//	deliver  place -> receivers -> frame -> outbox      (deliver.go)
//
// Sessions come and go in session.go.
type path struct {
	server   *Server
	loop     *engine.Loop
	single   bool // there is no other loop
	setup    *setup
	chains   map[chainKey]*plugins.Chain // of listeners, and of routes that have one
	lanes    []*lane                     // by listener
	speakers []speaker                   // by listener; nil for those of frames
	shown    atomic.Pointer[shownLanes]
	turners  []turner // of them
	stays    stays    // sessions that outlive their connections
	stages   []*stage // by route
	retired  []*stage // of routes that are gone, which still hold messages
	open     int      // the stage in which messages wait; noStage if none does
	cache    *router.Cache[router.Subscriber]

	now      int64                                   // of this turn, nanoseconds since 1970-01-01 UTC; 0 between turns
	scratch  []byte                                  // this turn's attributes, topics and encoded frames
	came     []abi.Message                           // what messages of this turn were before weft changed them
	lastWrap wrap                                    // of the last unit that went to a WebSocket
	wrapped  []byte                                  // while a WebSocket's bytes are cut: what follows them
	moved    bool                                    // and that it went to another loop meanwhile
	encoded  encoded                                 // of the message that is being delivered
	why      delivery.Reason                         // why the last place did not take the message
	receipts receipts                                // of messages that other loops have
	flights  flights                                 // messages that upstream pools have
	landed   landing                                 // what became of a posted message
	foreign  engine.ConnID                           // the connection of another loop that a posted message came by
	by       []router.Subscriber                     // of a posted message
	sys      *mqttSys                                // of the first loop; nil without MQTT
	sharing  [2]router.Subscriber                    // of a message for a shared subscription
	entering abi.Message                             // see blank
	letter   delivery.Letter                         // what a dead letter of the message would say
	letters  *delivery.Handover[delivery.DeadLetter] // dead letters to be kept; nil for none
	far      *farPath                                // to other nodes; nil without any
	here     bool                                    // the message goes to receivers of this node alone
	confirms bool                                    // another node that gets it is to say whether somebody took it
	kept     bool                                    // the last dead letter was kept
	again    *replaying                              // the letter that is being replayed, if one is

	// The last request that somebody else may answer: its session and receipt.
	askedBy uint64
	asked   uint32

	recordings []*recording // of traffic that passes here
	tail       *pathTail    // nil while nobody looks and nothing is traced
	trace      *pathTrace   // nil without traces

	gate gate // who may speak to the listeners

	// Of durable routes; nil and zero without any.
	logs         []*logLane // by rule
	logList      []*logLane
	logging      int // messages that wait for a log's answer
	onLogs       func()
	logsDue      atomic.Bool // a call of onLogs is on its way
	logsMissed   atomic.Bool // the loop had no room for it: the next tick does it
	refusedByLog bool        // the message that ends has not been kept
	hearing      bool        // the message that ends has been kept
	ending       abi.Message // it
	recall       recall
	owed         owedAcks
	oweds        map[spokenKey]*abi.Message // answers of speakers' listeners that wait; nil before the first
	calls        map[uint32]*waitingCall
	lastCall     uint32
	dirtied      []dirtied  // sessions that have changed since they were written
	toCatch      []catchFor // that wait for entries to be read back
	catching     int        // for which entries are being read

	waiting waiting

	// Of lasting sessions.
	unsettled []*peer // that have got a name in this turn
	soiled    []*peer // that have changed since they were written
	unclaimed []*peer // whose session could not be claimed
	savedAt   time.Time
	reclaimed time.Time

	input   router.Input
	choices []router.Choice
	values  placeholders
	name    []byte
	events  plugins.Batch // for the hooks that are about no message
	expired []delivery.Pending
	parting *peer // whose session ends
	// refusals: a session was refused while messages of it may still wait.
	refusals bool

	flows     flows
	ledger    delivery.Ledger
	published delivery.Published
	cached    cacheCounts
}

// newPath makes a loop's path, with an instance of every plugin.
func newPath(s *Server, l *engine.Loop) (*path, error) {
	p := &path{server: s, loop: l, single: l.Loops() == 1, setup: s.setup(), chains: map[chainKey]*plugins.Chain{}, open: noStage}
	p.cache = router.NewCache(s.topics, p.setup.table, router.CacheLimits{})
	p.cache.OrderBy(router.BySession)
	p.far = s.cluster.farPath(p)
	p.gate = s.fastPath.gate()
	p.flows.fit(p.setup)
	for key, list := range s.plugins.chains {
		chain, err := plugins.NewChain(s.ctx, p.setup.names, list...)
		if err != nil {
			return nil, errors.Join(err, p.close(s.ctx))
		}
		p.chains[key] = chain
		p.ready(chain, key)
	}
	for _, l := range p.setup.listeners {
		p.lanes = append(p.lanes, p.newLane(l, p.chains[listenerChain(l.name)]))
	}
	p.makeSpeakers()
	p.shown.Store(&shownLanes{p.lanes, p.speakers})
	p.makeStages()
	return p, nil
}

// close closes the path's plugin instances.
func (p *path) close(ctx context.Context) error {
	var errs []error
	for _, c := range p.chains {
		errs = append(errs, c.Close(ctx))
	}
	for _, l := range p.lanes { // of listeners that are gone
		errs = append(errs, l.chain.Close(ctx))
	}
	for _, s := range p.retired {
		errs = append(errs, s.chain.Close(ctx))
	}
	return errors.Join(errs...)
}

// publish shows the counters to other goroutines, once a turn.
func (p *path) publish() {
	p.ledger.Publish(&p.published)
	p.flows.publish()
	p.cached.publish(p.cache.Stats())
	if p.logs != nil {
		p.postLogs()
	}
	if p.letters != nil && p.letters.Post() {
		p.server.keeper.wake()
	}
	if p.far != nil {
		p.far.post()
	}
	for _, r := range p.recordings {
		r.post(p.loop.Index())
	}
	for i := range p.lanes {
		p.lanes[i].counts.publish()
		p.lanes[i].web.publish()
	}
}

// Data cuts what the listener's protocol has put into b.
func (p *path) Data(c *engine.Conn, b []byte) (consumed, need int) {
	from := c.Value.(*peer)
	p.begin()
	if p.waiting.lanes+p.waiting.stages > 0 {
		p.calm(from)
	}
	if from.web != nil {
		return p.web(from, b)
	}
	return p.cut(from, b)
}

// cut collects the messages in b, whatever carried it, in the listener's lane.
func (p *path) cut(from *peer, b []byte) (consumed, need int) {
	if s := p.speakers[from.listener.index]; s != nil {
		return s.data(from, b)
	}
	return p.frames(from, b)
}

// begin notes the time when a turn's first bytes arrive.
func (p *path) begin() {
	if p.now == 0 {
		p.now = time.Now().UnixNano()
	}
}

// Turn runs every lane's chain over what this turn has collected.
func (p *path) Turn() {
	for i := range p.lanes {
		if len(p.lanes[i].batch.Messages) > 0 {
			p.run(p.lanes[i])
		}
	}
	if len(p.receipts.owed) > 0 {
		p.repay()
	}
	if len(p.unsettled) > 0 {
		p.settleLasting()
	}
	p.endTurn()
}

// run passes a lane's messages through its chain and settles each.
func (p *path) run(l *lane) {
	l.running, l.left = true, len(l.batch.Messages)
	if p.tail != nil {
		p.tail.choose(abi.HookMessages, l.batch.Messages)
	}
	l.chain.Messages(&l.batch)
	if p.tail != nil {
		p.tail.held(&l.batch)
	}
	l.left -= l.batch.Held
	p.flows.turn += uint64(len(l.batch.Messages))
	p.waiting.note(&p.waiting.lanes, l.chain)
	p.remember(&l.batch)
	for i := range l.batch.Messages {
		l.at = i
		if l.batch.Outcomes[i].Emitted {
			p.ledger.Emitted++
			l.left++
		}
		if p.tail != nil {
			outer := p.tail.settling(&l.batch.Messages[i])
			p.settle(l, &l.batch.Messages[i], &l.batch.Outcomes[i])
			p.tail.settled(outer)
		} else {
			p.settle(l, &l.batch.Messages[i], &l.batch.Outcomes[i])
		}
		l.left--
	}
	p.flush()
	l.reset()
}

// settle carries out what a listener's chain decided about one message.
func (p *path) settle(l *lane, m *abi.Message, o *plugins.Outcome) {
	var payload []byte
	if l.listener.acknowledge != nil && !o.Emitted {
		if payload = l.payloads[o.Origin]; payload == nil {
			payload = []byte{}
		}
	}
	p.settleAs(l, m, o, payload)
}

// settleAs is settle for a message whose payload came in so; nil for one that is
// not acknowledged.
func (p *path) settleAs(l *lane, m *abi.Message, o *plugins.Outcome, payload []byte) {
	if p.open != noStage && p.stages[p.open].chain.MayPause() {
		p.flush() // what it pauses must not be overtaken
	}
	if p.waiting.stages > 0 && p.park(l, m, o, payload) {
		return
	}
	p.encoded.reset(o.Changes)
	if p.refusals && !o.Emitted && p.isRefused(m.Session) {
		p.drop(m, delivery.Closed)
		return
	}
	if o.Verdict == abi.VerdictContinue || o.Verdict == abi.VerdictRoute {
		p.acknowledge(l, m, o, payload)
	}
	if p.decided(l.chain, m, o) {
		p.route(m)
	}
}

// decided carries out every verdict but continue, for which it answers true: the
// message goes on.
func (p *path) decided(chain *plugins.Chain, m *abi.Message, o *plugins.Outcome) (goesOn bool) {
	p.letter = routeLetter(p.setup.nameOf(m.Listener))
	switch o.Verdict {
	case abi.VerdictContinue:
		return true
	case abi.VerdictRoute:
		p.blame(chain, o)
		p.routeTo(m, o)
	case abi.VerdictReply:
		p.reply(m, o.Out)
	case abi.VerdictDrop:
		p.drop(m, dropReason(o.Cause))
		if p.server.debugging() {
			p.server.log.DebugContext(p.logContext(m), "message dropped", "listener", p.setup.nameOf(m.Listener), "session", m.Session, "topic", string(m.Topic),
				"plugin", pluginName(chain, o), "cause", o.Cause, "reason", string(o.Out))
		}
	case abi.VerdictClose:
		p.drop(m, delivery.PluginClose)
		p.closeSession(m.Session, o.Out)
	default:
		p.drop(m, delivery.PluginFault)
	}
	return false
}

// pluginName is the name of the plugin that decided.
func pluginName(chain *plugins.Chain, o *plugins.Outcome) string {
	if o.Plugin < 0 {
		return ""
	}
	return chain.Plugin(int(o.Plugin)).Name()
}

func dropReason(cause plugins.Cause) delivery.Reason {
	switch cause {
	case plugins.CauseTrap:
		return delivery.PluginTrap
	case plugins.CauseFault:
		return delivery.PluginFault
	case plugins.CauseFuel:
		return delivery.PluginFuel
	case plugins.CauseDepth:
		return delivery.PluginDepth
	case plugins.CauseLost:
		return delivery.PluginTrap
	case plugins.CauseHeld:
		return delivery.HoldFull
	case plugins.CauseConversion:
		return delivery.Conversion
	case plugins.CauseBackOff, plugins.CauseBuffer, plugins.CauseDeadline:
		return delivery.PluginUnavailable
	}
	return delivery.PluginDrop
}

// acknowledge answers a message that no plugin answered, where the listener says
// so.
func (p *path) acknowledge(l *lane, m *abi.Message, o *plugins.Outcome, payload []byte) {
	t := l.listener.acknowledge
	if t == nil || m.Session == 0 || o.Emitted || payload == nil {
		return
	}
	from := p.peer(m.Session)
	if from == nil {
		return
	}
	p.values.set(l.listener.name, m)
	p.values.payload = payload
	start := len(p.scratch)
	text, err := t.Append(p.scratch, &p.values)
	p.scratch = text
	if err != nil {
		return
	}
	answer := abi.Message{Type: abi.TypeResponse, Seq: m.Seq, Priority: m.Priority, Attrs: m.Attrs, Payload: text[start:len(text):len(text)]}
	if l.listener.format == nil {
		p.encoded.reset(abi.ChangesKnown)
		answer.Listener = m.Listener
		if !p.oweSpoken(m, &answer) {
			p.send(&answer, m.Session)
		}
		return
	}
	at := len(p.scratch)
	unit, err := l.listener.format.Append(p.scratch, &answer)
	if err != nil {
		p.took(delivery.Unencodable)
		return
	}
	p.scratch = unit
	if !p.owesAck(l.listener) || !p.owe(m, from, unit[at:]) {
		p.answer(from, unit[at:], m.Priority)
	}
}

// changes notes what a message is before weft changes something of it for the first
// time: a plugin's changes the chain notes.
func (p *path) changes(m *abi.Message) {
	if !m.Changed {
		p.came = append(p.came, *m) // what grows it leaves the older ones where they are
		m.Changed, m.Came = true, &p.came[len(p.came)-1]
	}
}

// endTurn gives back what the turn has borrowed.
func (p *path) endTurn() {
	for _, t := range p.turners {
		t.turn()
	}
	const keep, maxCame = 4 << 20, 16 << 10
	if cap(p.scratch) > keep {
		p.scratch = nil
	}
	p.scratch, p.now, p.refusals = p.scratch[:0], 0, false
	if clear(p.came); cap(p.came) > maxCame {
		p.came = nil
	}
	p.came = p.came[:0]
	p.lastWrap = wrap{}
	if p.trace != nil {
		p.trace.post()
	}
	p.publish()
}

// TurnFailed abandons the messages of a turn that has panicked.
func (p *path) TurnFailed(any) {
	for i := range p.lanes {
		p.abandon(p.lanes[i])
	}
	for _, t := range p.turners {
		t.failed()
	}
	p.events.Reset()
	p.endTurn()
}
