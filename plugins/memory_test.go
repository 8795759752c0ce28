package plugins

import (
	"bytes"
	"testing"
)

// TestKeptMemory: what was written into it is gone when it is taken, it is taken by who
// needs exactly so much, and no more is kept than may be.
func TestKeptMemory(t *testing.T) {
	const limit, most = 1 << 20, 256 << 10
	k := &keptMemory{most: most}
	made := func(limit, used uint64) *guestMemory {
		g := &guestMemory{kept: k, limit: limit, again: true}
		if half := g.Allocate(0, limit).Reallocate(used / 2); len(half) != int(used/2) {
			t.Fatalf("%d bytes, not %d", len(half), used/2)
		}
		memory := g.Reallocate(used)
		if len(memory) != int(used) || bytes.ContainsFunc(memory, func(r rune) bool { return r != 0 }) {
			t.Fatalf("%d bytes that are not zero, of %d", len(memory), used)
		}
		for i := range memory {
			memory[i] = 0xa5
		}
		return g
	}
	once := made(limit, 40<<10)
	once.again = false
	if once.Free(); k.held != 0 {
		t.Error("what nobody will want is kept")
	}
	g := made(limit, 40<<10)
	first := &g.reserved[0]
	g.Free()
	if k.held != 40<<10 || g.reserved != nil {
		t.Errorf("%d bytes are held", k.held)
	}
	if g := made(limit/2, 4<<10); &g.reserved[0] == first || len(g.reserved) != limit/2 {
		t.Error("one of another size was taken")
	}
	g = made(limit, 64<<10) // and more of it than before
	if &g.reserved[0] != first || k.held != 0 {
		t.Errorf("it was not taken, %d bytes are held", k.held)
	}
	all := []*guestMemory{g}
	for range 7 {
		all = append(all, made(limit, 60<<10))
	}
	for _, g := range all {
		g.Free()
	}
	if k.held > most || len(k.list) != 4 {
		t.Errorf("%d bytes are held of %d ranges", k.held, len(k.list))
	}
	made(limit, most/2).Free() // too much at once
	if len(k.list) != 3 {
		t.Errorf("%d ranges are held", len(k.list))
	}
	k.close()
	made(limit, 60<<10).Free()
	if k.held != 0 || k.list != nil {
		t.Errorf("closed, and it holds %d bytes", k.held)
	}
	(&guestMemory{kept: k}).Free()
	(&guestMemory{}).Free()
}

func BenchmarkMemory(b *testing.B) {
	const limit, used = 64 << 20, 2 << 20
	for _, kept := range []*keptMemory{nil, {most: 16 << 20}} {
		name := "new"
		if kept != nil {
			name = "kept"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				g := &guestMemory{kept: kept, limit: limit, again: true}
				memory := g.Allocate(0, limit).Reallocate(used)
				for i := 0; i < len(memory); i += 4096 {
					memory[i] = 1
				}
				g.Free()
			}
		})
	}
}
