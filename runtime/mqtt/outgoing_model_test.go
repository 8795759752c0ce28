package mqtt

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
)

// client is a client as the specification describes one, at the end of a wire
// that loses everything that is on it when the connection drops.
type client struct {
	t    *rapid.T
	s    *Session
	now  int64
	link Link

	toClient []wire
	toServer []wire
	held     map[uint16]bool // QoS 2 ids between PUBLISH and PUBREL
	pending  []wire          // acknowledgements that the client has not written yet
	unacked  map[uint16]bool // publishes on this connection without PUBACK or PUBCOMP

	offered   []int // what the session took, in order
	qos       map[int]uint8
	delivered map[int]int
	order     []int          // first deliveries
	sentOnce  map[uint16]int // the message that an id stands for, as long as it does
	aborted   map[int]bool   // refused by the client
}

// wire is a packet on its way.
type wire struct {
	kind    byte // P ublish, L pubrel, A puback, R pubrec, C pubcomp
	id      uint16
	qos     uint8
	message int
	refused bool
}

func (c *client) connect() {
	c.toClient, c.toServer, c.pending, c.unacked = nil, nil, nil, map[uint16]bool{}
	c.link.Window = rapid.Uint16Range(1, 5).Draw(c.t, "receive maximum")
	c.s.Attach(c.link)
}

func (c *client) drop() {
	c.s.Detach()
	c.toClient, c.toServer, c.pending = nil, nil, nil
}

func (c *client) offer() {
	n := len(c.qos)
	qos := rapid.Uint8Range(1, 2).Draw(c.t, "qos")
	m := &abi.Message{Topic: []byte("t"), Payload: []byte(strconv.Itoa(n)), QoS: qos}
	c.qos[n] = qos
	if c.s.Offer(m, Copy{QoS: qos}, c.now) == Taken {
		c.offered = append(c.offered, n)
	}
}

// pump takes some packets from the session onto the wire.
func (c *client) pump(most int) {
	for range most {
		o, ok := c.s.Next(c.now)
		if !ok {
			return
		}
		if o.Release {
			c.toClient = append(c.toClient, wire{kind: 'L', id: o.ID})
			continue
		}
		n, _ := strconv.Atoi(string(o.Message.Payload))
		before, again := c.sentOnce[o.ID]
		if o.Dup != (again && before == n) {
			c.t.Fatalf("message %d as id %d: DUP is %v, sent before is %v (%d)", n, o.ID, o.Dup, again, before)
		}
		if again && before != n {
			c.t.Fatalf("id %d is used for %d while it stands for %d", o.ID, n, before)
		}
		c.sentOnce[o.ID] = n
		c.unacked[o.ID] = true
		if len(c.unacked) > int(c.link.Window) {
			c.t.Fatalf("%d messages sent and not acknowledged, the client takes %d", len(c.unacked), c.link.Window)
		}
		c.toClient = append(c.toClient, wire{kind: 'P', id: o.ID, qos: o.QoS, message: n})
	}
}

// read lets the client take one packet from the wire.
func (c *client) read() {
	if len(c.toClient) == 0 {
		return
	}
	w := c.toClient[0]
	c.toClient = c.toClient[1:]
	switch {
	case w.kind == 'L':
		delete(c.held, w.id)
		c.pending = append(c.pending, wire{kind: 'C', id: w.id})
	case w.qos == 1:
		c.take(w.message)
		c.pending = append(c.pending, wire{kind: 'A', id: w.id, message: w.message})
	default:
		if !c.held[w.id] {
			c.held[w.id] = true
			c.take(w.message)
		}
		c.pending = append(c.pending, wire{kind: 'R', id: w.id})
	}
}

func (c *client) take(n int) {
	c.delivered[n]++
	if c.delivered[n] == 1 {
		c.order = append(c.order, n)
	}
}

// write puts one of the acknowledgements on the wire, in any order.
func (c *client) write() {
	if len(c.pending) == 0 {
		return
	}
	i := rapid.IntRange(0, len(c.pending)-1).Draw(c.t, "which acknowledgement")
	w := c.pending[i]
	c.pending = append(c.pending[:i:i], c.pending[i+1:]...)
	if w.kind == 'A' && rapid.IntRange(0, 19).Draw(c.t, "refuse") == 0 {
		w.refused = true
	}
	c.toServer = append(c.toServer, w)
}

// answer lets the session take one packet from the wire.
func (c *client) answer() {
	if len(c.toServer) == 0 {
		return
	}
	w := c.toServer[0]
	c.toServer = c.toServer[1:]
	match := Matched
	switch w.kind {
	case 'A':
		match = c.s.Puback(w.id, w.refused)
		c.finished(w.id)
	case 'R':
		match = c.s.Pubrec(w.id, false)
		c.toClient = append(c.toClient, wire{kind: 'L', id: w.id})
	case 'C':
		if match = c.s.Pubcomp(w.id); match == Unknown {
			match = Matched // the answer to a second PUBREL
		}
		c.finished(w.id)
	}
	if match != Matched {
		c.t.Fatalf("%c %d: %v", w.kind, w.id, match)
	}
}

func (c *client) finished(id uint16) {
	delete(c.unacked, id)
	delete(c.sentOnce, id)
}

// check holds at every moment.
func (c *client) check(budget *Budget) {
	if c.s.Len() > c.s.maxMessages() || c.s.Bytes() > c.s.maxBytes() {
		c.t.Fatalf("%d messages, %d bytes", c.s.Len(), c.s.Bytes())
	}
	if budget.Used() > budget.Limit()+1024 {
		c.t.Fatalf("%d bytes of %d", budget.Used(), budget.Limit())
	}
}

// TestModelOutgoing plays a client that connects, drops, resumes and answers in
// any order against a session: QoS 1 arrives at least once, QoS 2 exactly once,
// both in order, within every bound.
func TestModelOutgoing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := NewBudget(rapid.Int64Range(3_000, 20_000).Draw(t, "budget"))
		store := NewStore(budget)
		limits := Limits{Messages: rapid.IntRange(1, 40).Draw(t, "messages"), Window: rapid.Uint16Range(1, 8).Draw(t, "window")}
		c := &client{
			t: t, s: NewSession(store, 1, &limits), now: second,
			held: map[uint16]bool{}, qos: map[int]uint8{}, delivered: map[int]int{}, sentOnce: map[uint16]int{}, aborted: map[int]bool{},
		}
		steps := rapid.SliceOfN(rapid.IntRange(0, 9), 100, 300).Draw(t, "steps")
		for _, step := range steps {
			switch online := c.s.Online(); {
			case step <= 2:
				c.offer()
			case !online && step >= 7:
				c.connect()
			case !online:
			case step == 3:
				if rapid.IntRange(0, 3).Draw(t, "drop") == 0 {
					c.drop()
				}
			case step <= 5:
				c.pump(rapid.IntRange(1, 4).Draw(t, "pump"))
			case step <= 7:
				c.read()
			case step == 8:
				c.write()
			default:
				c.answer()
			}
			c.check(budget)
		}
		c.finish()
		if c.s.Len() != 0 || c.s.Bytes() != 0 || store.Counts().Entries != 0 || store.Counts().Messages != 0 {
			t.Fatalf("left: %d messages, %d bytes, %+v", c.s.Len(), c.s.Bytes(), store.Counts())
		}
		c.s.Detach()
		c.s.End()
		if budget.Used() != 0 {
			t.Fatalf("%d bytes of the budget are lost", budget.Used())
		}
	})
}

// finish lets everything arrive and compares.
func (c *client) finish() {
	if !c.s.Online() {
		c.connect()
	}
	for i := 0; c.s.Len() > 0 || len(c.toClient)+len(c.toServer)+len(c.pending) > 0; i++ {
		if i > 10_000 {
			c.t.Fatalf("it does not end: %d messages left", c.s.Len())
		}
		c.pump(100)
		c.read()
		c.write()
		c.answer()
	}
	for _, n := range c.offered {
		if got := c.delivered[n]; got == 0 || c.qos[n] == 2 && got != 1 {
			c.t.Fatalf("message %d of QoS %d arrived %d times", n, c.qos[n], got)
		}
	}
	if len(c.order) != len(c.offered) {
		c.t.Fatalf("%d messages arrived, %d were taken", len(c.order), len(c.offered))
	}
	for i := range c.order {
		if c.order[i] != c.offered[i] {
			c.t.Fatalf("arrived %v, taken %v", c.order, c.offered)
		}
	}
}
