package delivery_test

import (
	"sync"
	"testing"

	"github.com/weftrun/weft/runtime/delivery"
)

func TestRing(t *testing.T) {
	r := delivery.NewRing[int](5)
	for i := range 8 {
		if !r.Put(i) {
			t.Fatalf("no room for item %d of 8", i)
		}
	}
	if r.Put(8) {
		t.Error("a ring of 8 took 9")
	}
	for i := range 8 {
		if got, ok := r.Take(); !ok || got != i {
			t.Fatalf("took %d, %v; want %d", got, ok, i)
		}
	}
	if _, ok := r.Take(); ok {
		t.Error("an empty ring gave something")
	}
	if n := testing.AllocsPerRun(10, func() { r.Put(1); r.Take() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nothing that several put is lost, and what one has put stays in order.
func TestRingOfMany(t *testing.T) {
	r := delivery.NewRing[[2]int](64)
	const each = 10000
	var all sync.WaitGroup
	for who := range 3 {
		all.Go(func() {
			for i := 0; i < each; {
				if r.Put([2]int{who, i}) {
					i++
				}
			}
		})
	}
	var next [3]int
	for n := 0; n < 3*each; {
		got, ok := r.Take()
		if !ok {
			continue
		}
		if got[1] != next[got[0]] {
			t.Fatalf("%d's item %d came instead of %d", got[0], got[1], next[got[0]])
		}
		next[got[0]]++
		n++
	}
	all.Wait()
}
