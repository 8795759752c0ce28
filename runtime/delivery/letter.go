package delivery

import (
	"net/netip"

	"github.com/weftrun/weft/abi"
)

// DeadLetter is a message that could not be handled, as a DeadLetterStore keeps
// it. One that the store has handed out is never changed afterwards.
type DeadLetter struct {
	// ID numbers the letters of a process, from 1 on, in the order in which they
	// reached the store.
	ID uint64
	// Time is when it became a dead letter, in nanoseconds since 1970-01-01 UTC.
	Time int64
	// Message is the message as it reached the plugin that failed on it; where a
	// plugin or a route sent it here, as it then was. Message.Frame is the frame
	// as it was received, whatever plugins have changed since; nil if there was
	// none, or its protocol does not keep it.
	Message abi.Message
	// Came is the message as it came, before any plugin, converter or route changed
	// it. What has not changed shares Message's bytes, the context among them. It has
	// no frame.
	Came abi.Message
	// CameLost: what came is not known any more, and Came is empty.
	CameLost bool
	// Cause is route where the configuration sent it here, conversion where its
	// payload could not be converted, plugin where a plugin's verdict did, else what the plugin failed by: trap, fuel, depth,
	// fault, back_off or buffer.
	Cause string
	// Text is the failure in words; empty where nothing failed.
	Text string
	// Plugin and Generation name who decided or failed; empty and 0 for a route.
	Plugin     string
	Generation uint64
	// Hook is messages, or open for a session that could not begin.
	Hook     string
	Listener string
	// Remote is the address of the session's peer; invalid where there is none.
	Remote netip.AddrPort
	// Attempts is how often the letter was replayed, and LastResult what became
	// of it then.
	Attempts   int
	LastResult string

	replaying bool
}

// letterOverhead is what a letter takes beside its bytes, rounded up.
const letterOverhead = 512

// Size is how many bytes of memory the letter counts for.
func (l *DeadLetter) Size() int64 {
	return int64(letterOverhead + l.bytes() + len(l.Text) + len(l.LastResult))
}

// bytes is how many bytes the letter's messages have together.
func (l *DeadLetter) bytes() int {
	m, c := &l.Message, &l.Came
	n := len(m.Topic) + len(m.Attrs) + len(m.Context) + len(m.Payload) + len(m.Frame)
	for _, part := range [...][2][]byte{{m.Topic, c.Topic}, {m.Attrs, c.Attrs}, {m.Payload, c.Payload}} {
		if !same(part[0], part[1]) {
			n += len(part[1])
		}
	}
	return n
}

// same tells whether two slices are of the same bytes of one array.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// PutLetter hands a copy of a letter over, with all its bytes; false, and
// counted, if there is no room.
func PutLetter(h *Handover[DeadLetter], l *DeadLetter) bool {
	if !h.Room(1, l.bytes()) {
		return false
	}
	kept := *l
	kept.copyBytes(h.Copy)
	h.Put(kept)
	return true
}

// clone copies a letter with all its bytes, into one array.
func (l *DeadLetter) clone() *DeadLetter {
	c := *l
	all := make([]byte, 0, l.bytes())
	c.copyBytes(func(b []byte) []byte {
		if b == nil {
			return nil
		}
		start := len(all)
		all = append(all, b...)
		return all[start:len(all):len(all)]
	})
	return &c
}

// copyBytes copies the bytes of the letter's messages, those that they share once.
func (l *DeadLetter) copyBytes(take func([]byte) []byte) {
	m, c, was := &l.Message, &l.Came, l.Message
	m.Topic, m.Attrs, m.Context = take(m.Topic), take(m.Attrs), take(m.Context)
	m.Payload, m.Frame = take(m.Payload), take(m.Frame)
	again := func(came, shared, copied []byte) []byte {
		if same(came, shared) {
			return copied
		}
		return take(came)
	}
	c.Topic, c.Attrs, c.Payload = again(c.Topic, was.Topic, m.Topic), again(c.Attrs, was.Attrs, m.Attrs), again(c.Payload, was.Payload, m.Payload)
	if c.Context != nil {
		c.Context = m.Context
	}
}
