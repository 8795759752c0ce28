package mqtt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
)

func TestDropNewest(t *testing.T) {
	r := newRig(t, Limits{Messages: 2})
	r.want(r.offer(1, "a"), Taken)
	r.want(r.offer(2, "b"), Taken)
	r.want(r.offer(1, "c"), DropMessages)
	r.s.Attach(Link{})
	r.wantSent("1:a 2:b")
	r.want(r.offer(1, "d"), DropMessages) // in flight counts too
	if c := r.store.Counts(); c.Outcomes[DropMessages] != 2 || c.Outcomes[Taken] != 2 {
		t.Fatalf("%+v", c)
	}
}

func TestDropOldest(t *testing.T) {
	r := newRig(t, Limits{Messages: 3, Policy: DropOldestFirst})
	r.s.Attach(Link{Window: 1})
	for _, p := range []string{"a", "b", "c"} {
		r.offer(1, p)
	}
	r.wantSent("1:a")
	r.want(r.offer(1, "d"), Taken) // b goes: a's delivery has begun
	r.s.Puback(1, false)
	r.wantSent("2:c")
	r.s.Puback(2, false)
	r.wantSent("3:d")
	if n := r.store.Counts().Outcomes[DropOldest]; n != 1 {
		t.Fatalf("%d counted", n)
	}
	one := newRig(t, Limits{Messages: 1, Policy: DropOldestFirst})
	one.s.Attach(Link{})
	one.offer(1, "a")
	one.wantSent("1:a")
	one.want(one.offer(1, "b"), DropMessages) // nothing waits that could go
}

func TestBytes(t *testing.T) {
	const size = entrySize + 3 + 100
	big := strings.Repeat("x", 100)
	r := newRig(t, Limits{Bytes: 2 * size})
	r.want(r.offer(1, big), Taken)
	r.want(r.offer(1, big), Taken)
	r.want(r.offer(1, ""), DropBytes)
	r = newRig(t, Limits{Bytes: 2 * size, Policy: DropOldestFirst})
	for range 5 {
		r.want(r.offer(1, big), Taken)
	}
	r.want(r.offer(1, strings.Repeat("x", 300)), DropBytes) // would not fit an empty session
	if r.s.Len() != 2 {
		t.Fatalf("%d messages: one that can never fit drove others out", r.s.Len())
	}
}

// TestBudget: sessions share it, a message that they share counts once, and
// what one gives back another may take.
func TestBudget(t *testing.T) {
	budget := NewBudget(3 * (messageCost + 1024 + chunkCost))
	stores := [2]*Store{NewStore(budget), NewStore(budget)}
	a, b := NewSession(stores[0], 1, &Limits{}), NewSession(stores[1], 2, &Limits{Policy: DropOldestFirst})
	m := func(n int) *abi.Message {
		return &abi.Message{Topic: []byte("t"), Payload: []byte(strings.Repeat("x", 1000)), Time: int64(n)}
	}
	taken := 0
	for i := range 10 {
		if a.Offer(m(i), Copy{QoS: 1}, 0) == Taken {
			taken++
		}
	}
	if taken != 3 || b.Offer(m(10), Copy{QoS: 1}, 0) != DropBudget {
		t.Fatalf("%d taken, %d bytes of %d", taken, budget.Used(), budget.Limit())
	}
	a.Attach(Link{})
	o, _ := a.Next(0)
	a.Puback(o.ID, false)
	for i := range 3 {
		if got := b.Offer(m(11+i), Copy{QoS: 1}, 0); got != Taken { // its own oldest makes room
			t.Fatalf("%d: %v, %d bytes of %d", i, got, budget.Used(), budget.Limit())
		}
	}
	if budget.Used() > budget.Limit() || b.Len() != 1 {
		t.Fatalf("%d of %d, %d messages", budget.Used(), budget.Limit(), b.Len())
	}
	shared := NewSession(stores[0], 3, &Limits{})
	last := m(9999)
	fan := [3]*Session{shared, NewSession(stores[0], 4, &Limits{}), NewSession(stores[0], 5, &Limits{})}
	a.End()
	b.End()
	for _, s := range fan {
		if got := s.Offer(last, Copy{QoS: 1}, 0); got != Taken {
			t.Fatal(got)
		}
	}
	if want := int64(messageCost + 1024 + 3*chunkCost); budget.Used() != want {
		t.Fatalf("%d bytes, want %d: the message once", budget.Used(), want)
	}
}

func TestQoS0(t *testing.T) {
	r := newRig(t, Limits{})
	r.want(r.offer(0, "a"), DropOffline)
	r.s.Attach(Link{Window: 1})
	r.want(r.offer(1, "b"), Taken)
	r.want(r.offer(1, "c"), Taken)
	r.want(r.offer(0, "d"), Direct) // not behind the window
	if r.store.Counts().Entries != 2 {
		t.Fatal("something of it was kept")
	}

	r = newRig(t, Limits{KeepQoS0: true})
	r.want(r.offer(0, "a"), Taken)
	r.want(r.offer(1, "b"), Taken)
	r.s.Attach(Link{})
	if r.s.Passes(0) {
		t.Fatal("it would pass the one that waits")
	}
	r.want(r.offer(0, "c"), Taken)
	r.wantSent("0:a 1:b 0:c")
	if !r.s.Passes(0) || r.s.Passes(1) {
		t.Fatal("nothing of QoS 0 waits any more")
	}
}

func TestMessageExpiry(t *testing.T) {
	r := newRig(t, Limits{})
	m := text("a/b", "x")
	m.Attrs = abi.Attributes(nil).AppendString(AttrExpiry, "10")
	m.Time = r.now
	expires := ExpiresAt(m.Attrs, m.Time)
	r.s.Offer(m, Copy{QoS: 1, Expires: expires}, r.now)
	r.s.Offer(m, Copy{QoS: 1, Expires: r.now + 3*second}, r.now)
	r.offer(1, "stays")
	r.now += 3*second + second/2
	r.s.Attach(Link{})
	o, _ := r.s.Next(r.now)
	if o.Expiry != 7 || !o.HasExpiry { // 10 less 3 whole seconds
		t.Fatalf("%+v", o)
	}
	r.wantSent("2:stays")
	r.want(r.s.Offer(m, Copy{QoS: 1, Expires: r.now}, r.now), DropExpired)
	if n := r.store.Counts().Outcomes[DropExpired]; n != 2 {
		t.Fatalf("%d have expired", n)
	}
	r.now += 100 * second
	r.s.Detach()
	r.s.Attach(Link{})
	if o, _ = r.s.Next(r.now); o.Expiry != 0 || !o.HasExpiry || !o.Dup { // begun, so it goes on
		t.Fatalf("%+v", o)
	}
}

// TestExpiredMakesRoom: what has expired is not in the way of what comes.
func TestExpiredMakesRoom(t *testing.T) {
	r := newRig(t, Limits{Messages: 40})
	for i := range 40 {
		r.s.Offer(text("a", fmt.Sprint(i)), Copy{QoS: 1, Expires: r.now + int64(1+i%2*9)*second}, r.now)
	}
	r.want(r.offer(1, "early"), DropMessages)
	r.now += 2 * second
	r.want(r.offer(1, "fits"), Taken)
	if r.s.Len() != 21 || r.store.Counts().Outcomes[DropExpired] != 20 {
		t.Fatalf("%d messages, %+v", r.s.Len(), r.store.Counts())
	}
	r.now += 20 * second
	r.s.Attach(Link{})
	r.wantSent("1:fits")
}

func TestRefusedAndAbandoned(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{Window: 3})
	for _, qos := range []uint8{1, 2, 1} {
		r.offer(qos, "x")
	}
	r.wantSent("1:x 2:x 3:x")
	if r.s.Pubrec(1, false) != Mismatched || r.s.Puback(2, false) != Mismatched || r.s.Pubcomp(2) != Mismatched {
		t.Fatal("an answer of the wrong kind")
	}
	r.s.Puback(1, true)
	r.s.Pubrec(2, true)
	r.s.Abandon(3)
	c := r.store.Counts()
	if r.s.Len() != 0 || c.Outcomes[DropRefused] != 2 || c.Outcomes[DropTooLarge] != 1 {
		t.Fatalf("%d left, %+v", r.s.Len(), c)
	}
	if r.s.Puback(1, false) != Unknown || r.s.Puback(0, false) != Unknown || r.s.Pubcomp(999) != Unknown {
		t.Fatal("nothing is in flight")
	}
}

func TestReceiveMaximum(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{Receive: 3})
	seq, _ := r.s.Receive(1, 1)
	r.s.Receive(2, 2)
	r.s.Receive(3, 2)
	if _, receipt := r.s.Receive(4, 1); receipt != Exceeded {
		t.Fatal(receipt)
	}
	r.s.Done(seq, 0)
	r.s.NextAck()
	if _, receipt := r.s.Receive(2, 1); receipt != InUse {
		t.Fatal(receipt)
	}
	if _, receipt := r.s.Receive(4, 1); receipt != New {
		t.Fatal(receipt)
	}
	// Exchanges of earlier connections do not count against a new one, but are
	// bound with it.
	for i := range 3 {
		r.s.Detach()
		r.s.Attach(Link{Receive: 3})
		for id := range uint16(3) {
			_, receipt := r.s.Receive(uint16(10*i)+id+10, 2)
			if want := map[bool]Receipt{true: New, false: Exceeded}[r.s.Unfinished() <= 6 && 3*i+int(id) < 4]; receipt != want {
				t.Fatalf("connection %d, publish %d: receipt %d, %d unfinished", i, id, receipt, r.s.Unfinished())
			}
		}
	}
}

// TestAckOrder: acknowledgements in the order of the publishes.
func TestAckOrder(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{})
	var seqs []uint64
	for id := range uint16(4) {
		seq, _ := r.s.Receive(id+1, uint8(id%2)+1)
		seqs = append(seqs, seq)
	}
	for _, i := range []int{2, 3, 1} {
		r.s.Done(seqs[i], 0)
	}
	if _, ok := r.s.NextAck(); ok || r.s.Owed() != 4 {
		t.Fatal("the first is not done")
	}
	r.s.Done(seqs[0], 0x10)
	for id := range uint16(4) {
		want := Ack{ID: id + 1, QoS: uint8(id%2) + 1}
		if id == 0 {
			want.Code = 0x10
		}
		if a, ok := r.s.NextAck(); !ok || a != want {
			t.Fatalf("%+v %v, want %+v", a, ok, want)
		}
	}
	if r.s.Done(seqs[0], 0) || r.s.Done(0, 0) || r.s.Done(1<<60, 0) {
		t.Fatal("a sequence number is good for one end")
	}
}

// TestIdentifiersAreKept: those of overlapping subscriptions come with the one
// copy.
func TestIdentifiersAreKept(t *testing.T) {
	r := newRig(t, Limits{})
	ids := []uint32{3, 1 << 27, 9}
	for _, n := range []int{0, 1, 2, 3, 3, 1} {
		r.s.Offer(text("a", "x"), Copy{QoS: 1, Identifiers: ids[:n]}, r.now)
	}
	clear(ids)
	r.s.Attach(Link{})
	for _, want := range []string{"[]", "[3]", "[3 134217728]", "[3 134217728 9]", "[3 134217728 9]", "[3]"} {
		if o, _ := r.s.Next(r.now); fmt.Sprint(o.Identifiers) != want {
			t.Fatalf("%v, want %v", o.Identifiers, want)
		}
	}
	if len(r.store.sets.sets) != 2 {
		t.Fatalf("%d sets", len(r.store.sets.sets))
	}
}

// TestDetachGivesBack: what a burst made grow goes when the connection does.
func TestDetachGivesBack(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{Receive: 500})
	for i := range uint16(200) {
		r.offer(1, "x")
		r.s.Receive(i+1, 1)
	}
	r.sent()
	for i := range uint16(200) {
		r.s.Puback(i+1, false)
	}
	r.s.Detach()
	if r.budget.Used() != 0 {
		t.Fatalf("%d bytes of the budget are kept", r.budget.Used())
	}
	r.s.Attach(Link{})
	r.offer(1, "y")
	r.wantSent("1:y")
}

// TestAwaySweep: what expires with clients that are away is given back, some
// sessions a tick.
func TestAwaySweep(t *testing.T) {
	r, away := newRig(t, Limits{}), NewAway()
	for i := range 10 {
		s := NewSession(r.store, uint64(i), &Limits{})
		s.Offer(text("a", fmt.Sprint(i)), Copy{QoS: 1, Expires: r.now + second}, r.now)
		away.Leave(s, 100, r.now)
	}
	r.now += 2 * second
	away.Sweep(r.now, 4)
	if n := r.store.Counts().Entries; n != 6 {
		t.Fatalf("%d are left after 4 sessions", n)
	}
	away.Sweep(r.now, 6)
	if n := r.store.Counts().Entries; n != 0 || r.budget.Used() != 0 {
		t.Fatalf("%d are left, %d bytes", n, r.budget.Used())
	}
}

// TestExpiredMakesRoomInBudget: so it is with the budget of all.
func TestExpiredMakesRoomInBudget(t *testing.T) {
	store := NewStore(NewBudget(2*(messageCost+64) + chunkCost))
	s := NewSession(store, 1, &Limits{})
	for i := range 2 {
		if o := s.Offer(text("a", fmt.Sprint(i)), Copy{QoS: 1, Expires: 10}, 1); o != Taken {
			t.Fatal(o)
		}
	}
	for _, now := range []int64{9, 11} {
		for i := range 3 {
			want := map[bool]Outcome{true: Taken, false: DropBudget}[now > 10 && i < 2]
			if o := s.Offer(text("a", fmt.Sprint("new", i)), Copy{QoS: 1}, now); o != want {
				t.Fatalf("at %d: %v, want %v", now, o, want)
			}
		}
	}
}

// TestUnfinishedIsBounded: a client of version 3.1.1, which knows no receive
// maximum, may leave as much unfinished as the budget has room for.
func TestUnfinishedIsBounded(t *testing.T) {
	budget := NewBudget(20_000)
	s := NewSession(NewStore(budget), 1, &Limits{})
	s.Attach(Link{})
	n := 0
	for id := uint16(1); ; id++ {
		if _, r := s.Receive(id, 2); r != New {
			if r != Exceeded {
				t.Fatal(r)
			}
			break
		}
		n++
	}
	if n < fewSlots || budget.Used() > budget.Limit() {
		t.Fatalf("%d unfinished, %d bytes of %d", n, budget.Used(), budget.Limit())
	}
}

// TestReleaseTakesNothing: what a session gives away does not come back to it.
func TestReleaseTakesNothing(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Presence()
	for _, p := range []string{"a", "b"} {
		r.s.Offer(text("t", p), Copy{QoS: 1, Group: 5}, r.now)
	}
	given := 0
	r.s.Release(func(m *Message, c Copy) {
		given++
		var again abi.Message
		m.Fill(&again)
		r.want(r.s.Offer(&again, c, r.now), DropMessages)
		if r.s.Presence().Level() != Full {
			t.Fatal("a group may pick it")
		}
	})
	if given != 2 || r.s.Len() != 0 || r.s.Presence().Level() != Absent {
		t.Fatalf("%d given, %d left", given, r.s.Len())
	}
}

// TestNames: every outcome has a name of its own, as metrics need it.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for o := range Outcome(NumOutcomes) {
		if name := o.String(); name == "" || seen[name] {
			t.Errorf("outcome %d is called %q", o, name)
		}
		seen[o.String()] = true
	}
	n := 0
	for o := range Drops() {
		if n++; !o.Dropped() {
			t.Errorf("%v", o)
		}
	}
	if n != NumOutcomes-2 || Outcome(NumOutcomes).String() != "unknown" {
		t.Error(n)
	}
}
