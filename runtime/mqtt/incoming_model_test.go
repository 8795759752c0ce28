package mqtt

import (
	"testing"

	"pgregory.net/rapid"
)

// publisher is a client that publishes QoS 1 and 2, sends again what is not
// acknowledged when it resumes, and loses what is on the wire when it drops.
type publisher struct {
	t *rapid.T
	s *Session

	flight  []outbound // in original order
	wire    []outbound // to the server
	back    []Ack      // PUBACK and PUBREC to the client
	seqs    []way      // on their way through the server
	owed    []uint16   // acknowledgements in the order in which they must come
	entered map[int]int
	done    map[int]bool // finished from the client's point of view
	refused map[int]bool
	next    int
}

type outbound struct {
	id      uint16
	qos     uint8
	message int
	release bool
}

type way struct {
	seq     uint64
	message int
}

const receiveMax = 6

func (p *publisher) publish() {
	if len(p.flight) >= receiveMax {
		return
	}
	id := uint16(1)
	for p.uses(id) {
		id++
	}
	o := outbound{id: id, qos: rapid.Uint8Range(1, 2).Draw(p.t, "qos"), message: p.next}
	p.next++
	p.flight = append(p.flight, o)
	p.wire = append(p.wire, o)
}

func (p *publisher) uses(id uint16) bool {
	for _, o := range p.flight {
		if o.id == id {
			return true
		}
	}
	return false
}

func (p *publisher) connect() {
	p.s.Attach(Link{Receive: receiveMax})
	p.wire = append([]outbound(nil), p.flight...)
	p.back, p.owed = nil, nil
}

func (p *publisher) drop() {
	p.s.Detach()
	p.wire, p.back = nil, nil
}

// arrive lets the server read one packet.
func (p *publisher) arrive() {
	if len(p.wire) == 0 {
		return
	}
	o := p.wire[0]
	p.wire = p.wire[1:]
	if o.release {
		p.s.Pubrel(o.id) // unknown is answered with PUBCOMP too
		for i := range p.flight {
			if p.flight[i].id == o.id && p.flight[i].release {
				p.done[p.flight[i].message] = true
				p.flight = append(p.flight[:i:i], p.flight[i+1:]...)
				return
			}
		}
		return
	}
	seq, r := p.s.Receive(o.id, o.qos)
	switch r {
	case New:
		p.entered[o.message]++
		p.seqs = append(p.seqs, way{seq, o.message})
	case InUse, Exceeded:
		p.t.Fatalf("receipt %d of a client that keeps to the rules: %+v", r, o)
	}
	p.owed = append(p.owed, o.id)
}

// end lets one message that is on its way end, whichever.
func (p *publisher) end() {
	if len(p.seqs) == 0 {
		return
	}
	i := rapid.IntRange(0, len(p.seqs)-1).Draw(p.t, "which")
	w := p.seqs[i]
	p.seqs = append(p.seqs[:i:i], p.seqs[i+1:]...)
	code := byte(0)
	if rapid.IntRange(0, 9).Draw(p.t, "refuse") == 0 {
		code = 0x87
		p.refused[w.message] = true
	}
	p.s.Done(w.seq, code)
}

// answer lets the server write what it owes.
func (p *publisher) answer() {
	for {
		a, ok := p.s.NextAck()
		if !ok {
			return
		}
		if len(p.owed) == 0 || p.owed[0] != a.ID {
			p.t.Fatalf("acknowledged %d, owed in this order: %v", a.ID, p.owed)
		}
		p.owed = p.owed[1:]
		p.back = append(p.back, a)
	}
}

// read lets the client take one acknowledgement.
func (p *publisher) read() {
	if len(p.back) == 0 {
		return
	}
	a := p.back[0]
	p.back = p.back[1:]
	for i := range p.flight {
		o := &p.flight[i]
		if o.id != a.ID || o.qos != a.QoS {
			continue
		}
		if a.QoS == 2 && a.Code < 0x80 {
			o.release = true
			p.wire = append(p.wire, *o)
			return
		}
		p.done[o.message] = true
		p.flight = append(p.flight[:i:i], p.flight[i+1:]...)
		return
	}
}

// TestModelIncoming plays a publisher that drops and resumes against a session
// whose messages end their ways in any order: a QoS 1 message is entered at
// least once, a QoS 2 message exactly once unless it was refused, and
// acknowledgements keep the order of the publishes.
func TestModelIncoming(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := NewBudget(0)
		p := &publisher{t: t, s: NewSession(NewStore(budget), 1, &Limits{}), entered: map[int]int{}, done: map[int]bool{}, refused: map[int]bool{}}
		qos := map[int]uint8{}
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 9), 100, 300).Draw(t, "steps") {
			switch online := p.s.Online(); {
			case step == 0:
				p.end()
			case !online && step < 5:
			case !online:
				p.connect()
			case step == 1:
				if rapid.IntRange(0, 3).Draw(t, "drop") == 0 {
					p.drop()
				}
			case step <= 4:
				p.publish()
			case step <= 6:
				p.arrive()
			case step == 7:
				p.end()
			case step == 8:
				p.answer()
			default:
				p.read()
			}
			for _, o := range p.flight {
				qos[o.message] = o.qos
			}
			if p.s.Unfinished() > 2*receiveMax {
				t.Fatalf("%d exchanges", p.s.Unfinished())
			}
		}
		if !p.s.Online() {
			p.connect()
		}
		for i := 0; len(p.flight) > 0; i++ {
			if i > 10_000 {
				t.Fatalf("it does not end: %+v", p.flight)
			}
			p.arrive()
			p.end()
			p.answer()
			p.read()
		}
		for n := range p.next {
			if got := p.entered[n]; got == 0 || qos[n] == 2 && got != 1 && !p.refused[n] {
				t.Fatalf("message %d of QoS %d was entered %d times", n, qos[n], got)
			}
		}
		if p.s.Unfinished() != 0 {
			t.Fatalf("%d exchanges are left", p.s.Unfinished())
		}
		p.s.Detach()
		p.s.End()
		if budget.Used() != 0 {
			t.Fatalf("%d bytes of the budget are lost", budget.Used())
		}
	})
}
