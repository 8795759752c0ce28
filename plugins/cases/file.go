package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

// ErrFile is wrapped by every error about a case file: it cannot be read, or what
// it says makes no sense.
var ErrFile = errors.New("bad case file")

// File is one case file, read and checked.
type File struct {
	// Path is where it was read from.
	Path string
	// Plugin is the path of the module as the file gives it, relative to the
	// file's folder; empty: the only .wasm in the folder above.
	Plugin string
	// Spec is what the plugin is loaded with: configuration, grants, limits,
	// policy. Name, File and Wasm are empty.
	Spec plugins.Spec
	// Start is what the clock says when a case begins.
	Start time.Time
	// Cases in the order of the file.
	Cases []Case

	listeners []string // the names that messages give, the default first
}

// Case is a sequence of steps for one fresh instance.
type Case struct {
	Name string
	Line int

	config      json.RawMessage // nil: the file's
	refused     *string         // the plugin must refuse its configuration, and say this
	refusedLine int
	asGiven     bool // do not run the messages one at a time as well
	steps       []step
}

// Messages lists what the case sends, in order: what a plugin is measured with.
// Open and close are left out. The bytes are shared; do not change them.
func (c *Case) Messages() []abi.Message {
	var all []abi.Message
	for i := range c.steps {
		if c.steps[i].hook != abi.HookMessages {
			continue
		}
		for k := range c.steps[i].messages {
			m := &c.steps[i].messages[k]
			one := m.message
			one.Context = m.context
			all = append(all, one)
		}
	}
	return all
}

// HasConfig tells whether the case has a configuration of its own, or is about one
// that the plugin refuses.
func (c *Case) HasConfig() bool { return c.config != nil || c.refused != nil }

// Listeners are the names that Message.Listener of [Case.Messages] counts.
func (f *File) Listeners() []string { return f.listeners }

// step is one thing that happens. hook 0 advances the clock.
type step struct {
	line     int
	hook     abi.Hook
	messages []message // open and close: one; tick: one, of which only expect counts
	advance  time.Duration
}

// message is what goes in, and what is expected of it.
type message struct {
	line       int
	message    abi.Message // without Context and Time
	context    abi.Attributes
	hasContext bool       // the context is given here; otherwise it is the session's
	source     netip.Addr // where the session comes from from now on; zero: as before
	expect     *expect
}

// expect is what must come out. Nil fields are not looked at.
type expect struct {
	line                 int
	verdict              *abi.Verdict
	cause                *plugins.Cause
	out, payload, topic  *content
	kind                 *abi.Type
	priority, qos        *uint8
	seq                  *uint64
	attributes, context  *block
	emitted              *[]emitted
	subscribed, unsubbed *[]string
	fuelBelow            *uint64
	filtered             *[]string
}

// emitted is a message that the plugin must have made.
type emitted struct {
	line           int
	topic, payload *content
	kind           *abi.Type
	priority, qos  *uint8
	seq            *uint64
	retain         *bool
	attributes     *block
}

// block is what is expected of attributes.
type block struct {
	all   bool // there is nothing else
	pairs []pair
}

type pair struct {
	name, value string
	absent      bool
}

// Problem is one thing that is wrong with a case file.
type Problem struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

// Error is file:line: text.
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Problems is everything that is wrong with a case file, one a line. It wraps
// ErrFile.
type Problems []Problem

// Error lists the problems.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap is ErrFile.
func (p Problems) Unwrap() error { return ErrFile }
