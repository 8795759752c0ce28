package server

import (
	"math"
	"strconv"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
)

// logLane is what a loop knows of one durable route.
type logLane struct {
	route   *durableRoute
	rule    int // its index in the loop's setup
	box     *delivery.Handover[logItem]
	answers *delivery.Ring[logAnswer]
	pending []pendingLog // by token, counted from 1
	free    []uint32
	waiting int // messages without an answer
	bytes   int
	held    []*peer // publishers that are not read from until the log has caught up
	fed     uint64  // the loop has dealt with the log's entries up to here
	feeding feeding // of the entry behind that
	until   engine.ConnID
	mean    int // size of the entries that were read back last
}

// logItem is one record on its way to a log.
type logItem struct {
	id, record []byte
	delay      time.Duration
	token      uint32
}

// logAnswer is what a log says about one.
type logAnswer struct {
	token uint32
	why   delivery.Reason
}

// pendingLog is a message that waits for its log's answer.
type pendingLog struct {
	session, seq      uint64
	listener, receipt uint32
	size              uint32
	emitted, waits    bool
}

// How much may wait for a log's answers, of one loop: beyond the first bounds
// publishers are not read from, beyond the others messages are dropped and counted,
// which only publishers meet that send many small messages at once.
const (
	calmLogged      = 2048
	calmLoggedBytes = 1 << 20
	maxLogged       = 1 << 15
	maxLoggedBytes  = 32 << 20
)

func newLogLane(r *durableRoute, p *path) *logLane {
	return &logLane{
		route:   r,
		box:     delivery.NewHandover[logItem](delivery.HandoverLimits{Items: maxLogged / 2, Bytes: maxLoggedBytes / 2}),
		answers: delivery.NewRing[logAnswer](maxLogged),
		fed:     r.stored.Load(), mean: 16 << 10,
	}
}

// durable is the lane of a rule; nil if its messages go straight to their places.
func (p *path) durable(rule int) *logLane {
	if p.logs == nil || rule < 0 {
		return nil
	}
	return p.logs[rule]
}

// toLog hands the message to its route's log. Its end comes with the log's answer.
func (p *path) toLog(m *abi.Message, l *logLane) {
	if f := p.tail.of(m); f != nil {
		f.logged()
	}
	if l.waiting >= maxLogged || l.bytes >= maxLoggedBytes {
		p.unlogged(m, delivery.LogBusy)
		return
	}
	start := len(p.scratch)
	p.scratch = p.appendSender(p.scratch, m)
	record := delivery.Record{Node: p.server.durable.node, From: p.scratch[start:], Listener: p.setup.labelOf(m.Listener), Message: *m}
	at := len(p.scratch)
	p.scratch = delivery.AppendRecord(p.scratch, &record)
	b, id := p.scratch[at:], p.logID(m, l.route)
	if !l.box.Room(1, len(b)+len(id)) {
		p.unlogged(m, delivery.LogBusy)
		return
	}
	l.box.Put(logItem{id: l.box.Copy(id), record: l.box.Copy(b), delay: p.delayOf(m, l.route), token: l.await(m, len(b))})
	p.logging++
	if l.waiting > calmLogged || l.bytes > calmLoggedBytes {
		p.holdForLog(m, l)
	}
}

// unlogged ends a message that the log has not kept: its sender must not take it for
// accepted, whatever its protocol can say.
func (p *path) unlogged(m *abi.Message, why delivery.Reason) {
	p.refusedByLog = true
	p.drop(m, why)
	p.refusedByLog = false
}

// logID is the id by which the log knows the message again; empty for none.
func (p *path) logID(m *abi.Message, r *durableRoute) []byte {
	if r.id == nil {
		return nil
	}
	p.values.set(p.setup.nameOf(m.Listener), m)
	start := len(p.scratch)
	grown, err := r.id.Append(p.scratch, &p.values)
	if p.scratch = grown; err != nil {
		return nil
	}
	return grown[start:]
}

// delayOf is how long the message waits in the log. What is no duration is none.
func (p *path) delayOf(m *abi.Message, r *durableRoute) time.Duration {
	if r.Delay == "" || len(m.Attrs) == 0 {
		return 0
	}
	text, ok := m.Attrs.Get(r.Delay)
	if !ok {
		return 0
	}
	d, ok := parseDelay(string(text))
	if !ok {
		if p.server.debugging() {
			p.server.log.Debug("no delay: expected a duration such as 30s, or seconds", "route", r.name, "attribute", r.Delay, "value", string(text))
		}
		return 0
	}
	return d
}

// parseDelay reads a duration, or seconds; neither below zero, nor without an end.
func parseDelay(text string) (time.Duration, bool) {
	if d, err := time.ParseDuration(text); err == nil {
		return min(d, maxDelay), d >= 0
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) || math.IsInf(seconds, 0) || seconds < 0 {
		return 0, false
	}
	return time.Duration(min(seconds, maxDelay.Seconds()) * float64(time.Second)), true
}

// maxDelay is how long a message waits at most.
const maxDelay = 365 * 24 * time.Hour

// await makes a place for a message that waits for the log's answer.
func (l *logLane) await(m *abi.Message, size int) (token uint32) {
	if n := len(l.free); n > 0 {
		token, l.free = l.free[n-1], l.free[:n-1]
	} else {
		l.pending = append(l.pending, pendingLog{})
		token = uint32(len(l.pending))
	}
	l.pending[token-1] = pendingLog{
		session: m.Session, seq: m.Seq, listener: m.Listener, receipt: m.Receipt, size: uint32(size),
		emitted: m.Flags&abi.FlagEmitted != 0, waits: true,
	}
	l.waiting++
	l.bytes += size
	return token
}

// holdForLog stops reading from who sent the message until the log has caught up.
func (p *path) holdForLog(m *abi.Message, l *logLane) {
	if m.Session == 0 {
		return // calls of the API wait for their answers anyway
	}
	from := p.peer(m.Session)
	if from == nil {
		return
	}
	for _, held := range l.held {
		if held == from {
			return
		}
	}
	l.held = append(l.held, from)
	if from.logs++; from.logs == 1 {
		p.quieten(from)
	}
}

// quieten stops reading from a connection, or goes on where nothing speaks against it.
func (p *path) quieten(from *peer) {
	_, waits := p.waiting.quiet[from.conn.ID()]
	from.conn.Suspend(waits || from.logs > 0)
}

// letGoOn reads again from the publishers that were held for the log.
func (p *path) letGoOn(l *logLane) {
	if len(l.held) == 0 || l.waiting > calmLogged/2 || l.bytes > calmLoggedBytes/2 {
		return
	}
	for i, from := range l.held {
		l.held[i] = nil
		if from.logs--; from.logs == 0 {
			p.quieten(from)
		}
	}
	l.held = l.held[:0]
}

// postLogs hands over what the turn has collected for the logs.
func (p *path) postLogs() {
	for _, l := range p.logList {
		if l.box.Post() {
			select {
			case l.route.woken <- struct{}{}:
			default:
			}
		}
	}
}

// logAnswered brings a log's answer to the loop. Any goroutine but a loop's calls it.
func (p *path) logAnswered(l *logLane, a logAnswer) {
	l.answers.Put(a) // it has room for all that may wait
	p.wakeForLogs()
}

// wakeForLogs has hearLogs called by the loop, once for any number of answers. Where
// the loop has no room, the next tick does it.
func (p *path) wakeForLogs() {
	if p.logsDue.Swap(true) {
		return
	}
	if err := p.server.engine.Do(p.loop.Index(), p.onLogs); err != nil {
		p.logsDue.Store(false)
		p.logsMissed.Store(true)
	}
}

// hearLogs ends the messages that logs have answered.
func (p *path) hearLogs() {
	p.logsDue.Store(false)
	p.begin()
	for _, l := range p.logList {
		for a, ok := l.answers.Take(); ok; a, ok = l.answers.Take() {
			p.endLogged(l, a)
		}
		p.letGoOn(l)
	}
}

// endLogged ends one message.
func (p *path) endLogged(l *logLane, a logAnswer) {
	at := &l.pending[a.token-1]
	if !at.waits {
		return
	}
	p.ending = abi.Message{Session: at.session, Seq: at.seq, Listener: at.listener, Receipt: at.receipt}
	m := &p.ending // one of its own would be made anew each time
	if at.emitted {
		m.Flags = abi.FlagEmitted
	}
	l.waiting--
	l.bytes -= int(at.size)
	p.logging--
	*at = pendingLog{}
	l.free = append(l.free, a.token)
	if a.why != taken {
		p.unlogged(m, a.why)
		return
	}
	p.ledger.Logged++
	p.hearing = true
	p.tell(m, taken)
	p.hearing = false
}

// abandonLogs ends what logs have not answered when the loop has ended.
func (p *path) abandonLogs() {
	p.hearLogs()
	for _, l := range p.logList {
		for i := range l.pending {
			if l.pending[i].waits {
				p.endLogged(l, logAnswer{uint32(i + 1), delivery.Draining})
			}
		}
	}
	p.publish()
}
