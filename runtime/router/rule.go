package router

import (
	"errors"

	"github.com/weftrun/weft/abi"
)

// ErrRule is wrapped by every error about a rule.
var ErrRule = errors.New("bad route")

// Rule says where messages of a kind go, as the operator wrote it.
type Rule struct {
	// Name names the rule in errors, metrics and listings.
	Name string
	When When
	// To is where matching messages go. Without weights and without Hash: to
	// every one of them. With weights, or with Hash, to one: weights say how
	// often (1 where none is given), Hash by which key.
	To []Target
	// QoS overrides the message's own, nil leaves it.
	QoS *uint8
	// Hash is a template: messages with the same key go to the same target as
	// long as it is among the targets, and when the targets change only the
	// keys of those that came or went move (weighted rendezvous hashing). A
	// message whose key has no value is treated as if there were no Hash.
	Hash string
	// Continue lets the rules that follow apply as well. Without it the first
	// rule that matches is the last one asked.
	Continue bool
}

// When is a rule's condition: every part that is given must hold. The zero
// value matches every message.
type When struct {
	// Topic is a pattern.
	Topic string
	// Attributes are looked up in the session's context, then in the message's
	// attributes, which a client may have a say in: the value must be equal,
	// "*" is any value.
	Attributes map[string]string
	// Match is "all" (or empty) if every attribute must match, "any" if one is enough.
	Match string
	// Priority is a number from 0 to 7, a comparison (">=4", ">4", "<=4", "<4",
	// "!=4") or a range ("2-5", both ends included).
	Priority string
	// Listener is a listener's name. Messages that came by none (published
	// through the API, made by weft) match no rule that names one, as long as
	// their Listener is no index of the configuration.
	Listener string
	// Type is event, request, response or ack.
	Type string
}

// Target is a destination's text (see abi.ParseDestination), in which the name
// may hold placeholders: "node:{target}". Weight is 0 where none is given.
type Target struct {
	To     string
	Weight uint32
}

// Destination is a compiled target. Name is set where the name is fixed or there
// is none; otherwise Template makes it from the message.
type Destination struct {
	Kind     abi.DestinationKind
	Name     []byte
	Template *Template
	Weight   uint32
	// Index counts the destinations of a table, rule after rule, the default route's
	// last; see Table.Places.
	Index int

	text string
	id   uint64 // of the text, for rendezvous hashing
}

// String is the destination's text as it was configured.
func (d *Destination) String() string { return d.text }

// Choice is where one rule sends a message. The slices belong to the table and
// must not be changed.
type Choice struct {
	// Rule is the rule's index in what was compiled, -1 for the default route.
	Rule int
	// Name is the rule's name, "default" for the default route.
	Name string
	// To is every destination that the message goes to.
	To []Destination
	// QoS is the quality of service to deliver with.
	QoS uint8
}

// Input is what Route looks at. One Input is used for message after message.
type Input struct {
	Message *abi.Message
	// Values answers the placeholders of Hash; nil for the message's
	// attributes and context.
	Values Values
	// Nonce differs from message to message where the protocol's sequence id
	// does not: a counter. With the same session, sequence id and nonce a
	// weighted choice comes out the same.
	Nonce uint64

	key    []byte
	values AttributeValues
}

// Candidates are the rules, by index and in order, whose topic pattern matches
// one topic. They depend on nothing but the table and the topic.
type Candidates []uint16
