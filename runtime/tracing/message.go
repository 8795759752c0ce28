package tracing

// Bounds of what is kept of one message: more is left out, and said so.
const (
	maxSteps  = 64
	maxPlaces = 32
	maxTries  = 8
	// maxText is how many bytes a topic or a plugin's word has at most.
	maxText = 256
	// MaxState is how many bytes a tracestate has at most (W3C Trace Context, section
	// 3.3.1.5); a longer one is not passed on.
	MaxState = 512
)

// Kind is what a span stands for among others (OTLP's SpanKind).
type Kind uint8

// The kinds.
const (
	// Consumer: a message has come in and is taken to its places.
	Consumer Kind = iota
	// Internal: it goes on within weft, after a plugin has paused it.
	Internal
	// Recalled: it comes out of its route's log, and is taken to places from there.
	Recalled
	// Emitted: a plugin has made it, when it was called with another message.
	Emitted
	// Sent: an upstream pool has it.
	Sent
)

// Message is one message's way through this weft: a span, with a child for each call of
// a plugin. It is filled in by one goroutine, handed to [Exporter.Offer], and not
// touched again. Times are in nanoseconds since 1970-01-01 UTC.
type Message struct {
	Trace  ID
	Span   SpanID
	Parent SpanID // zero: the trace begins here
	State  string
	Kind   Kind
	Remote bool // Parent is somebody else's

	Begin, End int64
	Listener   string
	Protocol   string
	Topic      string
	Route      string
	Session    uint64 // a hash of it; 0: there is none
	Size       int    // of the payload, in bytes
	Batch      int    // messages that went through the chain together
	// Result is delivered, dropped, dead, replied, paused, waiting or again (nobody has
	// taken it out of its log yet), Reason why it was not delivered.
	Result, Reason string
	Copies         int

	// Link is the message that has caused this one where that is of another trace; zero:
	// there is none.
	Link Context
	// Entry is the number of what is Recalled in its log, Offered how often it was
	// offered, 0 where that is not counted.
	Entry   uint64
	Offered int
	// Upstream is the pool that what is Sent goes to, Tries what it has tried, the last
	// one at the end, and Tried how often. Failure is why all of it was in vain.
	Upstream, Failure string
	Tries             []Try
	Tried             int

	Steps  []Step
	Places []Place
	Cut    int // steps and places that were left out

	steps  [4]Step
	places [2]Place
}

// Step is one call of a plugin.
type Step struct {
	Plugin     string
	Generation uint64
	Verdict    string
	// Cause is why the plugin did not decide itself, Text what it, or weft, said of it.
	Cause, Text string
	Failed      bool
	Begin, End  int64
	// Fuel is the message's share of what the call has spent, Messages how many the call
	// was about.
	Fuel     uint64
	Messages int
	Emitted  int
	Changed  string
}

// Place is a destination.
type Place struct {
	To     string
	Copies int
}

// Try is one call of a pool's member.
type Try struct {
	Member string
	End    int64
	// Status is HTTP's status code, 0 for none; Error why it failed, empty if it did not.
	Status int
	Error  string
}

// Try notes a try. Of very many, the first and the last ones are kept.
func (m *Message) Try(t Try) {
	m.Tried++
	if len(m.Tries) == maxTries {
		m.Tries[maxTries-1] = t
		return
	}
	m.Tries = append(m.Tries, t)
}

// NewMessage begins with a message.
func NewMessage() *Message {
	m := &Message{}
	m.Steps, m.Places = m.steps[:0], m.places[:0]
	return m
}

// Step notes the call of a plugin.
func (m *Message) Step(s Step) {
	if len(m.Steps) == maxSteps {
		m.Cut++
		return
	}
	m.Steps = append(m.Steps, s)
}

// Place notes a destination.
func (m *Message) Place(p Place) {
	m.Copies += p.Copies
	if len(m.Places) == maxPlaces {
		m.Cut++
		return
	}
	m.Places = append(m.Places, p)
}

// Spans is how many spans it becomes.
func (m *Message) Spans() int { return 1 + len(m.Steps) }

// Text copies a text, as much of it as a span shows.
func Text(b []byte) string { return string(b[:min(len(b), maxText)]) }
