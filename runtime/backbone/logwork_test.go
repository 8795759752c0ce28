package backbone_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
)

func work(t testing.TB, l *backbone.Log, o backbone.WorkOptions) *backbone.Worker {
	t.Helper()
	if o.Name == "" {
		o.Name = "work of 1"
	}
	w, err := l.Work(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestWorkTriesAgain(t *testing.T) {
	for name, id := range map[string]func(int) string{"groups": noID, "ids": someID} {
		t.Run(name, func(t *testing.T) {
			l := openLog(t, open(t, nil), backbone.LogOptions{Tries: 3})
			seqs := appendAll(t, l, 0, 1000, id)
			w := work(t, l, backbone.WorkOptions{Batch: 50})
			tries := make(map[uint64]int)
			last := -1
			for answered := 0; answered < 1000; {
				entries, err := w.Next(t.Context())
				if err != nil || len(entries) > 50 {
					t.Fatal(len(entries), err)
				}
				for _, e := range entries {
					tries[e.Seq]++
					if e.Tries != tries[e.Seq] || e.Last != (e.Tries == 3) {
						t.Fatalf("%+v, it was here %d times", e, tries[e.Seq])
					}
					i := numberOf(e.Record)
					if e.Tries == 1 {
						if i != last+1 || e.Seq != seqs[i] {
							t.Fatalf("%s behind %d", e.Record, last)
						}
						last = i
					}
					switch {
					case i%7 == 0 && !e.Last:
						err = e.Retry(20 * time.Millisecond)
					case i%7 == 0:
						err = e.Drop()
						answered++
					default:
						err = e.Ack()
						answered++
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			for i, seq := range seqs {
				if want := 1 + 2*min(1, max(0, 1-i%7)); tries[seq] != want {
					t.Fatalf("%d: %d tries, want %d", i, tries[seq], want)
				}
			}
		})
	}
}

func TestWorkIsSharedAndHandedOver(t *testing.T) {
	l := openLog(t, open(t, nil), backbone.LogOptions{Messages: 1e6})
	one, two := work(t, l, backbone.WorkOptions{MaxPending: 20}), work(t, l, backbone.WorkOptions{MaxPending: 20})
	appendAll(t, l, 0, 200, noID)
	var mu sync.Mutex
	seen, answered := make(map[uint64]int), 0
	// The first takes some, answers half of them, and leaves.
	entries, err := one.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if i%2 == 0 {
			seen[e.Seq]++
			answered++
			if err := e.Ack(); err != nil {
				t.Fatal(err)
			}
		}
	}
	one.Close()
	if err := entries[0].Ack(); err == nil {
		t.Fatal("an entry of a closed worker")
	}
	for answered < 200 {
		entries, err := two.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) > 20 {
			t.Fatalf("%d entries are pending", len(entries))
		}
		mu.Lock()
		for _, e := range entries {
			seen[e.Seq]++
			answered++
			if err := e.Ack(); err != nil {
				t.Fatal(err)
			}
		}
		mu.Unlock()
	}
	for seq, n := range seen {
		if n != 1 {
			t.Fatalf("%d: %d times", seq, n)
		}
	}
	two.Close()
	// The position outlives the workers.
	appendAll(t, l, 200, 201, noID)
	three := work(t, l, backbone.WorkOptions{MaxPending: 20})
	if entries, err = three.Next(t.Context()); err != nil || len(entries) != 1 || numberOf(entries[0].Record) != 200 {
		t.Fatal(entries, err)
	}
}

// A worker that takes its time keeps its entries.
func TestWorkGivesSignsOfLife(t *testing.T) {
	t.Parallel()
	const wait = 5 * time.Second // a sign is given every third of it
	l := openLog(t, open(t, nil), backbone.LogOptions{})
	w := work(t, l, backbone.WorkOptions{Wait: wait})
	seqs := appendAll(t, l, 0, 1, noID)
	entries, err := w.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	another := work(t, l, backbone.WorkOptions{Wait: wait})
	time.AfterFunc(wait*5/2, func() { appendAll(t, l, 1, 2, noID) })
	got := make(chan backbone.Entry, 10)
	for _, w := range []*backbone.Worker{w, another} {
		go func() {
			for {
				entries, err := w.Next(t.Context())
				if err != nil {
					return
				}
				for _, e := range entries {
					got <- e
				}
			}
		}()
	}
	if e := <-got; e.Seq == seqs[0] {
		t.Fatalf("handed out twice: %+v", e)
	}
	if err := entries[0].Ack(); err != nil {
		t.Fatal(err)
	}
}

func TestWorkBeginsWhereItIsTold(t *testing.T) {
	l := openLog(t, open(t, nil), backbone.LogOptions{})
	seqs := appendAll(t, l, 0, 1000, noID)
	w := work(t, l, backbone.WorkOptions{From: seqs[777], Batch: 1000})
	for i := 777; i < 1000; {
		entries, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if numberOf(e.Record) != i {
				t.Fatalf("%s, want %d", e.Record, i)
			}
			i++
			if err := e.Ack(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.EndWork(t.Context(), "nobody's"); err != nil {
		t.Fatal(err)
	}
}

// What nobody answers for takes no more memory than it may: the server hands out fewer
// messages then, and all of them come in the end.
func TestWorkBoundsWhatItHolds(t *testing.T) {
	const records, size = 1500, 10_000
	l := openLog(t, open(t, nil), backbone.LogOptions{})
	var wg sync.WaitGroup
	for i := range records {
		wg.Add(1)
		b := make([]byte, size)
		copy(b, record(i))
		if err := l.Append(someID(i), 0, b, func(a backbone.Appended) {
			defer wg.Done()
			if a.Err != nil {
				t.Error(a.Err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	w := work(t, l, backbone.WorkOptions{MaxBytes: 100 * size})
	held, _ := takeUntilQuiet(t, w)
	if len(held) < 256 || len(held) >= 1000 {
		t.Errorf("%d records are handed out and not answered", len(held))
	}
	for n := len(held); ; {
		for i := range held {
			if err := held[i].Ack(); err != nil {
				t.Fatal(err)
			}
		}
		if n == records {
			return
		}
		var err error
		if held, err = w.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		n += len(held)
	}
}

// takeUntilQuiet takes entries until none come for a while.
func takeUntilQuiet(t testing.TB, w *backbone.Worker) (all []backbone.Entry, err error) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		entries, err := w.Next(ctx)
		cancel()
		if err != nil {
			return all, err
		}
		all = append(all, entries...)
	}
}
