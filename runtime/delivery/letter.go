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
	// none: the message was emitted or published.
	Message abi.Message
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
	m := &l.Message
	return int64(letterOverhead + len(m.Topic) + len(m.Attrs) + len(m.Context) + len(m.Payload) + len(m.Frame) + len(l.Text) + len(l.LastResult))
}

// PutLetter hands a copy of a letter over, with all its bytes; false, and
// counted, if there is no room.
func PutLetter(h *Handover[DeadLetter], l *DeadLetter) bool {
	m := &l.Message
	if !h.Room(1, len(m.Topic)+len(m.Attrs)+len(m.Context)+len(m.Payload)+len(m.Frame)) {
		return false
	}
	kept := *l
	copyBytes(&kept.Message, h.Copy)
	h.Put(kept)
	return true
}

// clone copies a letter with all its bytes, into one array.
func (l *DeadLetter) clone() *DeadLetter {
	c, m := *l, &l.Message
	all := make([]byte, 0, len(m.Topic)+len(m.Attrs)+len(m.Context)+len(m.Payload)+len(m.Frame))
	copyBytes(&c.Message, func(b []byte) []byte {
		if b == nil {
			return nil
		}
		start := len(all)
		all = append(all, b...)
		return all[start:len(all):len(all)]
	})
	return &c
}

func copyBytes(m *abi.Message, take func([]byte) []byte) {
	m.Topic, m.Attrs, m.Context = take(m.Topic), take(m.Attrs), take(m.Context)
	m.Payload, m.Frame = take(m.Payload), take(m.Frame)
}
