package backbone_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
)

// Many records under way at once stay in order, whatever comes between: duplicates, and
// delayed records that become due, which another writer brings.
func TestRecordsInFlightStayInOrder(t *testing.T) {
	b := open(t, func(o *backbone.Options) { o.SyncEvery = time.Second })
	l := openLog(t, b, backbone.LogOptions{Window: time.Hour})
	const all, delayed = 6000, 40
	var wg sync.WaitGroup
	var mu sync.Mutex
	duplicates, order := 0, []uint64{}
	put := func(id string, delay time.Duration, text []byte) {
		wg.Add(1)
		if err := l.Append(id, delay, text, func(a backbone.Appended) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.Err != nil:
				t.Error(a.Err)
			case a.Duplicate:
				duplicates++
			case delay == 0:
				order = append(order, a.Seq)
			}
		}); err != nil {
			t.Error(err)
		}
	}
	for i := range delayed {
		put(fmt.Sprint("delayed ", i), time.Duration(i)*10*time.Millisecond+time.Millisecond, []byte("late"))
	}
	again := 0
	for i := range all {
		put(someID(i), 0, record(i))
		if i%97 == 96 {
			again++
			put(someID(i-50), 0, record(i-50))
		}
	}
	wg.Wait()
	if duplicates != again || len(order) != all {
		t.Errorf("%d duplicates, want %d; %d kept", duplicates, again, len(order))
	}
	for i := 1; i < len(order); i++ {
		if order[i] <= order[i-1] {
			t.Fatalf("record %d has the number %d behind %d", i, order[i], order[i-1])
		}
	}
	next := 0
	for _, e := range follow(t, l, 0, all+delayed) {
		if string(e.Record) == "late" {
			continue
		}
		if got := numberOf(e.Record); got != next || e.Seq != order[next] || e.Skipped != 0 {
			t.Fatalf("%d at %d, want %d at %d; skipped %d", got, e.Seq, next, order[next], e.Skipped)
		}
		next++
	}
}

// What Append and the answer to a record cost in memory, of a batch of any size: no more
// than a few pieces a record.
func TestAppendAllocates(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	b := open(t, func(o *backbone.Options) { o.SyncEvery = time.Second })
	l := openLog(t, b, backbone.LogOptions{})
	text := make([]byte, 256)
	var wg sync.WaitGroup
	done := func(backbone.Appended) { wg.Done() }
	const many = 2000
	once := func() {
		wg.Add(many)
		for range many {
			if err := l.Append("", 0, text, done); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
	}
	once()
	if got := testing.AllocsPerRun(20, once) / many; got > 3 {
		t.Errorf("%.2f allocations a record, with the server's", got)
	}
}
