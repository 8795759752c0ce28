package backbone_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
)

func open(t testing.TB, change func(*backbone.Options)) *backbone.Backbone {
	t.Helper()
	o := backbone.Options{Node: "one", Dir: t.TempDir(), Size: 1 << 30, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	b, err := backbone.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func openLog(t testing.TB, b *backbone.Backbone, o backbone.LogOptions) *backbone.Log {
	t.Helper()
	if o.Name == "" {
		o.Name = "a route/1"
	}
	l, err := b.Log(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// appendAll appends records with the numbers [from, to), waits for their answers,
// and returns their numbers in the log.
func appendAll(t testing.TB, l *backbone.Log, from, to int, id func(i int) string) []uint64 {
	t.Helper()
	seqs := make([]uint64, to-from)
	var wg sync.WaitGroup
	for i := from; i < to; i++ {
		wg.Add(1)
		if err := l.Append(id(i), 0, record(i), func(a backbone.Appended) {
			defer wg.Done()
			if a.Err != nil || a.Duplicate {
				t.Errorf("answer %d: %+v", i, a)
			}
			seqs[i-from] = a.Seq
		}); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if !slices.IsSorted(seqs) {
		t.Fatal("the numbers are not in order")
	}
	return seqs
}

func noID(int) string     { return "" }
func someID(i int) string { return fmt.Sprint("id ", i) }
func record(i int) []byte { return fmt.Append(nil, "record ", i) }

// numberOf is i of record(i), whatever zeros follow; -1 if it is none.
func numberOf(b []byte) int {
	n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimRight(string(b), "\x00"), "record "))
	if err != nil {
		return -1
	}
	return n
}

// follow reads n records from a number on.
func follow(t testing.TB, l *backbone.Log, from uint64, n int) (entries []backbone.Entry) {
	t.Helper()
	f, err := l.Follow(t.Context(), from, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for len(entries) < n {
		more, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(more) > 100 {
			t.Fatalf("%d entries at once", len(more))
		}
		for _, e := range more {
			e.Record = bytes.Clone(e.Record)
			entries = append(entries, e)
		}
	}
	return entries
}

func TestLogKeepsOrderAndNumbers(t *testing.T) {
	for name, id := range map[string]func(int) string{"groups": noID, "ids": someID} {
		t.Run(name, func(t *testing.T) {
			l := openLog(t, open(t, nil), backbone.LogOptions{})
			seqs := appendAll(t, l, 0, 3000, id)
			for i, e := range follow(t, l, 0, 3000) {
				if numberOf(e.Record) != i || e.Seq != seqs[i] || e.Skipped != 0 || e.Time.IsZero() {
					t.Fatalf("entry %d: %+v %s", i, e, e.Record)
				}
			}
			// From any number on, by Follow and by Read.
			for _, i := range []int{1, 17, 600, 2999} {
				if e := follow(t, l, seqs[i], 1)[0]; numberOf(e.Record) != i || e.Skipped != 0 {
					t.Fatalf("from %d: %+v %s", i, e, e.Record)
				}
				entries, err := l.Read(t.Context(), seqs[i], 700)
				if err != nil || len(entries) != min(700, 3000-i) {
					t.Fatal(len(entries), err)
				}
				for k, e := range entries {
					if numberOf(e.Record) != i+k || e.Seq != seqs[i+k] {
						t.Fatalf("read %d: %+v %s", i+k, e, e.Record)
					}
				}
			}
			if entries, err := l.Read(t.Context(), seqs[2999]+1, 10); err != nil || len(entries) > 0 {
				t.Fatal(entries, err)
			}
			info, err := l.Info(t.Context())
			if err != nil || info.Records != 3000 || info.First != seqs[0] || info.Last != seqs[2999] || info.Waiting != 0 || info.WaitingBytes != 0 {
				t.Fatalf("%+v %v", info, err)
			}
			if seq, err := l.SeqAt(t.Context(), info.Newest); err != nil || seq > seqs[2999] || seq < seqs[2000] {
				t.Fatal(seq, err)
			}
			if seq, err := l.SeqAt(t.Context(), time.Now().Add(time.Hour)); err != nil || seq <= seqs[2999] {
				t.Fatal(seq, err)
			}
			if seq, err := l.SeqAt(t.Context(), time.Now().Add(-time.Hour)); err != nil || seq != seqs[0] {
				t.Fatal(seq, err)
			}
		})
	}
}

func TestLogRelease(t *testing.T) {
	l := openLog(t, open(t, nil), backbone.LogOptions{Messages: 1000})
	seqs := appendAll(t, l, 0, 100, noID)
	if err := l.Release(t.Context(), seqs[90]); err != nil {
		t.Fatal(err)
	}
	e := follow(t, l, seqs[0], 1)[0]
	if numberOf(e.Record) != 90 || e.Skipped != 90 {
		t.Fatalf("%+v", e)
	}
	if err := l.Release(t.Context(), seqs[99]+1<<20); err != nil {
		t.Fatal(err)
	}
	if info, err := l.Info(t.Context()); err != nil || info.Records != 1 || info.First != seqs[99] {
		t.Fatalf("the node's newest record stays: %+v %v", info, err)
	}
	appendAll(t, l, 100, 110, noID)
}

func TestLogIDs(t *testing.T) {
	l := openLog(t, open(t, nil), backbone.LogOptions{Window: time.Minute})
	var wg sync.WaitGroup
	answers := make([]backbone.Appended, 400)
	for i := range answers {
		wg.Add(1)
		// 40 of them are in the log twice, in batches and alone.
		if err := l.Append(fmt.Sprint(i%360), 0, record(i), func(a backbone.Appended) { answers[i] = a; wg.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	for i, a := range answers {
		if a.Err != nil || a.Duplicate != (i >= 360) || a.Duplicate && a.Seq != answers[i-360].Seq {
			t.Fatalf("%d: %+v", i, a)
		}
	}
	appendAll(t, l, 400, 500, noID)
	entries := follow(t, l, 0, 460)
	for i, e := range entries {
		if want := i + 40*(i/360); numberOf(e.Record) != want {
			t.Fatalf("entry %d: %s, want %d", i, e.Record, want)
		}
	}
}

func TestLogFull(t *testing.T) {
	l := openLog(t, open(t, nil), backbone.LogOptions{Size: 4 << 10})
	var wg sync.WaitGroup
	var kept, full atomic.Int64
	for i := range 1000 {
		wg.Add(1)
		if err := l.Append("", 0, record(i), func(a backbone.Appended) {
			defer wg.Done()
			switch {
			case a.Err == nil:
				kept.Add(1)
			case errors.Is(a.Err, backbone.ErrFull):
				full.Add(1)
			default:
				t.Error(a.Err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if kept.Load() < 50 || full.Load() < 500 {
		t.Fatal(kept.Load(), full.Load())
	}
	// Those behind one that does not fit are kept if they do.
	entries := follow(t, l, 0, int(kept.Load()))
	if err := l.Release(t.Context(), entries[len(entries)-1].Seq); err != nil {
		t.Fatal(err)
	}
	big := make(chan backbone.Appended, 2)
	if err := l.Append("", 0, make([]byte, 8<<10), func(a backbone.Appended) { big <- a }); err != nil {
		t.Fatal(err)
	}
	if err := l.Append("", 0, record(1), func(a backbone.Appended) { big <- a }); err != nil {
		t.Fatal(err)
	}
	if a := <-big; !errors.Is(a.Err, backbone.ErrFull) {
		t.Fatal(a)
	}
	if a := <-big; a.Err != nil {
		t.Fatal(a)
	}
}

func TestLogDropsOldest(t *testing.T) {
	l := openLog(t, open(t, nil), backbone.LogOptions{Size: 64 << 10, DropOldest: true})
	f, err := l.Follow(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	appendAll(t, l, 0, 1, noID)
	if entries, err := f.Next(t.Context()); err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	const n = 60_000 // of 200 bytes are more than a follower holds
	waitFor := make(chan struct{}, 1000)
	for i := 1; i < n; i++ {
		if i > 1000 {
			<-waitFor
		}
		if err := l.Append("", 0, append(record(i), make([]byte, 200)...), func(a backbone.Appended) {
			if a.Err != nil {
				t.Error(a.Err)
			}
			waitFor <- struct{}{}
		}); err != nil {
			t.Fatal(err)
		}
	}
	for last, skipped := 0, uint64(0); last < n-1; {
		entries, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if missing := numberOf(e.Record) - last - 1; uint64(missing) != e.Skipped {
				t.Fatalf("%s behind %d, and %d skipped", e.Record, last, e.Skipped)
			}
			last = numberOf(e.Record)
			skipped += e.Skipped
		}
		if last == n-1 {
			if info, err := l.Info(t.Context()); err != nil || info.Skipped != skipped || skipped == 0 {
				t.Fatalf("%+v, %d skipped, %v", info, skipped, err)
			}
		}
	}
}

func TestLogBusyAndClosed(t *testing.T) {
	b := open(t, nil)
	l := openLog(t, b, backbone.LogOptions{Pending: 10})
	block, answers := make(chan struct{}), make(chan backbone.Appended, 100)
	if err := l.Append("", 0, record(0), func(backbone.Appended) { <-block }); err != nil {
		t.Fatal(err)
	}
	n := 1
	var err error
	for ; err == nil; n++ {
		err = l.Append("", 0, record(n), func(a backbone.Appended) { answers <- a })
	}
	if !errors.Is(err, backbone.ErrBusy) || n != 11 {
		t.Fatal(n, err)
	}
	if err := l.Append("", 0, make([]byte, 64<<20), nil); !errors.Is(err, backbone.ErrTooLarge) {
		t.Fatal(err)
	}
	close(block)
	for range n - 2 {
		if a := <-answers; a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	f, err := l.Follow(t.Context(), 1<<30, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Append("", 0, record(0), nil); !errors.Is(err, backbone.ErrClosed) {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { _, err := f.Next(t.Context()); ended <- err }()
	f.Close()
	if err := <-ended; !errors.Is(err, backbone.ErrClosed) {
		t.Fatal(err)
	}
}

func TestLogGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	n := 0
	for range 3 {
		b := open(t, func(o *backbone.Options) { o.Dir = dir })
		l := openLog(t, b, backbone.LogOptions{Window: time.Minute})
		appendAll(t, l, n, n+50, noID)
		appendAll(t, l, n+50, n+100, someID)
		n += 100
		again := make(chan backbone.Appended, 1)
		if err := l.Append("id 60", 0, record(-1), func(a backbone.Appended) { again <- a }); err != nil {
			t.Fatal(err)
		}
		if a := <-again; !a.Duplicate {
			t.Fatalf("%+v", a)
		}
		for i, e := range follow(t, l, 0, n) {
			if numberOf(e.Record) != i {
				t.Fatalf("entry %d: %s", i, e.Record)
			}
		}
		if info, err := l.Info(t.Context()); err != nil || info.Records != uint64(n) {
			t.Fatalf("%+v %v", info, err)
		}
		if err := errors.Join(l.Close(t.Context()), b.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLogDelays(t *testing.T) {
	dir := t.TempDir()
	var l *backbone.Log
	for run := range 2 {
		b := open(t, func(o *backbone.Options) { o.Dir = dir })
		l = openLog(t, b, backbone.LogOptions{Window: time.Minute})
		if run == 0 {
			answers := make(chan backbone.Appended, 100)
			for i := range 20 {
				// Half of them twice; the last is due soonest.
				id := ""
				if i < 10 {
					id = fmt.Sprint(i % 5)
				}
				if err := l.Append(id, time.Second+time.Duration(20-i)*20*time.Millisecond, record(i), func(a backbone.Appended) { answers <- a }); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 20 {
				if a := <-answers; a.Err != nil || a.Duplicate != (i >= 5 && i < 10) {
					t.Fatalf("%d: %+v", i, a)
				}
			}
			if err := errors.Join(l.Close(t.Context()), b.Close(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := make(map[int]bool)
	for _, e := range follow(t, l, 0, 15) {
		if i := numberOf(e.Record); seen[i] || i >= 5 && i < 10 {
			t.Fatalf("%s: twice", e.Record)
		} else {
			seen[i] = true
		}
	}
	if info, err := l.Info(t.Context()); err != nil || info.Records != 15 {
		t.Fatalf("%+v %v", info, err)
	}
}

// A record that is larger than the whole log is refused: with DropOldest it would be
// acknowledged and dropped at once.
func TestLogRefusesWhatItCannotHold(t *testing.T) {
	l := openLog(t, open(t, nil), backbone.LogOptions{Size: 64 << 10, DropOldest: true})
	appendAll(t, l, 0, 1, noID)
	answer := make(chan error, 1)
	err := l.Append("", 0, make([]byte, 100<<10), func(a backbone.Appended) { answer <- a.Err })
	if err == nil {
		err = <-answer
	}
	if !errors.Is(err, backbone.ErrTooLarge) {
		t.Errorf("answer %v, want ErrTooLarge", err)
	}
	if info, err := l.Info(t.Context()); err != nil || info.Records != 1 {
		t.Errorf("%+v, %v: the record before is gone", info, err)
	}
}
