package abi

import (
	"bytes"
	"errors"
	"fmt"
)

// DestinationKind is where a message can go.
type DestinationKind uint8

// The kinds of destinations, with the text that names each in the configuration
// and in the answer of a plugin.
const (
	// ToSubscribers: every subscription that matches the topic. "subscribers",
	// or "topic:NAME" to set the topic as well.
	ToSubscribers DestinationKind = iota + 1
	// ToNode: the one session that holds the name. "node:NAME".
	ToNode
	// ToAll: every session with a node name. "all".
	ToAll
	// ToQueue: one member of the queue group. "queue:NAME".
	ToQueue
	// ToUpstream: the pool of upstream services. "upstream:NAME".
	ToUpstream
	// ToReply: back to the session that the message came from. "reply".
	ToReply
	// ToDeadLetter: the dead-letter topic, with the reason. "dead-letter".
	ToDeadLetter
)

// Destination is one place to which a message is delivered. Name aliases the
// text that it was parsed from.
type Destination struct {
	Kind DestinationKind
	Name []byte
}

// ErrDestination is wrapped by every error about a destination's text.
var ErrDestination = errors.New("unknown destination")

// ParseDestination reads one destination. It does not allocate when it succeeds.
func ParseDestination(text []byte) (Destination, error) {
	head, name, named := bytes.Cut(text, []byte{':'})
	var d Destination
	switch string(head) {
	case "subscribers":
		d.Kind = ToSubscribers
	case "all":
		d.Kind = ToAll
	case "reply":
		d.Kind = ToReply
	case "dead-letter":
		d.Kind = ToDeadLetter
	case "topic":
		d = Destination{ToSubscribers, name}
	case "node":
		d = Destination{ToNode, name}
	case "queue":
		d = Destination{ToQueue, name}
	case "upstream":
		d = Destination{ToUpstream, name}
	}
	wantsName := d.Name != nil || named && d.Kind != 0
	switch {
	case d.Kind == 0:
		return d, fmt.Errorf("%w %.64q: expected subscribers, topic:NAME, node:NAME, all, queue:NAME, upstream:NAME, reply or dead-letter", ErrDestination, text)
	case wantsName && len(d.Name) == 0:
		return d, fmt.Errorf("%w %.64q: a name after the colon is missing, or not allowed here", ErrDestination, text)
	case !named && (d.Kind == ToNode || d.Kind == ToQueue || d.Kind == ToUpstream):
		return d, fmt.Errorf("%w %.64q: expected a name, as in %s:NAME", ErrDestination, text, head)
	case !named && string(head) == "topic":
		return d, fmt.Errorf("%w %.64q: expected a name, as in topic:NAME", ErrDestination, text)
	}
	return d, nil
}
