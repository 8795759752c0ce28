package vectors

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/weftrun/weft/abi"
)

// Vector is one case: a guest that is loaded with a configuration, and steps that
// are carried out one after another in one instance.
type Vector struct {
	// Name is the file's name, a slash and the case's own.
	Name string `json:"name"`
	// About says what the case shows.
	About string `json:"about"`
	// Since is the version of the ABI, such as v1.1, from which on guests pass it;
	// empty: all do.
	Since  string          `json:"since"`
	Config json.RawMessage `json:"config"`
	// Pad adds a key pad to the configuration whose value is a text of so many
	// bytes.
	Pad int `json:"pad"`
	// Grants are scopes of capabilities as the operator configures them. A
	// capability that is not named is granted without a scope of its own (kv:
	// 1 MiB).
	Grants map[string]map[string]any `json:"grants"`
	// OnFailure is the failure policy: closed if empty, open, quarantine.
	OnFailure string `json:"on_failure"`
	// LoadError is what the error says with which the plugin does not load; empty
	// if it loads.
	LoadError Bytes  `json:"load_error"`
	Steps     []Step `json:"steps"`
}

// Step is one call of a hook, and everything that is to be seen afterwards. What
// is not mentioned is not to be there.
type Step struct {
	// Hook is messages if empty, or open, close, tick, resume. On resume Answers
	// come in, in order; Messages are then those that are expected back, as the
	// guest left them when they were paused, or as they came if they had to wait.
	Hook Hook `json:"hook"`
	// Advance is how far both clocks go on before the step, in milliseconds.
	Advance int64 `json:"advance"`
	// Times repeats Messages, Outcomes and Subscriptions so often within the
	// batch; 0 means 1.
	Times    int       `json:"times"`
	Messages []Message `json:"messages"`
	// Outcomes lists the messages of the batch afterwards, in order, emitted ones
	// included.
	Outcomes      []Outcome      `json:"outcomes"`
	Subscriptions []Subscription `json:"subscriptions"`
	Logs          []Log          `json:"logs"`
	Metrics       []Metric       `json:"metrics"`
	// Held is how many messages of the batch were held back; they are in no
	// outcome.
	Held int `json:"held"`
	// Requests are those that the guest has begun, in order.
	Requests []Request `json:"requests"`
	Answers  []Answer  `json:"answers"`
	// Rules are what the guest has said of sources, in order, where it was a change.
	// Sessions from 1 to 255 come from 192.0.2.N, those above from 2001:db8::N, N in
	// hexadecimal.
	Rules []Rule `json:"rules"`
	// KV is what some keys hold afterwards; null for a key that is not there.
	KV map[string]*Bytes `json:"kv"`
}

// Clocks at the first step, in nanoseconds.
const (
	Wall      = 1_700_000_000_000_000_000
	Monotonic = 1_000_000_000
)

// Message is what the host hands to the guest.
type Message struct {
	Session    uint64 `json:"session,omitempty"`
	Seq        uint64 `json:"seq,omitempty"`
	Time       int64  `json:"time,omitempty"`
	Listener   string `json:"listener,omitempty"`
	Flags      Flags  `json:"flags,omitempty"`
	Type       Type   `json:"type,omitempty"`
	Priority   uint8  `json:"priority,omitempty"`
	QoS        uint8  `json:"qos,omitempty"`
	Topic      Bytes  `json:"topic,omitempty"`
	Attributes Block  `json:"attributes,omitempty"`
	Context    Block  `json:"context,omitempty"`
	Payload    Bytes  `json:"payload,omitempty"`
}

// Outcome is what became of a message. A field of the message that is nil is as
// the host handed it in, or zero in an emitted message.
type Outcome struct {
	Verdict Verdict `json:"verdict,omitempty"`
	// Cause is trap, fault or back_off where the failure policy answered; empty
	// otherwise.
	Cause   string  `json:"cause,omitempty"`
	Out     Bytes   `json:"out,omitempty"`
	Changes Changes `json:"changes,omitempty"`
	// Emitted says that the guest made the message: it has the session, the
	// listener, the time and the context of the one that stands before it and was
	// not emitted.
	Emitted bool `json:"emitted,omitempty"`

	Flags      *Flags  `json:"flags,omitempty"`
	Seq        *uint64 `json:"seq,omitempty"`
	Type       *Type   `json:"type,omitempty"`
	Priority   *uint8  `json:"priority,omitempty"`
	QoS        *uint8  `json:"qos,omitempty"`
	Topic      *Bytes  `json:"topic,omitempty"`
	Attributes *Block  `json:"attributes,omitempty"`
	Context    *Block  `json:"context,omitempty"`
	Payload    *Bytes  `json:"payload,omitempty"`
}

// Subscription is one that the guest began or ended.
type Subscription struct {
	Session uint64 `json:"session"`
	Pattern Bytes  `json:"pattern"`
	QoS     uint8  `json:"qos,omitempty"`
	Remove  bool   `json:"remove,omitempty"`
}

// Log is a line that the guest wrote.
type Log struct {
	Level string `json:"level"` // debug, info, warn, error
	Text  Bytes  `json:"text"`
}

// Metric is one thing that the guest measured: counted, set or observed.
type Metric struct {
	Kind  string  `json:"kind"` // counter, gauge, histogram
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Rule is what the guest has said of a source.
type Rule struct {
	Do     string `json:"do"` // block, allow, unblock
	Source string `json:"source"`
	TTL    int64  `json:"ttl,omitempty"` // in milliseconds
}

// Request is an HTTP request.
type Request struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	// Header is what the guest has set: names in canonical case, sorted.
	Header Block `json:"header"`
	Body   Bytes `json:"body"`
}

// Answer is what becomes of the oldest request to the URL that has no answer yet.
type Answer struct {
	URL    string `json:"url"`
	Status int    `json:"status"`
	Header Block  `json:"header"`
	Body   Bytes  `json:"body"`
	// Error says that there is no answer: failed, or timeout.
	Error string `json:"error"`
}

// Changes is names of changed fields as a set; in JSON an array.
type Changes abi.Changes

// Flags is names of flags as a set; in JSON an array.
type Flags abi.Flags

var (
	changeNames = []string{"topic", "attributes", "context", "payload", "seq", "type", "priority", "qos"}
	flagNames   = []string{"cut", "retain", "redelivered", "emitted"}
)

// UnmarshalJSON reads the array.
func (c *Changes) UnmarshalJSON(doc []byte) error {
	bits, err := parseSet(doc, changeNames)
	*c = Changes(bits)
	return err
}

// MarshalJSON writes the array.
func (c Changes) MarshalJSON() ([]byte, error) { return json.Marshal(names(uint32(c), changeNames)) }

// UnmarshalJSON reads the array.
func (f *Flags) UnmarshalJSON(doc []byte) error {
	bits, err := parseSet(doc, flagNames)
	*f = Flags(bits)
	return err
}

// MarshalJSON writes the array.
func (f Flags) MarshalJSON() ([]byte, error) { return json.Marshal(names(uint32(f), flagNames)) }

func parseSet(doc []byte, known []string) (uint32, error) {
	var given []string
	if err := json.Unmarshal(doc, &given); err != nil {
		return 0, err
	}
	bits := uint32(0)
	for _, name := range given {
		i := slices.Index(known, name)
		if i < 0 {
			return 0, fmt.Errorf("%w: %q: expected one of %q", ErrFile, name, known)
		}
		bits |= 1 << i
	}
	return bits, nil
}

func names(bits uint32, known []string) []string {
	found := []string{}
	for i, name := range known {
		if bits>>i&1 == 1 {
			found = append(found, name)
		}
	}
	return found
}

// Hook is a hook; in JSON its name.
type Hook abi.Hook

// Type is a message's type; in JSON its name.
type Type abi.Type

// Verdict is a verdict; in JSON its name.
type Verdict abi.Verdict

// UnmarshalText reads the name.
func (h *Hook) UnmarshalText(text []byte) error {
	return parseName(h, text, abi.HookMessages, abi.HookResume)
}

// UnmarshalText reads the name.
func (t *Type) UnmarshalText(text []byte) error {
	return parseName(t, text, abi.TypeEvent, abi.TypeHeartbeat)
}

// UnmarshalText reads the name.
func (v *Verdict) UnmarshalText(text []byte) error {
	return parseName(v, text, abi.VerdictContinue, abi.VerdictPause)
}

// MarshalText writes the name.
func (h Hook) MarshalText() ([]byte, error) { return []byte(abi.Hook(h).String()), nil }

// MarshalText writes the name.
func (t Type) MarshalText() ([]byte, error) { return []byte(abi.Type(t).String()), nil }

// MarshalText writes the name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(abi.Verdict(v).String()), nil }

// parseName finds the value between first and last that has the name.
func parseName[To ~uint8 | ~uint32, From interface {
	~uint8 | ~uint32
	fmt.Stringer
}](to *To, text []byte, first, last From) error {
	for v := first; v <= last; v++ {
		if v.String() == string(text) {
			*to = To(v)
			return nil
		}
	}
	return fmt.Errorf("%w: %q is no name between %s and %s", ErrFile, text, first, last)
}
