//go:build !wasm && !tinygo.wasm

// Package bridge lets package wefttest into package weft without an exported
// name there: weft fills in the variables, wefttest calls them.
package bridge

// Attribute is a named value.
type Attribute struct{ Name, Value string }

// Input is a message as it comes to the plugin.
type Input struct {
	Topic, Payload      string
	Attributes, Context []Attribute
	Type, Priority, QoS uint8
	Flags               uint32
	Session, Seq        uint64
	Time                int64
	Listener            string
	Answer              string // resume only, like the two below
	Status              int32
	Token               uint64
}

// Output is a message as the plugin left it.
type Output struct {
	Verdict             uint32
	Out                 string
	Token               uint64
	Topic, Payload      string
	Attributes, Context []Attribute
	Type, Priority, QoS uint8
	Seq                 uint64
	Changes             uint32
	Effects             []Effect
}

// Effect is an effect record.
type Effect struct {
	Kind                uint8
	Topic, Payload      string
	Attributes          []Attribute
	Type, Priority, QoS uint8
	Flags               uint32
	Seq                 uint64
}

// The exports of the registered plugin. An error is its text, empty for none.
var (
	Forget   func() // a new memory
	Init     func(config string) (failure string)
	Needs    func() uint64
	Run      func(hook uint8, batch []Input) []Output
	Snapshot func() string
	Restore  func(state string) (failure string)
)
