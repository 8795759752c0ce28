package server

import (
	"bytes"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/router"
)

// stage is a route's own chain, and the messages that wait for it: those of one
// connection, or of several, that came one after another. Whatever is delivered
// past them makes them go first, so that order is kept.
type stage struct {
	key     chainKey
	rule    int            // of the route; -1 if it is gone
	convert *conversion    // the route's; nil for none
	chain   *plugins.Chain // nil where the route has none
	batch   plugins.Batch
	choices []router.Choice // by the message's origin: where it goes afterwards
	changes []abi.Changes   // by origin: what the listener's chain has changed
	left    int             // messages that have not ended
	at      int             // the first of them, once the chain has run
}

const noStage = -1

// makeStages makes a stage for every route.
func (p *path) makeStages() {
	p.stages = make([]*stage, len(p.setup.cfg.Routes))
	for i := range p.stages {
		s := &stage{rule: i, key: routeChain(p.setup.cfg.Routes[i].Name)}
		if s.chain = p.chains[s.key]; s.chain != nil {
			s.carryChoices()
		}
		if p.setup.routes != nil {
			s.convert = p.setup.routes[i]
		}
		p.stages[i] = s
	}
}

// carryChoices keeps with each message that is held where it goes afterwards.
func (s *stage) carryChoices() {
	s.batch.Carry = func(origin int32) any { return chosen{s.choices[origin], s.changes[origin]} }
}

func (s *stage) reset() {
	s.batch.Reset()
	clear(s.choices)
	s.choices, s.changes, s.left, s.at = s.choices[:0], s.changes[:0], 0, 0
}

// wait puts the message into its route's stage.
func (p *path) wait(m *abi.Message, choice router.Choice) {
	if p.open != choice.Rule {
		p.flush()
		p.open = choice.Rule
	}
	s := p.stages[choice.Rule]
	s.batch.Messages = append(s.batch.Messages, *m)
	s.choices = append(s.choices, choice)
	s.changes = append(s.changes, p.encoded.changes)
	s.left++
	if p.tail != nil {
		p.tail.stages(m)
	}
}

// flush runs the messages that wait in a stage through its chain, and takes them
// where their route says.
func (p *path) flush() {
	if p.open == noStage {
		return
	}
	s := p.stages[p.open]
	p.open = noStage
	encoded, letter := p.encoded, p.letter
	if p.again != nil {
		s.batch.From = int16(max(p.placeAgain(s.chain), 0))
	}
	s.chain.Messages(&s.batch)
	if p.tail != nil {
		p.tail.held(&s.batch)
	}
	s.left -= s.batch.Held
	p.waiting.note(&p.waiting.stages, s.chain)
	p.remember(&s.batch)
	for i := range s.batch.Messages {
		m, o := &s.batch.Messages[i], &s.batch.Outcomes[i]
		s.at = i
		if o.Emitted {
			p.ledger.Emitted++
			s.left++
		}
		if p.tail != nil {
			outer := p.tail.settling(m)
			p.leaveStage(s, m, o)
			p.tail.settled(outer)
		} else {
			p.leaveStage(s, m, o)
		}
		s.left--
	}
	s.reset()
	p.encoded, p.letter = encoded, letter
}

// leaveStage takes a message that has passed a route's chain on.
func (p *path) leaveStage(s *stage, m *abi.Message, o *plugins.Outcome) {
	p.encoded.reset(o.Changes | s.changes[o.Origin])
	if p.decided(s.chain, m, o) {
		found := p.cache.Lookup(m.Topic)
		p.toChoice(m, &s.choices[o.Origin], &found)
	}
}

// goPast lets the messages that wait in a stage go first. What became of them says
// nothing of the message that follows.
func (p *path) goPast() {
	p.flush()
	p.why = delivery.NoRoute
}

// route finds out where the message goes and takes it there.
func (p *path) route(m *abi.Message) {
	if p.answers(m) || p.replied(m) || p.addressed(m) || p.forwarded(m) {
		return
	}
	entry := p.cache.Lookup(m.Topic)
	if entry.Err != nil {
		p.drop(m, delivery.BadTopic)
		return
	}
	if len(entry.Rules) == 0 && p.setup.direct {
		p.goPast()
		p.flows.routed(m, byDefault)
		copies := p.toSubscribers(m, &entry)
		p.flows.placed(p.flows.direct, copies)
		p.settled(m, copies)
		return
	}
	p.asking(m)
	p.input.Nonce++
	p.choices = p.setup.table.Route(&p.input, entry.Rules, p.choices[:0])
	choice := p.choices[0]
	if m.QoS != choice.QoS {
		p.changes(m)
		m.QoS = choice.QoS
	}
	p.flows.routed(m, choice.Rule)
	if choice.Rule >= 0 && p.stages[choice.Rule].chain != nil && !p.pastPlugins() {
		p.wait(m, choice)
		return
	}
	p.flush()
	p.toChoice(m, &choice, &entry)
}

// asking readies what the rules are asked with.
func (p *path) asking(m *abi.Message) {
	p.values.set(p.setup.nameOf(m.Listener), m)
	p.input.Message, p.input.Values = m, &p.values
}

// toChoice takes the message to every destination of a route.
func (p *path) toChoice(m *abi.Message, choice *router.Choice, found *router.Entry[router.Subscriber]) {
	p.why = delivery.NoRoute
	if f := p.tail.of(m); f != nil && choice.Rule >= 0 {
		f.routed(p.setup.cfg.Routes[choice.Rule].Name)
	}
	if !p.translateFor(choice.Rule, m) {
		return
	}
	if l := p.durable(choice.Rule); l != nil {
		p.toLog(m, l)
		return
	}
	copies := 0
	for i := range choice.To {
		copies += p.toDestination(m, &choice.To[i], found)
	}
	p.settled(m, copies)
}

// toDestination takes the message to one destination of the rules.
func (p *path) toDestination(m *abi.Message, d *router.Destination, found *router.Entry[router.Subscriber]) int {
	copies := p.toPlace(m, d, found)
	p.flows.placed(d.Index, copies)
	return copies
}

func (p *path) toPlace(m *abi.Message, d *router.Destination, found *router.Entry[router.Subscriber]) int {
	if d.Template == nil {
		return p.deliver(m, d.Kind, d.Name, found)
	}
	p.values.set(p.setup.nameOf(m.Listener), m)
	start := len(p.scratch)
	grown, err := d.Template.Append(p.scratch, &p.values)
	p.scratch = grown
	if err != nil {
		p.why = delivery.BadDestination
		return 0
	}
	return p.deliver(m, d.Kind, grown[start:], found)
}

// routeTo takes the message to the destinations that a plugin named, one a line.
func (p *path) routeTo(m *abi.Message, o *plugins.Outcome) {
	p.goPast()
	if o.Cause <= plugins.CausePlugin { // a failure's policy is shown where the plugin is
		p.flows.routed(m, byPlugin)
	}
	copies := 0
	for lines := o.Out; len(lines) > 0; {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte{'\n'})
		d, err := abi.ParseDestination(line)
		if err != nil {
			p.why = delivery.BadDestination
			continue
		}
		var found router.Entry[router.Subscriber]
		if d.Kind == abi.ToSubscribers && d.Name == nil {
			found = p.cache.Lookup(m.Topic)
		}
		copies += p.deliver(m, d.Kind, d.Name, &found)
	}
	p.settled(m, copies)
}

// addressed takes a frame that names its node there; false for any other.
func (p *path) addressed(m *abi.Message) bool {
	if int(m.Listener) >= len(p.setup.listeners) || p.setup.listeners[m.Listener].nodeAttr == "" {
		return false
	}
	to, ok := m.Attrs.Get(attrTo)
	if !ok {
		return false
	}
	p.goPast()
	kind := abi.ToNode
	if string(to) == everybody {
		kind = abi.ToAll
	}
	p.settled(m, p.deliver(m, kind, to, nil))
	return true
}

// settled ends a message of which so many copies were taken.
func (p *path) settled(m *abi.Message, copies int) {
	why := taken
	if copies == 0 {
		why = p.why
	}
	later, open := p.awaits(m, copies, why)
	if !later {
		p.tell(m, why)
	}
	if f := p.tail.of(m); f != nil && !open {
		f.endAs(copies, p.why)
	}
	switch {
	case open:
	case copies == 0:
		p.ledger.Drop(p.why)
	case p.why == asDeadLetter:
		p.ledger.Dead++
	default:
		p.ledger.Delivered++
	}
}
