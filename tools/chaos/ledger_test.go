package main

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// delivered is a ledger whose every message is acknowledged, with a consumer of
// each kind, and deliveries in order.
func delivered(seed uint64, sources, each int) (*ledger, []stamp) {
	l := newLedger(seed, sources)
	l.consumer("counts", false)
	l.consumer("by id", true)
	var all []stamp
	for range each {
		for _, s := range l.sources {
			m := s.next()
			s.accepted(m.seq)
			all = append(all, m)
		}
	}
	return l, all
}

func (l *ledger) deliver(all []stamp) verdict {
	for _, c := range l.consumers {
		for _, m := range all {
			c.take(m.append(nil, 64), []byte(m.id()))
		}
	}
	return l.verdict()
}

func TestNothingWrong(t *testing.T) {
	l, all := delivered(7, 3, 100)
	v := l.deliver(all)
	if f := v.faults(true); len(f) > 0 {
		t.Error(f)
	}
	if v.Sent != 300 || v.Acknowledged != 300 || v.Consumers[0].Distinct != 300 {
		t.Errorf("%+v", v)
	}
	for _, c := range l.consumers {
		if n, _ := c.missing(); n != 0 {
			t.Errorf("%d missing", n)
		}
	}
}

// TestInjected injects a loss, a duplicate, another order and a stranger at random
// places, and expects exactly these.
func TestInjected(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		random := rand.New(rand.NewPCG(seed, 1))
		l, all := delivered(seed, rapid.IntRange(1, 5).Draw(t, "sources"), rapid.IntRange(3, 200).Draw(t, "each"))
		lost := all[random.IntN(len(all))]
		var given []stamp
		for _, m := range all {
			if m != lost {
				given = append(given, m)
			}
		}
		twice := random.IntN(len(given))
		given = append(given, given[twice])
		v := l.deliver(given)
		for i, o := range v.Consumers {
			again := [2]uint64{o.Duplicates, o.Repeated}
			if o.Lost != 1 || again[i] != 1 || again[1-i] != 0 || o.Reordered != 0 || o.Foreign != 0 {
				t.Errorf("%+v", o)
			}
			if want := fmt.Sprintf("lost: source %d, sequence %d of %d", lost.source, lost.seq, l.sources[lost.source].sent); o.Examples[0] != want {
				t.Errorf("%q, want %q", o.Examples, want)
			}
		}
		if f := v.faults(true); len(f) != 2 || v.lost() != 1 {
			t.Errorf("faults %q", f)
		}
	})
}

func TestReordered(t *testing.T) {
	l, all := delivered(1, 1, 10)
	all[3], all[4] = all[4], all[3]
	v := l.deliver(all)
	if got := v.Consumers[0].Reordered; got != 1 {
		t.Errorf("%d out of order, want 1", got)
	}
	if len(v.faults(true)) != 2 || len(v.faults(false)) != 0 {
		t.Errorf("%v, %v", v.faults(true), v.faults(false))
	}
}

// TestRedeliveryKeepsOrder: what was seen before may come again at any time.
func TestRedeliveryKeepsOrder(t *testing.T) {
	l, all := delivered(1, 1, 10)
	v := l.deliver(append(append(append([]stamp(nil), all[:6]...), all[2:6]...), all[6:]...))
	if f := v.faults(true); len(f) > 0 || v.Consumers[0].Duplicates != 4 || v.Consumers[1].Repeated != 4 {
		t.Errorf("%v, %+v", f, v)
	}
}

// TestTwoIDs: the id is what a consumer goes by, so that one message under two ids
// is two.
func TestTwoIDs(t *testing.T) {
	l, all := delivered(1, 2, 10)
	v := l.deliver(all)
	if len(v.faults(true)) > 0 {
		t.Fatal(v)
	}
	c := l.consumers[1]
	c.take(all[0].append(nil, 0), []byte("another"))
	if o := c.outcome(); o.Foreign != 1 {
		t.Errorf("%+v", o)
	}
	c.ids = map[string]bool{}
	c.take(all[0].append(nil, 0), []byte(all[0].id()))
	if o := c.outcome(); o.Duplicates != 1 {
		t.Errorf("%+v", o)
	}
}

// TestLostHealed: what comes after the last fault has no excuse.
func TestLostHealed(t *testing.T) {
	l := newLedger(1, 2)
	l.consumer("counts", false)
	for i := range 6 {
		if i == 4 {
			l.heal()
		}
		s := l.sources[i%2]
		s.accepted(s.next().seq)
	}
	if v := l.verdict(); v.lost() != 6 || v.lostHealed() != 2 {
		t.Errorf("%d lost, %d after the fault", v.lost(), v.lostHealed())
	}
}

func TestUnacknowledged(t *testing.T) {
	l := newLedger(1, 1)
	c := l.consumer("counts", false)
	heard, lost := l.sources[0].next(), l.sources[0].next()
	_ = lost
	c.take(heard.append(nil, 0), []byte(heard.id()))
	if v := l.verdict(); v.Consumers[0].Lost != 0 || v.Sent != 2 || len(v.faults(true)) != 1 {
		t.Errorf("%+v %v: what nobody acknowledged cannot be lost, and a run without acknowledgements proves nothing", v, v.faults(true))
	}
}

func TestForeign(t *testing.T) {
	l := newLedger(1, 1)
	c := l.consumer("counts", false)
	m := l.sources[0].next()
	other := stamp{seed: 2, source: 0, seq: 1}
	damaged := m.append(nil, 64)
	damaged[40] = 1
	for _, d := range []struct{ payload, id []byte }{
		{nil, nil}, {[]byte("hello"), nil}, {m.append(nil, 0), nil}, {damaged, []byte(m.id())}, {other.append(nil, 0), []byte(other.id())},
		{stamp{1, 9, 1, m.time}.append(nil, 0), []byte("1-9-1")}, {stamp{1, 0, 0, m.time}.append(nil, 0), []byte("1-0-0")},
	} {
		before := c.outcome().Foreign
		c.take(d.payload, d.id)
		if c.outcome().Foreign != before+1 {
			t.Errorf("%q %q is taken for ours", d.payload, d.id)
		}
	}
}

// TestWorker: no order is promised to a worker, and its frames may bear no id; what it
// was never given is missing nevertheless, and another message's id is foreign.
func TestWorker(t *testing.T) {
	l, all := delivered(7, 1, 10)
	for _, m := range all {
		for _, c := range l.consumers {
			c.take(m.append(nil, 64), []byte(m.id()))
		}
	}
	w := l.worker("queue")
	w.take(all[1].append(nil, 64), nil)
	w.take(all[0].append(nil, 64), nil)
	w.take(all[0].append(nil, 64), nil)
	v := l.verdict()
	if o := v.Consumers[2]; o.Lost != 8 || o.Reordered != 1 || o.Repeated != 1 || !o.Unordered || o.Foreign != 0 {
		t.Errorf("%+v", o)
	}
	if f := v.faults(true); len(f) != 1 || f[0] != "queue: 8 lost" {
		t.Error(f)
	}
	w.take(all[2].append(nil, 64), []byte(all[3].id()))
	if f := l.verdict(); f.Consumers[2].Foreign != 1 {
		t.Errorf("%+v", f.Consumers[2])
	}
}
