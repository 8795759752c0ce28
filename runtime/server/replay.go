package server

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/router"
)

// deadLetters is the part of the server that the API shows and replays dead
// letters of.
type deadLetters struct{ server *Server }

// Store implements admin.DeadLetters.
func (d deadLetters) Store() *delivery.DeadLetterStore {
	if d.server.keeper.store != nil {
		d.server.keeper.collect()
	}
	return d.server.keeper.store
}

// Lost implements admin.DeadLetters.
func (d deadLetters) Lost() uint64 { return d.server.keeper.lost() }

// Why a letter cannot go through the chain again.
var (
	errLost    = errors.New("what came is not known any more, and the plugins had done their work; replay it past the plugins")
	errEmitted = errors.New("a plugin made it, and none failed on it; replay it past the plugins")
	errGone    = errors.New("a plugin made it, and the one that failed on it is in no chain any more; replay it past the plugins")
)

// Check implements admin.DeadLetters.
func (d deadLetters) Check(l *delivery.DeadLetter, way admin.ReplayWay) error {
	s := d.server
	if l.Hook != abi.HookMessages.String() {
		return fmt.Errorf("%w: it is no message: a session could not begin", admin.ErrNotReplayable)
	}
	if way.Topic != "" {
		if err := router.ValidateTopic([]byte(way.Topic)); err != nil {
			return fmt.Errorf("%w: %w", admin.ErrNotReplayable, err)
		}
		return nil
	}
	index := s.listenerIndex(l.Listener)
	if index < 0 {
		return fmt.Errorf("%w: there is no listener %s any more; replay it to a topic", admin.ErrNotReplayable, l.Listener)
	}
	switch {
	case way.PastPlugins:
	case isEmitted(l) && !hasFailed(l):
		return fmt.Errorf("%w: %w", admin.ErrNotReplayable, errEmitted)
	case isEmitted(l) && !isThere(s.setup().cfg, l):
		return fmt.Errorf("%w: %w", admin.ErrNotReplayable, errGone)
	case !isEmitted(l) && l.CameLost:
		return fmt.Errorf("%w: %w", admin.ErrNotReplayable, errLost)
	}
	return nil
}

// isEmitted tells the letter of a message that a plugin made.
func isEmitted(l *delivery.DeadLetter) bool { return l.Message.Flags&abi.FlagEmitted != 0 }

// hasFailed tells the letter of a message that a plugin failed on: it is as it reached
// the plugin.
func hasFailed(l *delivery.DeadLetter) bool {
	return l.Plugin != "" && l.Cause != plugins.CausePlugin.String()
}

// isThere tells whether the plugin that failed is in the chain of the letter's listener,
// or in a route's: a message that the plugin in front of it made must not get by those
// behind it.
func isThere(cfg *config.Config, l *delivery.DeadLetter) bool {
	named := func(entry config.ChainEntry) bool { return entry.Plugin == l.Plugin }
	return slices.ContainsFunc(cfg.Listeners, func(from config.Listener) bool {
		return from.Name == l.Listener && slices.ContainsFunc(from.Chain, named)
	}) || slices.ContainsFunc(cfg.Routes, func(r config.Route) bool { return slices.ContainsFunc(r.Chain, named) })
}

// listenerIndex finds a listener, the API included; -1 if there is none.
func (s *Server) listenerIndex(name string) int {
	if index, ok := s.setup().index[name]; ok {
		return int(index)
	}
	return -1
}

// Replay implements admin.DeadLetters. It waits until the loop has done it.
func (d deadLetters) Replay(l *delivery.DeadLetter, way admin.ReplayWay) (admin.ReplayResult, error) {
	if err := d.Check(l, way); err != nil {
		return admin.ReplayResult{}, err
	}
	s := d.server
	if state, _ := s.life.State(); state != life.Running {
		return admin.ReplayResult{}, fmt.Errorf("%w: weft is %s", admin.ErrDraining, state)
	}
	at := engine.ConnID(l.Message.Session).Loop()
	if l.Message.Session == 0 || at >= len(s.paths) {
		at = s.publishTo(l.Message.Topic)
	}
	done := make(chan admin.ReplayResult, 1)
	say := func(r admin.ReplayResult) {
		select {
		case done <- r:
		default: // it was said already
		}
	}
	err := s.engine.Do(at, func() {
		r, waits := admin.ReplayResult{Outcome: admin.ReplayDropped, Reason: delivery.Internal.String()}, false
		defer func() { // whatever happens: somebody waits
			s.paths[at].receipts.done = nil
			if !waits {
				say(r)
			}
		}()
		p := s.paths[at]
		p.receipts.expect(func(at *pendingReceipt) { say(pooled(r, at)) })
		r = p.replay(l, way)
		waits = p.receipts.expected()
	})
	if err != nil {
		return admin.ReplayResult{}, fmt.Errorf("%w: %w", admin.ErrBusy, err)
	}
	return <-done, nil
}

// replaying is what a path notes about the dead letter that it replays.
type replaying struct {
	pastPlugins bool
	plugin      string          // at which an emitted message begins
	letter      delivery.Letter // why it is a dead letter again
}

// pastPlugins tells whether the message that is being routed skips the routes'
// plugins.
func (p *path) pastPlugins() bool { return p.again != nil && p.again.pastPlugins }

// replay sends a dead letter on its way again and says what became of it. It is
// not acknowledged: its sender knows that weft has it.
func (p *path) replay(l *delivery.DeadLetter, way admin.ReplayWay) admin.ReplayResult {
	p.begin()
	p.again = &replaying{pastPlugins: way.PastPlugins}
	defer func() {
		p.again = nil
		p.events.Reset()
		waiting := p.receipts.done
		p.abandonStages()         // should it panic
		p.receipts.done = waiting // for Replay, which asks whether a pool has taken it
	}()
	before := p.ledger
	p.ledger.In++
	index := p.server.listenerIndex(l.Listener)
	m := l.Message
	if way.Topic == "" && !way.PastPlugins {
		if m.Changed = false; isEmitted(l) {
			p.again.plugin = l.Plugin
		} else {
			m = l.Came
		}
		if index >= 0 && index < len(p.lanes) {
			lane := p.lanes[index]
			if from := p.placeAgain(lane.chain); from >= 0 {
				return p.throughLane(lane, l, m, from, &before)
			}
		}
	}
	p.revive(&m, index, way)
	p.letter = routeLetter(p.setup.nameOf(m.Listener))
	p.encoded.reset(abi.ChangesKnown)
	p.route(&m)
	p.flush()
	return p.outcome(&before)
}

// revive makes of a letter's message one of this moment. It is its session's as
// long as that lasts; afterwards it is nobody's, with what was known about it.
func (p *path) revive(m *abi.Message, index int, way admin.ReplayWay) {
	m.Time, m.Receipt = p.now, 0
	m.Flags |= abi.FlagRedelivered
	m.Frame, m.FrameStale = nil, false
	m.Listener = uint32(max(index, 0))
	if index < 0 {
		m.Listener = apiListener
	}
	if way.Topic != "" {
		m.Topic = []byte(way.Topic)
	}
	if from := p.peer(m.Session); from != nil {
		m.Context = from.session.Context()
	} else {
		m.Session = 0
	}
}

// throughLane passes a letter's message through its listener's chain, from a plugin on.
func (p *path) throughLane(lane *lane, l *delivery.DeadLetter, m abi.Message, from int, before *delivery.Ledger) admin.ReplayResult {
	p.again.plugin = ""                     // from here on it is like any other
	came := m.Session != 0 && !isEmitted(l) // by a connection: it is no client's will
	stale := m.FrameStale
	p.revive(&m, int(lane.listener.index), admin.ReplayWay{})
	if came {
		p.reframe(&m, l.Message.Frame, stale, lane.listener)
		if !p.translate(&m) {
			return p.outcome(before)
		}
	}
	return p.throughChain(lane, m, from)
}

// reframe gives the message the frame that it came in, if that is still one of its
// listener: whoever gets it unchanged gets the same bytes.
func (p *path) reframe(m *abi.Message, received []byte, stale bool, l *listener) {
	if received == nil || l.format == nil {
		return
	}
	var again abi.Message
	n, grown, err := l.format.Decode(received, p.scratch, &again)
	if p.scratch = grown; err == nil && n == len(received) {
		m.Frame, m.FrameStale = received, stale
	}
}

// placeAgain is the plugin of a chain at which the letter begins: the first one, or for
// an emitted message the one that failed on it; -1 if that is in another chain.
func (p *path) placeAgain(chain *plugins.Chain) int {
	if p.again.plugin == "" {
		return 0
	}
	for i := range chain.Len() {
		if chain.Plugin(i).Name() == p.again.plugin {
			return i
		}
	}
	return -1
}

// throughChain passes one message through a lane's chain, from a plugin on, apart from
// its batch.
func (p *path) throughChain(l *lane, m abi.Message, from int) (r admin.ReplayResult) {
	p.events.Messages, p.events.From = append(p.events.Messages, m), int16(from)
	l.chain.Messages(&p.events)
	p.remember(&p.events)
	if p.events.Held > 0 {
		p.waiting.note(&p.waiting.lanes, l.chain)
		r = admin.ReplayResult{Outcome: admin.ReplayPaused}
	}
	for i := range p.events.Messages {
		m, o := &p.events.Messages[i], &p.events.Outcomes[i]
		if o.Emitted {
			p.ledger.Emitted++
		}
		before := p.ledger
		p.encoded.reset(o.Changes)
		if p.decided(l.chain, m, o) {
			p.route(m)
		}
		p.flush()
		if !o.Emitted {
			r = p.outcome(&before)
		}
	}
	return r
}

// outcome says what has become of the one message that has ended since before.
func (p *path) outcome(before *delivery.Ledger) admin.ReplayResult {
	now := &p.ledger
	r := admin.ReplayResult{Outcome: admin.ReplayDropped, Copies: int(now.Copies - before.Copies)}
	for reason := range delivery.Reasons() {
		if now.Dropped[reason] > before.Dropped[reason] {
			r.Reason = reason.String()
		}
	}
	switch {
	case now.Dead > before.Dead:
		r.Outcome, r.Reason = admin.ReplayDead, p.again.letter.Reason
		if plugin := p.again.letter.Plugin; plugin != "" {
			r.Reason = plugin + ": " + r.Reason
		}
	case now.Filtered() > before.Filtered():
		r.Outcome = admin.ReplayFiltered
	case now.Delivered > before.Delivered:
		r.Outcome = admin.ReplayDelivered
	case now.Replied > before.Replied:
		r.Outcome = admin.ReplayReplied
	}
	return r
}

// pooled is what became of a letter when the pools that had it have answered.
func pooled(r admin.ReplayResult, at *pendingReceipt) admin.ReplayResult {
	r.Copies += at.copies
	switch {
	case r.Handled():
	case at.taken:
		r.Outcome, r.Reason = admin.ReplayDelivered, ""
	case at.dead:
		r.Outcome, r.Reason = admin.ReplayDead, at.text
	default:
		r.Outcome, r.Reason = admin.ReplayDropped, at.why.String()
	}
	return r
}
