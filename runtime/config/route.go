package config

import (
	"fmt"
	"strconv"
)

// Route sends the messages that match When to the destinations in To.
type Route struct {
	// Name is unique among the routes and well formed like a listener's.
	Name string `koanf:"name" yaml:"name" required:"true" form:"name"`
	// When is what a message must be like; every given condition must hold.
	When When `koanf:"when" yaml:"when"`
	// Chain is plugins through which the route's messages pass before they are
	// delivered: inside the listener's chain, which they have passed already.
	Chain []ChainEntry `koanf:"chain" yaml:"chain"`
	// Convert is a key of Config.Converters: what it makes of the payload, behind
	// Chain, is what is delivered. Empty: the payload stays as it is.
	Convert string `koanf:"convert" yaml:"convert"`
	// OnFailure is what becomes of a message that Convert cannot convert: closed
	// drops it, open delivers it unchanged, quarantine sends it to the dead
	// letters.
	OnFailure string `koanf:"on_failure" yaml:"on_failure" default:"closed" enum:"closed,open,quarantine"`
	// To is where the message goes: to every entry, or, where entries have
	// weights, to one of them.
	To []Target `koanf:"to" yaml:"to" required:"true"`
	// Hash is a template; messages for which it gives the same text go to the
	// same one of the weighted entries. Empty: chosen at random by weight.
	Hash string `koanf:"hash" yaml:"hash"`
	// QoS is what the route's messages are marked with; 0 leaves what they have.
	QoS int `koanf:"qos" yaml:"qos" default:"0" min:"0" max:"2"`
	// Durable writes the messages to a log before they are acknowledged; nil: they
	// are delivered from memory. An empty mapping takes the defaults.
	Durable *Durable `koanf:"durable" yaml:"durable"`
}

// When is what a message must be like for a route to match.
type When struct {
	// Topic is a pattern with the wildcards '*' or '+' (one level) and '#'
	// (the rest). Empty: any topic.
	Topic string `koanf:"topic" yaml:"topic"`
	// Attributes are the values that attributes must have.
	Attributes map[string]string `koanf:"attributes" yaml:"attributes"`
	// Match says whether all of Attributes or any one of them must be there.
	Match string `koanf:"match" yaml:"match" default:"all" enum:"all,any"`
	// Priority bounds the message's priority; nil is any.
	Priority *Priorities `koanf:"priority" yaml:"priority"`
	// Listener is the name of the listener that the message came in by. Empty:
	// any.
	Listener string `koanf:"listener" yaml:"listener"`
	// Type is the message's type: event, request, response or ack. Empty: any.
	Type string `koanf:"type" yaml:"type" enum:"event,request,response,ack"`
}

// The values of When.Match.
const (
	MatchAll = "all"
	MatchAny = "any"
)

// Priorities is a range of priorities, both ends included. In a file it is a
// number (4), a comparison (">=4", "<3") or a range ("2-5").
type Priorities struct{ Min, Max uint8 }

// Target is one destination of a route. In a file it is the destination's text
// alone, or {to: TEXT, weight: N}.
type Target struct {
	// To is the destination's text, such as subscribers, queue:ops, node:17,
	// topic:alarm/{identity} or reply; placeholders are allowed in the name.
	To string `koanf:"to" yaml:"to" required:"true"`
	// Weight is the share of messages among the entries with a weight; 0 is an
	// entry without one. Either every entry of a route has a weight or none.
	Weight int `koanf:"weight" yaml:"weight" default:"0" min:"0" max:"1000000"`
}

// Frame is the declaration of a frame format, kept as YAML because only
// runtime/frame understands it.
type Frame struct {
	// Doc is the declaration as a YAML document.
	Doc []byte
	// Line is the line of the configuration file on which Doc begins, counted
	// from 1; 0 where it did not come from a file.
	Line int

	exact bool // Doc is the file's own text
}

// FileLine turns a line of Doc, counted from 1, into a line of the
// configuration file: the declaration's first one where the exact line is not
// known, 0 where it did not come from a file.
func (f Frame) FileLine(line int) int {
	if !f.exact || line < 1 {
		return f.Line
	}
	return f.Line + line - 1
}

// String is the range as a file has it.
func (p Priorities) String() string {
	if p.Min == p.Max {
		return strconv.Itoa(int(p.Min))
	}
	return fmt.Sprintf("%d-%d", p.Min, p.Max)
}
