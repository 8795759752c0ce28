package mqtt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
)

// What MQTT brokers get wrong most often, as far as it is a matter of state. One
// test each, by the name of the mistake.

// DUP not set on redelivery.
func TestMistakeDupNotSetOnRedelivery(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{Window: 2})
	r.offer(1, "a")
	r.offer(2, "b")
	r.offer(1, "c") // behind the window: never sent
	r.wantSent("1:a 2:b")
	for range 2 {
		r.s.Detach()
		r.s.Attach(Link{Window: 10})
		r.wantSent(map[bool]string{true: "1:a! 2:b! 3:c", false: "1:a! 2:b! 3:c!"}[r.s.InFlight() == 2])
	}
}

// QoS 2 state broken on resume: our half.
func TestMistakeQoS2BrokenOnResumeToClient(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{})
	for _, p := range []string{"a", "b", "c"} {
		r.offer(2, p)
	}
	r.wantSent("1:a 2:b 3:c")
	r.s.Pubrec(1, false)
	r.s.Pubrec(2, false)
	r.s.Pubcomp(2)
	r.s.Detach()
	r.s.Attach(Link{Window: 1}) // a PUBREL is due whatever the window
	r.wantSent("~1")
	if r.s.Pubcomp(1) != Matched {
		t.Fatal("the exchange behind PUBREC is gone")
	}
	r.wantSent("3:c!")
	if r.s.Pubrec(3, false) != Matched || r.s.Pubcomp(3) != Matched || r.s.Len() != 0 {
		t.Fatal("the exchange was not resumed")
	}
	if r.s.Pubrec(9, false) != Unknown {
		t.Fatal("an id that nobody used must be answered with 0x92")
	}
}

// QoS 2 state broken on resume: the client's half. The message is entered once,
// however often the client sends it, until PUBREL.
func TestMistakeQoS2BrokenOnResumeFromClient(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{})
	seq, receipt := r.s.Receive(5, 2)
	if receipt != New {
		t.Fatal(receipt)
	}
	r.s.Detach() // before its way has ended
	r.s.Attach(Link{})
	if _, again := r.s.Receive(5, 2); again != Duplicate {
		t.Fatalf("receipt %d while it is on its way", again)
	}
	if _, ok := r.s.NextAck(); ok {
		t.Fatal("PUBREC before the message has ended its way")
	}
	if !r.s.Done(seq, 0) {
		t.Fatal("its end is not known after the reconnect")
	}
	if a, ok := r.s.NextAck(); !ok || a != (Ack{ID: 5, QoS: 2}) {
		t.Fatalf("%+v, %v", a, ok)
	}
	r.s.Detach() // PUBREC may be lost
	r.s.Attach(Link{})
	if _, again := r.s.Receive(5, 2); again != Duplicate {
		t.Fatalf("receipt %d behind PUBREC", again)
	}
	if a, ok := r.s.NextAck(); !ok || a.ID != 5 {
		t.Fatal("no PUBREC for the duplicate")
	}
	if !r.s.Pubrel(5) || r.s.Pubrel(5) {
		t.Fatal("PUBREL ends the exchange, once")
	}
	if _, receipt = r.s.Receive(5, 2); receipt != New {
		t.Fatal("the id is free after PUBREL")
	}
}

// Expiry deleting a QoS 2 exchange after PUBREC; and one whose delivery began.
func TestMistakeExpiryDeletesQoS2AfterPubrec(t *testing.T) {
	r := newRig(t, Limits{})
	r.s.Attach(Link{Window: 2})
	for _, p := range []string{"a", "b", "c"} {
		r.s.Offer(text("a/b", p), Copy{QoS: 2, Expires: r.now + second}, r.now)
	}
	r.wantSent("1:a 2:b")
	r.s.Pubrec(1, false)
	r.now += 10 * second
	r.s.Sweep(r.now)
	r.s.Detach()
	r.s.Attach(Link{})
	r.wantSent("~1 2:b!")
	if r.s.Pubcomp(1) != Matched || r.s.Pubrec(2, false) != Matched || r.s.Pubcomp(2) != Matched {
		t.Fatal("expiry ended an exchange")
	}
	if got := r.store.Counts().Outcomes[DropExpired]; got != 1 {
		t.Fatalf("%d have expired, want the one whose delivery had not begun", got)
	}
}

// Another user inheriting a session by its client id.
func TestMistakeSessionInheritedByClientID(t *testing.T) {
	r := newRig(t, Limits{})
	clients := NewClients(10)
	alice, mallory := Key{"alice", "sensor"}, Key{"mallory", "sensor"}
	if err := clients.Put(alice, r.s); err != nil {
		t.Fatal(err)
	}
	if clients.Find(mallory) != nil {
		t.Fatal("mallory found alice's session")
	}
	other := NewSession(r.store, 8, &Limits{})
	if err := clients.Put(mallory, other); err != nil || clients.Find(alice) != r.s {
		t.Fatal("mallory's session took the place of alice's")
	}
	clients.Remove(alice, other)
	if clients.Find(alice) != r.s {
		t.Fatal("alice's session was removed for another's")
	}
}

// Takeover: the will of the old connection follows the same rules as a lost one,
// and the session goes on (0x8E itself is the server's).
func TestMistakeTakeoverWithoutWillRules(t *testing.T) {
	for _, c := range []struct {
		delay, expiry uint32
		will, ended   bool
	}{
		{0, 100, true, false},   // due with the connection's end
		{50, 100, false, false}, // the client is back in time
		{50, 0, true, true},     // the session ends with its connection
	} {
		r, away := newRig(t, Limits{}), NewAway()
		r.s.SetWill(text("will", "gone"), c.delay)
		r.s.Attach(Link{})
		away.Leave(r.s, c.expiry, r.now)
		will, ended := false, false
		for d, ok := away.Due(r.now); ok; d, ok = away.Due(r.now) {
			will, ended = will || d.Will != nil, ended || d.Ended
		}
		if !ended {
			away.Return(r.s)
		}
		if will != c.will || ended != c.ended || away.Len() != 0 {
			t.Errorf("%+v: will %v, ended %v, %d away", c, will, ended, away.Len())
		}
		if _, ok := away.Due(r.now + 1000*second); ok {
			t.Errorf("%+v: something is due after the return", c)
		}
	}
}

// Retained sent again on takeover: attaching sends what is in flight, and
// nothing that was not asked for by a SUBSCRIBE.
func TestMistakeRetainedSentAgainOnTakeover(t *testing.T) {
	r := newRig(t, Limits{})
	retained := NewRetained(RetainedLimits{})
	retained.Set(text("a/b", "kept"), 0)
	var replay Replay
	r.s.Attach(Link{})
	replay.Add("a/#", Copy{QoS: 1})
	page, c := replay.Next(retained, r.s, r.now)
	var m abi.Message
	page[0].Fill(&m)
	r.s.Offer(&m, c, r.now)
	r.wantSent("1:kept")
	r.s.Puback(1, false)
	r.s.Detach()
	r.s.Attach(Link{})
	r.wantSent("")
	if replay.Pending() {
		t.Fatal("the replay begins anew")
	}
}

// Retained stale: a page holds what is retained when it is taken, also of
// topics that the replay has waited for.
func TestMistakeRetainedStale(t *testing.T) {
	r := newRig(t, Limits{})
	retained := NewRetained(RetainedLimits{})
	for i := range 3 * PageLen {
		retained.Set(text(fmt.Sprintf("t/%04d", i), "old"), 0)
	}
	var replay Replay
	r.s.Attach(Link{})
	replay.Add("t/+", Copy{})
	replay.Next(retained, r.s, r.now)
	for i := range 3 * PageLen {
		retained.Set(text(fmt.Sprintf("t/%04d", i), "new"), 0)
	}
	retained.Set(text("t/0095", ""), 0)
	n := 0
	for replay.Ready(r.s) {
		page, _ := replay.Next(retained, r.s, r.now)
		for _, m := range page {
			n++
			if string(m.Payload) != "new" || string(m.Topic) == "t/0095" {
				t.Fatalf("%s: %s", m.Topic, m.Payload)
			}
		}
	}
	if n != 2*PageLen-1 {
		t.Fatalf("%d messages, want %d", n, 2*PageLen-1)
	}
}

// A retained message's bytes are its own: what the publisher's buffer says later
// changes nothing.
func TestMistakeRetainedCorrupt(t *testing.T) {
	retained := NewRetained(RetainedLimits{})
	m := text("a", "before")
	m.Attrs = abi.Attributes(nil).AppendString("k", "v")
	retained.Set(m, 0)
	copy(m.Topic, "XXXXXXXX")
	copy(m.Payload, "XXXXXXXX")
	copy(m.Attrs, "XXXXXXXX")
	got := retained.Get("a", 0)
	if v, _ := got.Attrs.Get("k"); string(got.Topic) != "a" || string(got.Payload) != "before" || string(v) != "v" {
		t.Fatalf("%s %s %s", got.Topic, got.Payload, v)
	}
}

// A burst of retained messages dropped by queue limits.
func TestMistakeRetainedBurstDropped(t *testing.T) {
	const topics = 10_000
	r := newRig(t, Limits{Messages: 20})
	retained := NewRetained(RetainedLimits{})
	for i := range topics {
		retained.Set(text(fmt.Sprintf("t/%d/x", i), "v"), 0)
	}
	var replay Replay
	r.s.Attach(Link{Window: 3})
	replay.Add("t/+/x", Copy{QoS: 1})
	got, live := map[string]int{}, 0
	for range 10 * topics {
		for replay.Ready(r.s) {
			page, c := replay.Next(retained, r.s, r.now)
			for _, kept := range page {
				var m abi.Message
				kept.Fill(&m)
				r.want(r.s.Offer(&m, c, r.now), Taken)
			}
			if len(page) > 0 {
				break
			}
		}
		if live < 100 && r.s.Room() > 0 {
			r.want(r.s.Offer(text("live", "l"), Copy{QoS: 1}, r.now), Taken)
			live++
		}
		o, ok := r.s.Next(r.now)
		if !ok {
			break
		}
		if o.Retain {
			got[string(o.Message.Topic)]++
		}
		r.s.Puback(o.ID, false)
	}
	if len(got) != topics || replay.Pending() {
		t.Fatalf("%d of %d arrived, pending %v", len(got), topics, replay.Pending())
	}
	for drop := range Drops() {
		if n := r.store.Counts().Outcomes[drop]; n != 0 {
			t.Errorf("%d dropped: %v", n, drop)
		}
	}
}

// A burst of retained messages dropped by limits in bytes, of the session and of
// all sessions together.
func TestMistakeRetainedBurstDroppedByBytes(t *testing.T) {
	const topics = 300
	budget := NewBudget(12_000)
	store := NewStore(budget)
	s, other := NewSession(store, 1, &Limits{Bytes: 5000}), NewSession(store, 2, &Limits{})
	retained := NewRetained(RetainedLimits{})
	for i := range topics {
		retained.Set(text(fmt.Sprintf("t/%03d", i), strings.Repeat("x", 1+i*7%1800)), 0)
	}
	var replay Replay
	s.Attach(Link{Window: 4})
	replay.Add("t/#", Copy{QoS: 1})
	got, back := 0, 0
	for turn := range 20 * topics {
		if turn < 200 { // others take what there is, for a while
			other.Offer(text("o", strings.Repeat("y", 1000+turn)), Copy{QoS: 1}, 0)
		} else if turn == 200 {
			other.End()
		}
		if replay.Ready(s) {
			page, c := replay.Next(retained, s, 0)
			for _, kept := range page {
				var m abi.Message
				kept.Fill(&m)
				if o := s.Offer(&m, c, 0); o == DropBudget {
					replay.Back(s, kept)
					back++
					break
				} else if o != Taken {
					t.Fatalf("%s: %v", m.Topic, o)
				}
			}
		}
		if o, ok := s.Next(0); ok {
			if want := fmt.Sprintf("t/%03d", got); string(o.Message.Topic) != want {
				t.Fatalf("%s, want %s", o.Message.Topic, want)
			}
			got++
			if turn%3 == 0 {
				continue
			}
		}
		for id := s.out.head; id != 0; id = s.out.head {
			s.Puback(id, false)
		}
	}
	if got != topics || back == 0 || replay.Pending() {
		t.Fatalf("%d of %d arrived, %d were taken back", got, topics, back)
	}
}

// In-flight messages of a shared subscription lost when a member dies.
func TestMistakeSharedInFlightLost(t *testing.T) {
	r := newRig(t, Limits{})
	shared := NewShared(0)
	other := NewSession(r.store, 8, &Limits{})
	g, _, _, _ := shared.Join("g", "a/#", Member{Session: 7, QoS: 2, Presence: r.s.Presence()})
	shared.Join("g", "a/#", Member{Session: 8, QoS: 2, Presence: other.Presence()})
	r.s.Attach(Link{Window: 3})
	offer := func(qos uint8, payload string, group uint32) {
		r.want(r.s.Offer(text("a/b", payload), Copy{QoS: qos, Group: group}, r.now), Taken)
	}
	offer(1, "acked", g.ID)
	offer(1, "flying1", g.ID)
	offer(2, "flying2", g.ID)
	offer(2, "waiting2", g.ID)
	offer(1, "own", 0)
	offer(1, "waiting1", g.ID)
	offer(2, "waiting2b", g.ID)
	r.wantSent("1:acked 2:flying1 3:flying2")
	r.s.Puback(1, false)
	r.wantSent("4:waiting2") // the window opened
	r.s.Detach()
	shared.Leave("g", "a/#", 7)
	var given []string
	r.s.Release(func(m *Message, c Copy) {
		to, ok := shared.Group(c.Group).Pick(c.QoS, 7)
		if !ok || to.Session != 8 {
			t.Fatalf("%+v %v", to, ok)
		}
		var again abi.Message
		m.Fill(&again)
		r.want(other.Offer(&again, Copy{QoS: min(c.QoS, to.QoS), Group: c.Group, Expires: c.Expires}, r.now), Taken)
		given = append(given, string(m.Payload))
	})
	// A QoS 2 message that the member may have is not given to another
	// (MQTT-4.8.2-5).
	if got := strings.Join(given, " "); got != "flying1 waiting1 waiting2b" {
		t.Fatalf("given on: %s", got)
	}
	r.s.End()
	other.Attach(Link{})
	if o, ok := other.Next(r.now); !ok || o.Dup || string(o.Message.Payload) != "flying1" {
		t.Fatalf("%+v", o)
	}
}
