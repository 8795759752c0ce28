package engine

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestOutboxModel compares the outbox with a plain list of units: what is written,
// in pieces of any size, is every unit whole, the partly written one first, then
// the highest priority, each in order; dropOldest takes the oldest of the lowest.
func TestOutboxModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &Loop{}
		o := l.takeBox()
		m := &outboxModel{}
		next := byte(0)
		t.Repeat(map[string]func(*rapid.T){
			"borrow": func(t *rapid.T) {
				unit, p := m.draw(t, &next)
				o.borrow(l, unit, p)
			},
			"own": func(t *rapid.T) {
				o.keep(l) // as in the engine: a blocked outbox borrows nothing
				unit, p := m.draw(t, &next)
				o.own(l, unit, p)
				for i := range unit {
					unit[i] = 0xee // the caller's bytes may change
				}
			},
			"keep": func(*rapid.T) { o.keep(l) },
			"write": func(t *rapid.T) {
				if o.empty() {
					t.Skip()
				}
				runs := o.gather(nil, rapid.SampledFrom([]int{1, 2, maxRuns}).Draw(t, "runs"))
				all := bytes.Join(runs, nil)
				n := rapid.IntRange(0, len(all)).Draw(t, "n")
				want := m.write(n)
				if !bytes.Equal(all[:n], want) {
					t.Fatalf("wrote %x, want %x", all[:n], want)
				}
				o.advance(l, n)
			},
			"drop": func(t *rapid.T) {
				ceiling := uint8(rapid.IntRange(0, 7).Draw(t, "ceiling"))
				size, ok := o.dropOldest(l, ceiling)
				if want, there := m.drop(ceiling); ok != there || size != want {
					t.Fatalf("dropped %d, %t, want %d, %t", size, ok, want, there)
				}
			},
			"": func(t *rapid.T) {
				if size, units := m.size(); o.bytes != size || o.units != units || o.empty() != (units == 0) {
					t.Fatalf("%d bytes, %d units; want %d and %d", o.bytes, o.units, size, units)
				}
			},
		})
		l.giveBox(o)
	})
}

type outboxModel struct {
	cut   []byte
	lanes [Priorities][][]byte
}

// draw makes a unit whose bytes name it, and adds it.
func (m *outboxModel) draw(t *rapid.T, next *byte) ([]byte, uint8) {
	size := rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, 3*largeChunk)).Draw(t, "size")
	p := rapid.SampledFrom([]uint8{0, 0, 0, 3, 7}).Draw(t, "priority")
	*next++
	unit := bytes.Repeat([]byte{*next}, size)
	m.lanes[p] = append(m.lanes[p], bytes.Clone(unit))
	return unit, p
}

func (m *outboxModel) write(n int) (out []byte) {
	for n > 0 {
		if len(m.cut) == 0 {
			for p := Priorities - 1; p >= 0; p-- {
				if len(m.lanes[p]) > 0 {
					m.cut, m.lanes[p] = m.lanes[p][0], m.lanes[p][1:]
					break
				}
			}
		}
		k := min(n, len(m.cut))
		out = append(out, m.cut[:k]...)
		m.cut = m.cut[k:]
		n -= k
	}
	return out
}

func (m *outboxModel) drop(ceiling uint8) (int, bool) {
	for p := range m.lanes {
		if len(m.lanes[p]) > 0 {
			if p > int(ceiling) {
				return 0, false
			}
			size := len(m.lanes[p][0])
			m.lanes[p] = m.lanes[p][1:]
			return size, true
		}
	}
	return 0, false
}

func (m *outboxModel) size() (size, units int) {
	if len(m.cut) > 0 {
		size, units = len(m.cut), 1
	}
	for _, lane := range m.lanes {
		for _, u := range lane {
			size += len(u)
			units++
		}
	}
	return size, units
}

// TestMerge: units that follow each other in one array become one run.
func TestMerge(t *testing.T) {
	l := &Loop{}
	o := l.takeBox()
	turn := make([]byte, 0, 1000)
	for i := range 100 {
		from := len(turn)
		turn = append(turn, fmt.Sprintf("unit %2d\n", i)...)
		o.borrow(l, turn[from:], 0)
	}
	if runs := o.gather(nil, maxRuns); len(runs) != 1 || !bytes.Equal(runs[0], turn) {
		t.Fatalf("%d runs", len(runs))
	}
	o.borrow(l, []byte("elsewhere"), 0)
	if runs := o.gather(nil, maxRuns); len(runs) != 2 {
		t.Fatalf("%d runs", len(runs))
	}
}

// TestSendDoesNotAllocate: queueing and writing units in steady state.
func TestSendDoesNotAllocate(t *testing.T) {
	l := &Loop{}
	unit := make([]byte, 128)
	n := testing.AllocsPerRun(100, func() {
		o := l.takeBox()
		for i := range 64 {
			o.borrow(l, unit, uint8(i))
		}
		l.runs = o.gather(l.runs[:0], maxRuns)
		o.advance(l, 1000)
		o.keep(l)
		o.advance(l, o.bytes)
		l.giveBox(o)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestWheel compares the wheel with a list of due times.
func TestWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &wheel{tick: rapid.Int64Range(1, 100).Draw(t, "tick")}
		conns := make([]*Conn, 20)
		want := map[*Conn]int64{}
		for i := range conns {
			conns[i] = &Conn{}
		}
		now := int64(1)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				c := rapid.SampledFrom(conns).Draw(t, "conn")
				due := now + rapid.Int64Range(-10, 2*wheelSlots*w.tick).Draw(t, "in")
				w.set(c, due)
				want[c] = max(due, now) // what is overdue fires at the next tick
			},
			"unset": func(t *rapid.T) {
				c := rapid.SampledFrom(conns).Draw(t, "conn")
				w.unset(c)
				delete(want, c)
			},
			"expire": func(t *rapid.T) {
				now += rapid.Int64Range(0, 3*wheelSlots*w.tick).Draw(t, "later")
				for _, c := range w.expire(now, nil) {
					if due, there := want[c]; !there || due > now {
						t.Fatalf("fired at %d, due %d, %t", now, due, there)
					}
					delete(want, c)
				}
				for _, due := range want {
					if due+2*w.tick < now {
						t.Fatalf("due at %d and not fired at %d", due, now)
					}
				}
			},
		})
	})
}
