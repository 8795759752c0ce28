package mqtt

import (
	"iter"

	"github.com/weftrun/weft/abi"
)

// Fits tells whether the session has room for the message without dropping another
// one and without overrunning its bounds: for messages that can come again later.
func (s *Session) Fits(m *abi.Message, identifiers int) bool {
	size := entrySize + len(m.Topic) + len(m.Attrs) + len(m.Payload) + idsSize(identifiers)
	return s.Len() < s.maxMessages() && s.bytes+size <= s.maxBytes()
}

// Crowded tells whether more than half of what the session may hold is there.
func (s *Session) Crowded() bool {
	return s.Len() > s.maxMessages()/2 || s.bytes > s.maxBytes()/2
}

// Held yields the messages that the client has not acknowledged, in the order in which
// the session took them: QoS 2 up to PUBREC. They belong to the session, which is not
// to be used meanwhile.
func (s *Session) Held() iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		for id := s.out.head; id != 0; id = s.out.slots[id-1].next {
			if sl := &s.out.slots[id-1]; sl.state != awaitComp && !yield(s.store.messages[sl.message]) {
				return
			}
		}
		at, get := s.queue.head, s.queue.first
		for range s.queue.n {
			if get == chunkLen {
				at, get = at.next, 0
			}
			if !yield(s.store.messages[at.entries[get].message]) {
				return
			}
			get++
		}
	}
}
