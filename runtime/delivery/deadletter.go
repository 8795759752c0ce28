package delivery

import (
	"fmt"
	"strconv"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/router"
)

// The attributes of a dead letter, beside those of the message itself.
const (
	AttrReason     = "dead.reason"     // why: the failure in words, or as dead.cause
	AttrCause      = "dead.cause"      // route, untaken, conversion, plugin, trap, fuel, depth, fault, back_off or buffer
	AttrPlugin     = "dead.plugin"     // the plugin it happened in, if any
	AttrGeneration = "dead.generation" // that plugin's generation, decimal
	AttrTopic      = "dead.topic"      // the message's topic
	AttrSession    = "dead.session"    // the message's session, decimal
	AttrListener   = "dead.listener"   // the name of the listener it came by
	AttrRoute      = "dead.route"      // the durable route from whose log it comes
	AttrTo         = "dead.to"         // the destination of that route which nobody took it for
	AttrTries      = "dead.tries"      // how often it was offered there, decimal
	AttrNode       = "dead.node"       // the node that had accepted it
	AttrFrom       = "dead.from"       // the name of the session that it had come from
)

// DeadLetters makes dead letters: what is published in the place of a message
// that could not be handled.
type DeadLetters struct{ topic []byte }

// NewDeadLetters returns a maker of dead letters for the topic.
func NewDeadLetters(topic string) (*DeadLetters, error) {
	if err := router.ValidateTopic([]byte(topic)); err != nil {
		return nil, fmt.Errorf("dead_letter.topic: %w", err)
	}
	return &DeadLetters{topic: []byte(topic)}, nil
}

// Topic is the topic of dead letters. The caller must not change it.
func (d *DeadLetters) Topic() []byte { return d.topic }

// Letter is what a dead letter says beside its message. Empty texts are left out.
type Letter struct {
	Reason     string
	Cause      string
	Plugin     string
	Generation uint64 // 0 is left out
	Listener   string
}

// Build turns m into its dead letter: an event on the dead-letter topic with the
// payload, priority, QoS, session and time of the message, the attributes above,
// and behind them those of the message as far as abi.MaxAttrs allows. The new
// attribute block is appended to scratch, which m.Attrs then aliases; grown is
// scratch afterwards. It allocates only to grow scratch.
//
// ok is false, and m unchanged, if m is a dead letter already: a dead letter
// that cannot be delivered is counted (DeadLetterLost) and that is its end.
func (d *DeadLetters) Build(scratch []byte, letter Letter, m *abi.Message) (grown []byte, ok bool) {
	if string(m.Topic) == string(d.topic) {
		return scratch, false
	}
	start := len(scratch)
	attrs := abi.Attributes(scratch)
	var digits [20]byte
	attrs = appendPresent(attrs, AttrReason, letter.Reason)
	attrs = appendPresent(attrs, AttrCause, letter.Cause)
	attrs = appendPresent(attrs, AttrPlugin, letter.Plugin)
	if letter.Generation != 0 {
		attrs = attrs.Append(AttrGeneration, strconv.AppendUint(digits[:0], letter.Generation, 10))
	}
	if m.Session != 0 {
		attrs = attrs.Append(AttrSession, strconv.AppendUint(digits[:0], m.Session, 10))
	}
	attrs = appendPresent(attrs, AttrListener, letter.Listener)
	if room := abi.MaxAttrs - (len(attrs) - start) - 4 - len(AttrTopic); len(m.Topic) > 0 && room > 0 {
		attrs = attrs.Append(AttrTopic, m.Topic[:min(len(m.Topic), room)])
	}
	if len(attrs)-start+len(m.Attrs) <= abi.MaxAttrs {
		attrs = append(attrs, m.Attrs...)
	}
	m.Attrs = attrs[start:len(attrs):len(attrs)]
	m.Topic, m.Type, m.Seq = d.topic, abi.TypeEvent, 0
	m.Flags = m.Flags&^abi.FlagRetain | abi.FlagEmitted
	m.Frame = nil
	return attrs, true
}

// LogPath is how far a message of a durable route came.
type LogPath struct {
	// Route is the route, and To the destination that did not take the message, after
	// so many Tries.
	Route, To string
	Tries     int
	// Node had accepted the message, from the session named From.
	Node, From string
}

// Attributes returns the attributes with those of the path in front, as far as
// abi.MaxAttrs allows. It allocates.
func (p *LogPath) Attributes(attrs abi.Attributes) abi.Attributes {
	all := appendPresent(nil, AttrRoute, p.Route)
	all = appendPresent(all, AttrTo, p.To)
	all = all.AppendString(AttrTries, strconv.Itoa(p.Tries))
	all = appendPresent(all, AttrNode, p.Node)
	all = appendPresent(all, AttrFrom, p.From)
	if len(all)+len(attrs) > abi.MaxAttrs {
		return attrs
	}
	return append(all, attrs...)
}

func appendPresent(attrs abi.Attributes, name, value string) abi.Attributes {
	if value == "" {
		return attrs
	}
	return attrs.AppendString(name, value[:min(len(value), abi.MaxReason)])
}
