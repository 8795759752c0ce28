package load

import "io"

// Role is what a connection does in a run.
type Role uint8

// The roles.
const (
	RolePublisher Role = iota
	RoleSubscriber
)

// String is the role's name.
func (r Role) String() string {
	if r == RoleSubscriber {
		return "subscriber"
	}
	return "publisher"
}

// Peer describes one connection to a protocol's handshake.
type Peer struct {
	Role Role
	// Index counts the connections of the role from 0.
	Index int
	// Subscribe lists the topics or patterns that a subscriber asks for, in the
	// protocol's own syntax.
	Subscribe []string
}

// Publication is one message to be encoded.
type Publication struct {
	Topic   string
	Seq     uint64
	Payload []byte
}

// Span is where a payload lies in the bytes that a Cutter was given.
type Span struct{ Off, Len int }

// Protocol is one wire format. A Protocol is shared by all connections of a run
// and safe for concurrent use.
type Protocol interface {
	// Name is what results and tables call the protocol.
	Name() string
	// Text reports whether a payload must be text without line ends.
	Text() bool
	// Handshake does on a new connection whatever must precede messages:
	// greetings, a token, subscriptions. It returns the bytes that it read and
	// that belong to what follows. The caller has set a deadline.
	Handshake(rw io.ReadWriter, p Peer) (rest []byte, err error)
	// Append encodes one publication behind dst.
	Append(dst []byte, p Publication) ([]byte, error)
	// Cutter makes the receiving half of one connection.
	Cutter() Cutter
}

// Cutter cuts one connection's bytes into messages. It belongs to one goroutine.
type Cutter interface {
	// Cut appends to spans where the payload of each whole message in b lies
	// and says how many bytes of b are done with. What is no message (an
	// acknowledgement, a heartbeat) is skipped. An error means that nothing
	// sensible can follow.
	Cut(b []byte, spans []Span) (out []Span, consumed int, err error)
	// Reply is what the server must be sent because of the last Cut (the
	// answer to a heartbeat), nil if nothing. It is valid until the next Cut.
	Reply() []byte
}
