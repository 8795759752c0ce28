package server

import (
	"context"
	"errors"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/session"
)

// path is a message's whole way on one loop, from the bytes that the engine has
// read to the bytes that it is to write. It is the loop's engine.Handler: all
// methods run on the loop's goroutine, so nothing here takes a lock.
//
//	Data     bytes -> frame -> message, into its listener's lane
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
	lanes    []lane    // by listener
	speakers []speaker // by listener; nil for those of frames
	turners  []turner  // of them
	stays    stays     // sessions that outlive their connections
	stages   []stage   // by route
	open     int       // the stage in which messages wait; noStage if none does
	cache    *router.Cache[router.Subscriber]

	now      int64                                   // of this turn, nanoseconds since 1970-01-01 UTC; 0 between turns
	scratch  []byte                                  // this turn's attributes, topics and encoded frames
	lastWrap wrap                                    // of the last unit that went to a WebSocket
	wrapped  []byte                                  // while a WebSocket's bytes are cut: what follows them
	moved    bool                                    // and that it went to another loop meanwhile
	encoded  encoded                                 // of the message that is being delivered
	why      delivery.Reason                         // why the last place did not take the message
	receipts receipts                                // of messages that other loops have
	landed   landing                                 // what became of a posted message
	foreign  engine.ConnID                           // the connection of another loop that a posted message came by
	by       []router.Subscriber                     // of a posted message
	sys      *mqttSys                                // of the first loop; nil without MQTT
	sharing  [2]router.Subscriber                    // of a message for a shared subscription
	entering abi.Message                             // see blank
	letter   delivery.Letter                         // what a dead letter of the message would say
	letters  *delivery.Handover[delivery.DeadLetter] // dead letters to be kept; nil for none
	kept     bool                                    // the last dead letter was kept
	again    *replaying                              // the letter that is being replayed, if one is

	// The last request that somebody else may answer: its session and receipt.
	askedBy uint64
	asked   uint32

	recordings []*recording // of traffic that passes here
	waiting    waiting

	input   router.Input
	choices []router.Choice
	values  placeholders
	name    []byte
	events  plugins.Batch // for the hooks that are about no message
	expired []delivery.Pending
	// refusals: a session was refused while messages of it may still wait.
	refusals bool

	ledger    delivery.Ledger
	published delivery.Published
}

// lane is what one listener's messages of a turn wait in, and the chain that
// they wait for.
type lane struct {
	listener *listener
	chain    *plugins.Chain
	batch    plugins.Batch
	payloads [][]byte // as received, where the listener acknowledges
	running  bool     // the batch is being run
	left     int      // of a batch that is being run: messages that have not ended
	at       int      // and the first of them, once the chain has run
	counts   listenerCounts
	web      *webCounts // nil without WebSocket
}

// maxLane is how many messages a lane collects before it is run within a turn: what
// plugins make of one batch is bounded.
const maxLane = 1024

// newPath makes a loop's path, with an instance of every plugin.
func newPath(s *Server, l *engine.Loop) (*path, error) {
	p := &path{server: s, loop: l, single: l.Loops() == 1, setup: s.setup, lanes: make([]lane, len(s.setup.listeners)), open: noStage}
	p.cache = router.NewCache(s.topics, s.setup.table, router.CacheLimits{})
	p.cache.OrderBy(router.BySession)
	for i := range p.lanes {
		chain, err := plugins.NewChain(s.ctx, s.setup.names, s.plugins.chains[i]...)
		if err != nil {
			return nil, errors.Join(err, p.close(s.ctx))
		}
		p.lanes[i].listener, p.lanes[i].chain = s.setup.listeners[i], chain
		p.lanes[i].carry()
		if p.setup.listeners[i].web != nil {
			p.lanes[i].web = &webCounts{}
		}
		p.wakeOnAnswers(chain)
	}
	p.makeSpeakers()
	if err := p.makeStages(); err != nil {
		return nil, errors.Join(err, p.close(s.ctx))
	}
	return p, nil
}

// close closes the path's plugin instances.
func (p *path) close(ctx context.Context) error {
	var errs []error
	for i := range p.lanes {
		if c := p.lanes[i].chain; c != nil {
			errs = append(errs, c.Close(ctx))
		}
	}
	for i := range p.stages {
		if c := p.stages[i].chain; c != nil {
			errs = append(errs, c.Close(ctx))
		}
	}
	return errors.Join(errs...)
}

// publish shows the counters to other goroutines, once a turn.
func (p *path) publish() {
	p.ledger.Publish(&p.published)
	if p.letters != nil && p.letters.Post() {
		p.server.keeper.wake()
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

// frames cuts frames off b.
func (p *path) frames(from *peer, b []byte) (consumed, need int) {
	l := from.listener
	lane := &p.lanes[l.index]
	for consumed < len(b) && !from.refused {
		messages := append(lane.batch.Messages, abi.Message{})
		m := &messages[len(messages)-1]
		lane.batch.Messages = messages
		n, grown, err := l.format.Decode(b[consumed:], p.scratch, m)
		p.scratch = grown
		if n > 0 && err == nil {
			// The frame keeps the capacity of what follows it: frames that are
			// sent on unchanged and side by side are written as one.
			m.Frame = b[consumed : consumed+n]
			consumed += n
			from.faults = 0
			received := m.Payload
			if p.admit(from, m) && p.translate(m) {
				if l.acknowledge != nil {
					lane.payloads = append(lane.payloads, received)
				}
				if len(messages) >= maxLane {
					p.runNow(lane)
				}
				continue
			}
			lane.batch.Messages = messages[:len(messages)-1]
			continue
		}
		lane.batch.Messages = messages[:len(messages)-1]
		if err == nil {
			return consumed, l.format.Need(b[consumed:])
		}
		lane.counts.bad(err)
		if p.server.debugging() {
			p.server.log.Debug("not a frame", "listener", l.name, "remote", from.conn.Remote(), "skipped", n, "error", err)
		}
		if from.faults++; n == 0 || from.faults > maxFaults {
			from.refused = true
			p.badFrame(from, err)
			from.conn.CloseAfterFlush(engine.ReasonProtocol)
		}
		consumed += n
	}
	if from.refused {
		consumed = len(b)
	}
	return consumed, 0
}

// maxFaults is how many times in a row a connection may send what is no frame in
// a format that finds its way back: looking for the next frame costs time.
const maxFaults = 64

// begin notes the time when a turn's first bytes arrive.
func (p *path) begin() {
	if p.now == 0 {
		p.now = time.Now().UnixNano()
	}
}

// admit completes a message that was cut from a frame; false if it is not to go
// further.
func (p *path) admit(from *peer, m *abi.Message) bool {
	l := from.listener
	if (m.Type == abi.TypeHeartbeat || m.Type == abi.TypeResponse && l.beats) && p.isHeartbeat(from, m) {
		p.answerHeartbeat(from, m)
		return false
	}
	m.Session, m.Listener, m.Time = from.session.ID(), l.index, p.now
	m.Context = from.session.Context()
	p.ledger.In++
	p.lanes[l.index].counts.in(m)
	if !p.identify(from, m) {
		p.ledger.Drop(delivery.TooLarge)
		return false
	}
	if l.nodeAttr != "" && !p.address(from, m) {
		return false
	}
	switch {
	case len(m.Topic) > 0:
	case l.fixedTopic != nil:
		m.Topic = l.fixedTopic
	default:
		return p.makeTopic(l, m)
	}
	return true
}

// isHeartbeat tells a heartbeat, or the answer to weft's own, from a frame that
// looks the same and is for another node.
func (p *path) isHeartbeat(from *peer, m *abi.Message) bool {
	l := from.listener
	if m.Type == abi.TypeResponse && (!l.format.IsHeartbeatReply(m) || l.format.SeqBits() > 0 && p.server.requests.Len() > 0) {
		return false
	}
	if l.nodeAttr == "" {
		return true
	}
	number, _ := m.Attrs.Get(l.nodeAttr)
	own := from.session.Name()
	if own == "" || string(number) == own || string(number) == l.beatNode {
		return true
	}
	return !l.format.AsMessage(m)
}

// answerHeartbeat answers a heartbeat. It names its node as a message does: a node
// that only listens can be reached.
func (p *path) answerHeartbeat(from *peer, m *abi.Message) {
	if l := from.listener; l.nodeAttr != "" && from.session.Name() == "" {
		if number, _ := m.Attrs.Get(l.nodeAttr); string(number) != l.beatNode && !p.named(from, m, number) {
			return
		}
	}
	start := len(p.scratch)
	if grown, ok := from.listener.format.AppendHeartbeatReply(p.scratch, m); ok {
		p.scratch = grown
		p.answer(from, grown[start:], abi.MaxPriority)
	}
	p.lanes[from.listener.index].counts.heartbeats++
}

// answer sends weft's own answer to what the connection sent. Who does not read its
// answers is not read from until it does.
func (p *path) answer(to *peer, unit []byte, priority uint8) {
	if p.write(to, unit, priority) == engine.Pressed {
		p.loop.Hold(to.conn.ID(), to.conn.ID())
	}
}

// makeTopic fills in the topic of a frame that carries none.
func (p *path) makeTopic(l *listener, m *abi.Message) bool {
	start := len(p.scratch)
	p.values.set(l.name, m)
	grown, err := l.topic.Append(p.scratch, &p.values)
	p.scratch = grown
	if err != nil {
		p.drop(m, topicReason(err))
		if p.server.debugging() {
			p.server.log.Debug("no topic", "listener", l.name, "session", m.Session, "error", err)
		}
		return false
	}
	m.Topic = grown[start:len(grown):len(grown)]
	return true
}

func topicReason(err error) delivery.Reason {
	switch {
	case errors.Is(err, router.ErrMissing):
		return delivery.NoTopic
	case errors.Is(err, router.ErrUnsafe):
		return delivery.UnsafeTopic
	}
	return delivery.BadTopic
}

// address deals with frames that carry a node's number. The first one names the
// session, unless the listener says what its name is made of. A later one with
// another number is for that node, 255 for everybody: its receiver reads the
// sender's number in it, so that it can answer.
func (p *path) address(from *peer, m *abi.Message) bool {
	attribute := from.listener.nodeAttr
	number, _ := m.Attrs.Get(attribute)
	own := from.session.Name()
	if own == "" {
		if !p.named(from, m, number) {
			p.drop(m, delivery.Closed)
			return false
		}
		return true
	}
	if string(number) == own {
		return true
	}
	p.readdress(m, attribute, own, number)
	return true
}

// readdress says in a message's attributes which node it is from, and for which.
func (p *path) readdress(m *abi.Message, attribute, own string, to []byte) {
	start := len(p.scratch)
	block := abi.Attributes(p.scratch).AppendString(attribute, own).Append(attrTo, to)
	for name, value := range m.Attrs.All() {
		if string(name) != attribute {
			block = block.Append(string(name), value)
		}
	}
	p.scratch, m.Attrs, m.FrameStale = block, block[start:len(block):len(block)], true
}

// named gives a session without a name the one that its first frame brings;
// false if it may not have it and is being closed.
func (p *path) named(from *peer, first *abi.Message, number []byte) bool {
	if from.listener.node == nil {
		if string(number) == everybody {
			p.refuse(from, errEverybody)
			return false
		}
		if !p.claim(from, number, session.Refuse) {
			return false
		}
	}
	p.introduce(from, first)
	return !from.refused
}

const (
	// attrTo names the node that a frame is addressed to.
	attrTo = "to"
	// everybody is the node number that stands for all nodes.
	everybody = "255"
)

// Turn runs every lane's chain over what this turn has collected.
func (p *path) Turn() {
	for i := range p.lanes {
		if len(p.lanes[i].batch.Messages) > 0 {
			p.run(&p.lanes[i])
		}
	}
	if len(p.receipts.owed) > 0 {
		p.repay()
	}
	p.endTurn()
}

// run passes a lane's messages through its chain and settles each.
func (p *path) run(l *lane) {
	l.running, l.left = true, len(l.batch.Messages)
	l.chain.Messages(&l.batch)
	l.left -= l.batch.Held
	p.waiting.note(&p.waiting.lanes, l.chain)
	p.remember(&l.batch)
	for i := range l.batch.Messages {
		l.at = i
		if l.batch.Outcomes[i].Emitted {
			p.ledger.Emitted++
			l.left++
		}
		p.settle(l, &l.batch.Messages[i], &l.batch.Outcomes[i])
		l.left--
	}
	p.flush()
	l.reset()
}

// carry keeps with each message that is held what its acknowledgement needs.
func (l *lane) carry() {
	if l.listener.acknowledge == nil {
		return
	}
	l.batch.Carry = func(origin int32) any { return asReceived(append([]byte{}, l.payloads[origin]...)) }
}

func (l *lane) reset() {
	l.batch.Reset()
	clear(l.payloads)
	l.payloads = l.payloads[:0]
	l.running, l.left, l.at = false, 0, 0
}

// runNow is run before the turn ends. A panic then costs the lane's messages, and
// goes on to the engine.
func (p *path) runNow(l *lane) {
	defer func() {
		if l.running {
			p.abandon(l)
		}
	}()
	p.run(l)
}

// runFull runs a lane that has collected as much as it may, unless it is being run.
func (p *path) runFull(l *lane) {
	if len(l.batch.Messages) >= maxLane && !l.running {
		p.runNow(l)
	}
}

// abandon ends the messages of a lane that cannot be run, and those that wait in a
// stage.
func (p *path) abandon(l *lane) {
	lost := len(l.batch.Messages)
	if l.running {
		lost = l.left
	}
	p.ledger.Dropped[delivery.Internal] += uint64(lost)
	p.tellLost(l.batch.Messages[l.at:])
	l.reset()
	p.abandonStages()
}

// tellLost tells who waits for them what a panic has cost: acknowledgements are given
// in order, so that one that never comes would hold up all behind it. It does no harm
// to tell of one that has ended already.
func (p *path) tellLost(messages []abi.Message) {
	for i := range messages {
		p.tell(&messages[i], delivery.Internal)
	}
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
	p.letter = routeLetter(p.setup.names[m.Listener])
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
			p.server.log.Debug("message dropped", "listener", p.setup.names[m.Listener], "session", m.Session, "topic", string(m.Topic),
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
		p.send(&answer, m.Session)
		return
	}
	at := len(p.scratch)
	unit, err := l.listener.format.Append(p.scratch, &answer)
	if err != nil {
		p.took(delivery.Unencodable)
		return
	}
	p.scratch = unit
	p.answer(from, unit[at:], m.Priority)
}

// endTurn gives back what the turn has borrowed.
func (p *path) endTurn() {
	for _, t := range p.turners {
		t.turn()
	}
	const keep = 4 << 20
	if cap(p.scratch) > keep {
		p.scratch = nil
	}
	p.scratch, p.now, p.refusals = p.scratch[:0], 0, false
	p.lastWrap = wrap{}
	p.publish()
}

// TurnFailed abandons the messages of a turn that has panicked.
func (p *path) TurnFailed(any) {
	for i := range p.lanes {
		p.abandon(&p.lanes[i])
	}
	for _, t := range p.turners {
		t.failed()
	}
	p.events.Reset()
	p.endTurn()
}
