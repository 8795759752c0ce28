package mqtt

import (
	"runtime"
	"testing"

	"github.com/weftrun/weft/abi"
)

// TestTwoMillionEntries: 500 sessions away, 4,000 messages of 128 B for each of
// them, shared: at most 48 bytes an entry, all told, as the heap sees it, and
// all given back.
func TestTwoMillionEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("2,000,000 entries")
	}
	const sessions, messages = 500, 4000
	before := heap0()
	budget := NewBudget(sessions * messages * 48)
	store := NewStore(budget)
	limits := &Limits{Messages: messages}
	all := make([]*Session, sessions)
	for i := range all {
		all[i] = NewSession(store, uint64(i), limits)
	}
	m := &abi.Message{Topic: []byte("plant/7/line/3/temperature"), Payload: make([]byte, 128), QoS: 1}
	for i := range messages {
		m.Time = int64(i)
		for _, s := range all {
			if o := s.Offer(m, Copy{QoS: 1}, m.Time); o != Taken {
				t.Fatalf("message %d: %v, %d bytes of the budget are taken", i, o, budget.Used())
			}
		}
	}
	heap, entries := heap0()-before, int64(sessions*messages)
	t.Logf("%.1f B an entry on the heap, %.1f B in the budget, %d messages stored",
		float64(heap)/float64(entries), float64(budget.Used())/float64(entries), store.Counts().Messages)
	if heap > entries*48 || store.Counts().Entries != entries || store.Counts().Messages != messages {
		t.Errorf("%d bytes for %d entries; %+v", heap, entries, store.Counts())
	}
	if off := float64(budget.Used()) / float64(heap); off < 0.8 || off > 1.25 {
		t.Errorf("the budget says %d bytes, the heap %d", budget.Used(), heap)
	}
	for _, s := range all {
		s.Attach(Link{})
		n := 0
		for o, ok := s.Next(0); ok; o, ok = s.Next(0) {
			if o.Message.Time != int64(n) {
				t.Fatalf("message %d came as number %d", o.Message.Time, n)
			}
			n++
			s.Puback(o.ID, false)
		}
		if n != messages {
			t.Fatalf("%d messages of %d", n, messages)
		}
		s.Detach()
		s.End()
	}
	if budget.Used() != 0 {
		t.Errorf("%d bytes of the budget are lost", budget.Used())
	}
	all = nil
	if left := heap0() - before; left > 4<<20 {
		t.Errorf("%d bytes are left in pools", left)
	}
	runtime.KeepAlive(store)
	runtime.KeepAlive(all)
}

// TestIdleSession: what a session costs that has nothing.
func TestIdleSession(t *testing.T) {
	const n = 10_000
	store := NewStore(NewBudget(0))
	all := make([]*Session, n)
	before := heap0()
	for i := range all {
		all[i] = NewSession(store, uint64(i), &Limits{})
		all[i].Attach(Link{})
	}
	each := (heap0() - before) / n
	t.Logf("%d B", each)
	if each > 400 {
		t.Errorf("%d bytes an idle session", each)
	}
	runtime.KeepAlive(all)
}

func heap0() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// round is one message from offer to acknowledgement.
func round(s *Session, m *abi.Message, qos uint8) {
	m.Time++
	s.Offer(m, Copy{QoS: qos}, m.Time)
	o, _ := s.Next(m.Time)
	switch qos {
	case 1:
		s.Puback(o.ID, false)
	case 2:
		s.Pubrec(o.ID, false)
		s.Pubcomp(o.ID)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{})
	r.s.Presence()
	m := text("plant/7/line/3/temperature", string(make([]byte, 128)))
	ids := []uint32{1, 2}
	var in, out = NewInAliases(8), NewOutAliases(8, 8)
	topics := [][]byte{[]byte("a"), []byte("b"), []byte("c"), []byte("d"), []byte("e"), []byte("f"), []byte("g"), []byte("h"), []byte("i")}
	turn, id := 0, uint16(0)
	shared := NewShared(0)
	g, _, _, _ := shared.Join("g", "f", Member{Session: 7, QoS: 1, Presence: r.s.Presence()})
	for name, f := range map[string]func(){
		"QoS 0": func() { round(r.s, m, 0) },
		"QoS 1": func() { round(r.s, m, 1) },
		"QoS 2": func() { round(r.s, m, 2) },
		"identifiers": func() {
			m.Time++
			r.s.Offer(m, Copy{QoS: 1, Identifiers: ids}, m.Time)
			o, _ := r.s.Next(m.Time)
			r.s.Puback(o.ID, false)
		},
		"incoming": func() {
			id = id%1000 + 1
			seq, _ := r.s.Receive(id, 1)
			r.s.Done(seq, 0)
			r.s.NextAck()
			seq, _ = r.s.Receive(id, 2)
			r.s.Done(seq, 0)
			r.s.NextAck()
			r.s.Pubrel(id)
		},
		"aliases": func() {
			turn++
			topic := topics[turn%len(topics)]
			alias, _ := out.Use(topic)
			in.Resolve(alias, topic)
		},
		"pick": func() { shared.Group(g.ID).Pick(1) },
		"burst": func() {
			for range 50 {
				m.Time++
				r.s.Offer(m, Copy{QoS: 1}, m.Time)
			}
			for o, ok := r.s.Next(m.Time); ok; o, ok = r.s.Next(m.Time) {
				r.s.Puback(o.ID, false)
			}
		},
	} {
		for range 2000 {
			f()
		}
		if n := testing.AllocsPerRun(2000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkRound(b *testing.B) {
	for name, qos := range map[string]uint8{"qos0": 0, "qos1": 1, "qos2": 2} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := newRig(b, Limits{})
			r.s.Attach(Link{})
			m := text("plant/7/line/3/temperature", string(make([]byte, 128)))
			for b.Loop() {
				round(r.s, m, qos)
			}
		})
	}
}

// BenchmarkFan50 is one message to 50 sessions at QoS 1, up to the
// acknowledgements; ns/op is for all 50.
func BenchmarkFan50(b *testing.B) {
	b.ReportAllocs()
	store := NewStore(NewBudget(0))
	var all [50]*Session
	for i := range all {
		all[i] = NewSession(store, uint64(i), &Limits{})
		all[i].Attach(Link{})
	}
	m := text("plant/7/line/3/temperature", string(make([]byte, 128)))
	for b.Loop() {
		m.Time++
		for _, s := range all {
			s.Offer(m, Copy{QoS: 1}, m.Time)
		}
		for _, s := range all {
			o, _ := s.Next(m.Time)
			s.Puback(o.ID, false)
		}
	}
}

func BenchmarkOfferAway(b *testing.B) {
	b.ReportAllocs()
	store := NewStore(NewBudget(0))
	var all [500]*Session
	for i := range all {
		all[i] = NewSession(store, uint64(i), &Limits{Messages: 1000, Policy: DropOldestFirst})
	}
	m := text("plant/7/line/3/temperature", string(make([]byte, 128)))
	i := 0
	for b.Loop() {
		if i++; i == len(all) {
			i = 0
			m.Time++
		}
		all[i].Offer(m, Copy{QoS: 1}, m.Time)
	}
}

func BenchmarkIncoming(b *testing.B) {
	b.ReportAllocs()
	r := newRig(b, Limits{})
	r.s.Attach(Link{})
	id := uint16(0)
	for b.Loop() {
		id = max(1, id+1)
		seq, _ := r.s.Receive(id, 1)
		r.s.Done(seq, 0)
		r.s.NextAck()
	}
}
