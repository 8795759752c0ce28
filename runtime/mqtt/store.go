package mqtt

import (
	"bytes"

	"github.com/weftrun/weft/abi"
)

// Message is a stored message: one immutable copy, shared by any number of
// sessions of a loop. Nobody may change its fields or what they refer to.
type Message struct {
	Topic   []byte
	Attrs   abi.Attributes
	Payload []byte
	// Session, Seq, Listener, Flags, Type, Priority and QoS are those of the
	// message that was stored.
	Session  uint64
	Seq      uint64
	Listener uint32
	Flags    abi.Flags
	Type     abi.Type
	Priority uint8
	QoS      uint8
	// Time is when the message came, and Expires when it ends, both in
	// nanoseconds since 1970-01-01 UTC. Expires is 0 if it never does.
	Time    int64
	Expires int64

	buf   []byte // what Topic, Attrs and Payload alias; a multiple of a size class long
	refs  int32
	index uint32 // in Store.messages
}

// Fill makes to the stored message; its slices alias the stored bytes and are
// valid as long as m is. Context and Frame are not stored.
func (m *Message) Fill(to *abi.Message) {
	*to = abi.Message{
		Session: m.Session, Seq: m.Seq, Time: m.Time, Listener: m.Listener, Flags: m.Flags, Type: m.Type,
		Priority: m.Priority, QoS: m.QoS, Topic: m.Topic, Attrs: m.Attrs, Payload: m.Payload,
	}
}

// Remaining is the message's expiry interval as the receiver is to be told: what
// the publisher said less the time that it has waited here, in whole seconds,
// rounded up; ok is false if it never expires (MQTT 5.0, section 3.3.2.3.3).
func (m *Message) Remaining(now int64) (seconds uint32, ok bool) {
	return remaining(m.Expires, now)
}

func (m *Message) expired(now int64) bool { return m.Expires != 0 && m.Expires <= now }

// set copies src into m, its bytes into buf.
func (m *Message) set(src *abi.Message, expires int64, buf []byte) {
	t, a := len(src.Topic), len(src.Topic)+len(src.Attrs)
	n := a + len(src.Payload)
	copy(buf, src.Topic)
	copy(buf[t:], src.Attrs)
	copy(buf[a:], src.Payload)
	m.buf = buf
	m.Topic, m.Attrs, m.Payload = buf[:t:t], abi.Attributes(buf[t:a:a]), buf[a:n:n]
	m.Session, m.Seq, m.Listener, m.Flags, m.Type = src.Session, src.Seq, src.Listener, src.Flags, src.Type
	m.Priority, m.QoS, m.Time, m.Expires = src.Priority, src.QoS, src.Time, expires
}

// says tells whether m is the stored copy of src.
func (m *Message) says(src *abi.Message, expires int64) bool {
	return m.Time == src.Time && m.Session == src.Session && m.Seq == src.Seq && m.Expires == expires &&
		m.Flags == src.Flags && m.QoS == src.QoS && m.Type == src.Type && m.Priority == src.Priority && m.Listener == src.Listener &&
		bytes.Equal(m.Topic, src.Topic) && bytes.Equal(m.Payload, src.Payload) && bytes.Equal(m.Attrs, src.Attrs)
}

// messageCost is what a stored message takes beside its bytes: the record and
// its place in the table.
const messageCost = 176

// cost is what the message takes of the budget.
func (m *Message) cost() int { return messageCost + cap(m.buf) }

// Store holds the messages and the queues of one loop's sessions: each message
// once, counted, and pools of what they are made of. It belongs to its loop.
type Store struct {
	budget   *Budget
	counts   Counts
	messages []*Message // by index; index 0 is never used
	free     []uint32   // indices whose record may be gone
	spare    int        // records that are there and not in use
	last     *Message   // stored last, while it is: who offers the same message again shares it
	bufs     buffers
	chunks   *chunk // not in use, linked
	nChunks  int
	sets     idSets
	unpacked []uint32 // the identifiers that Session.Next gave last
}

// NewStore returns a store that takes its memory from the budget, which it
// shares with other loops' stores.
func NewStore(budget *Budget) *Store {
	return &Store{budget: budget, messages: make([]*Message, 1), sets: idSets{budget: budget}}
}

// Counts returns what the sessions of the store have done.
func (t *Store) Counts() Counts {
	c := t.counts
	c.Messages = int64(len(t.messages) - 1 - len(t.free))
	return c
}

// maxSpare is how many records of messages are kept for the next ones.
const maxSpare = 4096

// keep stores the message, or finds that it was the last one stored, and takes
// a reference. It returns nil if the budget is spent. Who asks for the same message for
// another session pays a comparison and no copy.
func (t *Store) keep(src *abi.Message, expires int64) *Message {
	if t.last != nil && t.last.says(src, expires) {
		t.last.refs++
		return t.last
	}
	size := len(src.Topic) + len(src.Attrs) + len(src.Payload)
	class := classOf(size)
	if !t.budget.Take(messageCost + classSize(class, size)) {
		return nil
	}
	m := t.record()
	m.set(src, expires, t.bufs.get(class, size))
	m.refs = 1
	t.last = m
	return m
}

// record finds a free index and its record, or makes both.
func (t *Store) record() *Message {
	n := len(t.free)
	if n == 0 {
		m := &Message{index: uint32(len(t.messages))}
		t.messages = append(t.messages, m)
		return m
	}
	i := t.free[n-1]
	t.free = t.free[:n-1]
	if m := t.messages[i]; m != nil {
		t.spare--
		return m
	}
	m := &Message{index: i}
	t.messages[i] = m
	return m
}

// release gives a reference back; the last one frees the message.
func (t *Store) release(m *Message) {
	m.refs--
	if m.refs > 0 {
		return
	}
	if t.last == m {
		t.last = nil
	}
	t.budget.Give(m.cost())
	t.bufs.put(m.buf)
	i := m.index
	t.free = append(t.free, i)
	if t.spare >= maxSpare {
		t.messages[i] = nil
		return
	}
	t.spare++
	*m = Message{index: i}
}
