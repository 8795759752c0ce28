package session

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/router"
)

// Session is one connected client. It is kept small: most connections are idle
// most of the time.
type Session struct {
	id            uint64
	since         int64
	name          *holder[uint64]
	context       abi.Attributes
	subscriptions []subscription
	queues        []*Group
	address       [16]byte
	port          uint16
	v4            bool
	closed        bool
	listener      uint32
}

// subscription is one pattern that the session is subscribed to, and how.
type subscription struct {
	pattern string
	by      router.Subscriber
}

// New returns a session that holds nothing yet. The id is not 0 and names the
// session in the whole process; since is in nanoseconds since 1970-01-01 UTC.
// The zone of an IPv6 address is not kept.
func New(id uint64, listener uint32, since int64, remote netip.AddrPort) *Session {
	return &Session{
		id: id, listener: listener, since: since,
		address: remote.Addr().As16(), port: remote.Port(), v4: remote.Addr().Is4(),
	}
}

// ID names the session in the whole process.
func (s *Session) ID() uint64 { return s.id }

// Listener is the index of the listener in the running configuration.
func (s *Session) Listener() uint32 { return s.listener }

// Since is when the session began, in nanoseconds since 1970-01-01 UTC.
func (s *Session) Since() int64 { return s.since }

// Remote is the peer's address.
func (s *Session) Remote() netip.AddrPort {
	address := netip.AddrFrom16(s.address)
	if s.v4 {
		address = address.Unmap()
	}
	return netip.AddrPortFrom(address, s.port)
}

// Name is the node name that the session holds, "" if none.
func (s *Session) Name() string {
	if s.name == nil {
		return ""
	}
	return s.name.name
}

// Context is what is remembered about the session. The bytes are never changed
// in place: a message may refer to them while the context is set anew.
func (s *Session) Context() abi.Attributes { return s.context }

// SetContext replaces the context by a copy of the block. It refuses one that is
// malformed or longer than abi.MaxContext and keeps the former then. A block
// equal to the present one costs nothing.
func (s *Session) SetContext(block abi.Attributes) error {
	if bytes.Equal(s.context, block) {
		return nil
	}
	if err := block.Validate(abi.MaxContext); err != nil {
		return fmt.Errorf("context of session %d: %w", s.id, err)
	}
	s.context = slices.Clip(append(abi.Attributes(nil), block...))
	return nil
}

// Subscriptions lists the patterns that the session is subscribed to, in
// canonical spelling, in the order in which they came.
func (s *Session) Subscriptions() []string {
	var patterns []string
	for i := range s.subscriptions {
		patterns = append(patterns, s.subscriptions[i].pattern)
	}
	return patterns
}

// Subscribed is how many subscriptions the session has.
func (s *Session) Subscribed() int { return len(s.subscriptions) }

// Reattach says that the session goes on with another connection.
func (s *Session) Reattach(listener uint32, since int64, remote netip.AddrPort) {
	s.listener, s.since = listener, since
	s.address, s.port, s.v4 = remote.Addr().As16(), remote.Port(), remote.Addr().Is4()
}

// Queues lists the queue groups that the session belongs to.
func (s *Session) Queues() []string {
	var names []string
	for _, g := range s.queues {
		names = append(names, g.name)
	}
	return names
}
