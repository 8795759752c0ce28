package mqtt

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

func TestCutShare(t *testing.T) {
	for text, want := range map[string][3]string{
		"a/b":          {"", "a/b", "plain"},
		"$share/g/a/#": {"g", "a/#", "shared"},
		"$share/g//a":  {"g", "/a", "shared"},
		"$share/g":     {"", "", "bad"},
		"$share/g/":    {"", "", "bad"},
		"$share//a":    {"", "", "bad"},
		"$share/g+/a":  {"", "", "bad"},
		"$share/#/a":   {"", "", "bad"},
		"$shared/g/a":  {"", "$shared/g/a", "plain"},
		"$share":       {"", "$share", "plain"},
	} {
		group, filter, shared, err := CutShare(text)
		kind := map[bool]string{true: "shared", false: "plain"}[shared]
		if errors.Is(err, ErrShare) {
			kind = "bad"
		}
		if got := [3]string{group, filter, kind}; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// member is a session in a group, at one level of presence.
func member(id uint64, level uint32) Member {
	m := Member{Session: id, QoS: 2, Presence: new(Presence)}
	m.Presence.level.Store(level)
	return m
}

func TestPick(t *testing.T) {
	for _, c := range []struct {
		levels []uint32
		qos    uint8
		want   map[uint64]int // of 60 messages
	}{
		{[]uint32{Ready, Ready, Ready}, 1, map[uint64]int{0: 20, 1: 20, 2: 20}},
		{[]uint32{Ready, Behind, Ready}, 1, map[uint64]int{0: 20, 2: 40}},
		{[]uint32{Full, Absent, Behind}, 1, map[uint64]int{2: 60}},
		{[]uint32{Full, Absent, Gone}, 1, map[uint64]int{1: 60}},
		{[]uint32{Full, Behind, Absent}, 0, map[uint64]int{1: 60}},
		{[]uint32{Full, Absent}, 0, map[uint64]int{0: 60}},
		{[]uint32{Gone, Absent}, 0, map[uint64]int{1: 60}},
		{[]uint32{Gone, Full, Gone}, 1, map[uint64]int{1: 60}},
		{[]uint32{Gone}, 1, map[uint64]int{}},
	} {
		s := NewShared(0)
		var g *Group
		for i, level := range c.levels {
			g, _, _, _ = s.Join("g", "f", member(uint64(i), level))
		}
		got := map[uint64]int{}
		for range 60 {
			if m, ok := g.Pick(c.qos); ok {
				got[m.Session]++
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v at QoS %d: %v, want %v", c.levels, c.qos, got, c.want)
		}
	}
}

func TestJoinAndLeave(t *testing.T) {
	s := NewShared(2)
	g, first, joined, err := s.Join("g", "f", member(1, Ready))
	if !first || !joined || err != nil || s.Group(g.ID) != g {
		t.Fatal(first, joined, err)
	}
	if _, first, joined, _ = s.Join("g", "f", member(1, Ready)); first || joined || len(g.Members()) != 1 {
		t.Fatal("a subscription that is made again takes the place of the former")
	}
	s.Join("g", "f", member(2, Ready))
	if m, ok := g.Pick(1, 1); !ok || m.Session != 2 {
		t.Fatal("who was tried is not picked")
	}
	if _, ok := g.Pick(1, 1, 2); ok {
		t.Fatal("nobody is left")
	}
	s.Join("g", "other", member(1, Ready))
	if _, _, _, err = s.Join("h", "f", member(1, Ready)); !errors.Is(err, ErrGroups) {
		t.Fatal(err)
	}
	if left, last := s.Leave("g", "f", 1); left != g || last {
		t.Fatal("one is left")
	}
	if left, _ := s.Leave("g", "f", 1); left != nil {
		t.Fatal("it was no member any more")
	}
	if _, last := s.Leave("g", "f", 2); !last || s.Group(g.ID) != nil || s.Len() != 1 {
		t.Fatal("the group is gone")
	}
	for range 100 { // old ids name nobody new
		again, _, _, _ := s.Join("g", "f", member(1, Ready))
		if again.ID == g.ID || s.Group(g.ID) != nil || again.ID == 0 {
			t.Fatal("an id was used again at once")
		}
		s.Leave("g", "f", 1)
	}
}

// TestSharedTogether: members come and go while others pick (under -race).
func TestSharedTogether(t *testing.T) {
	s := NewShared(0)
	fixed := member(1, Ready)
	g, _, _, _ := s.Join("g", "f", fixed)
	var all sync.WaitGroup
	for w := range 2 {
		all.Go(func() {
			for i := range 2000 {
				s.Join("g", "f", member(uint64(10+w), uint32(i)%5))
				s.Join(fmt.Sprint(w, i%40), "f", fixed)
				s.Leave("g", "f", uint64(10+w))
				s.Leave(fmt.Sprint(w, i%30), "f", 1)
			}
		})
		all.Go(func() {
			for range 5000 {
				if _, ok := s.Group(g.ID).Pick(1); !ok {
					t.Error("nobody was picked")
					return
				}
			}
		})
	}
	all.Wait()
}

// TestPresence: what the session's loop says reaches those who pick.
func TestPresence(t *testing.T) {
	r := newRig(t, Limits{Messages: 3})
	p := r.s.Presence()
	want := func(level uint32) {
		t.Helper()
		if p.Level() != level {
			t.Fatalf("level %d, want %d", p.Level(), level)
		}
	}
	want(Absent)
	r.s.Attach(Link{Window: 1})
	want(Ready)
	r.offer(1, "a")
	want(Behind)
	r.wantSent("1:a")
	want(Behind) // the window is full
	r.offer(1, "b")
	r.offer(1, "c")
	want(Full)
	r.s.Puback(1, false)
	r.wantSent("2:b")
	r.s.Puback(2, false)
	r.wantSent("3:c")
	r.s.Puback(3, false)
	want(Ready)
	r.s.Detach()
	want(Absent)
	r.s.End()
	want(Gone)
}

func BenchmarkPick(b *testing.B) {
	b.ReportAllocs()
	s := NewShared(0)
	var g *Group
	for i := range 50 {
		g, _, _, _ = s.Join("g", "f", member(uint64(i), Ready))
	}
	for b.Loop() {
		s.Group(g.ID).Pick(1)
	}
}
