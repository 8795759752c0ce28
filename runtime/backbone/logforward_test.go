package backbone_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/backbone/natstest"
)

// openOn opens a backbone on a real server.
func openOn(t testing.TB, s *natstest.Server, change func(*backbone.Options)) *backbone.Backbone {
	t.Helper()
	return open(t, func(o *backbone.Options) {
		o.URLs, o.Within = []string{s.URL()}, 20*time.Second
		if change != nil {
			change(o)
		}
	})
}

// stream appends records with rising numbers until it is told to end.
type stream struct {
	l      *backbone.Log
	id     func(int) string
	next   int
	acked  atomic.Int64
	failed atomic.Int64
	beside atomic.Int64
	stop   chan struct{}
	ended  sync.WaitGroup
}

func startStream(t testing.TB, l *backbone.Log, id func(int) string) *stream {
	s := &stream{l: l, id: id, stop: make(chan struct{})}
	room := make(chan struct{}, 100)
	s.ended.Add(1)
	go func() {
		defer s.ended.Done()
		for {
			select {
			case <-s.stop:
				return
			case room <- struct{}{}:
			}
			s.ended.Add(1)
			if err := l.Append(id(s.next), 0, record(s.next), func(a backbone.Appended) {
				if a.Err != nil || a.Duplicate {
					t.Errorf("answer: %+v", a)
					s.failed.Add(1)
				}
				if a.Seq == 0 {
					s.beside.Add(1)
				}
				s.acked.Add(1)
				time.AfterFunc(time.Millisecond, func() { <-room }) // so that the test's load is bounded
				s.ended.Done()
			}); err != nil {
				t.Error(err)
				s.ended.Done()
				return
			}
			s.next++
		}
	}()
	return s
}

func (s *stream) end() int {
	close(s.stop)
	s.ended.Wait()
	return s.next
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestForward(t *testing.T) {
	faults := map[string]struct{ away, back func(*natstest.Server) }{
		"killed": {(*natstest.Server).Kill, (*natstest.Server).Start},
		"paused": {(*natstest.Server).Pause, (*natstest.Server).Resume},
	}
	for name, fault := range faults {
		for kind, id := range map[string]func(int) string{"groups": noID, "ids": someID} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				hub := natstest.Start(t, natstest.Options{})
				l := openLog(t, openOn(t, hub, nil), backbone.LogOptions{Window: time.Hour})
				f, err := l.Follow(t.Context(), 0, 100)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				w := work(t, l, backbone.WorkOptions{})
				s := startStream(t, l, id)
				for round := range 2 {
					before := s.acked.Load()
					eventually(t, "records are acknowledged", func() bool { return s.acked.Load() > before+300 })
					fault.away(hub)
					before = s.beside.Load()
					eventually(t, "records are kept here", func() bool { return s.beside.Load() > before+300 })
					i := l.Waiting()
					if !i.Away || i.Backlog < 300 || i.BacklogBytes == 0 || i.BacklogSince.IsZero() || time.Since(i.BacklogSince) > time.Minute {
						t.Fatalf("round %d: %+v", round, i)
					}
					fault.back(hub)
					eventually(t, "what waited is there", func() bool { return !l.Waiting().Away })
				}
				before := s.acked.Load() - s.beside.Load()
				eventually(t, "records go to the hub again", func() bool { return s.acked.Load()-s.beside.Load() > before+100 })
				n := s.end()
				eventually(t, "what waited is there", func() bool { return !l.Waiting().Away })
				if i := l.Waiting(); i.Backlog != 0 || i.BacklogBytes != 0 || !i.BacklogSince.IsZero() || i.BacklogFailed != 0 {
					t.Fatalf("%+v", i)
				}
				info, err := l.Info(t.Context())
				if err != nil || info.Records != uint64(n) {
					t.Fatalf("%d records: %+v %v", n, info, err)
				}
				for i := 0; i < n; {
					entries, err := f.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range entries {
						if numberOf(e.Record) != i || e.Skipped != 0 {
							t.Fatalf("%s where %d is due, %d skipped", e.Record, i, e.Skipped)
						}
						i++
					}
				}
				seen := make([]bool, n)
				for left := n; left > 0; {
					entries, err := w.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range entries {
						if i := numberOf(e.Record); !seen[i] {
							seen[i] = true
							left--
						}
						if err := e.Ack(); err != nil {
							t.Fatal(err)
						}
					}
				}
			})
		}
	}
}

func TestForwardIsBounded(t *testing.T) {
	hub := natstest.Start(t, natstest.Options{})
	l := openLog(t, openOn(t, hub, func(o *backbone.Options) { o.Forward = 64 << 10 }), backbone.LogOptions{})
	appendAll(t, l, 0, 10, noID)
	hub.Kill()
	var n, kept atomic.Int64
	answers := make(chan error, 1)
	for full := false; !full; n.Add(1) {
		if err := l.Append("", 0, append(record(int(n.Load())), make([]byte, 1000)...), func(a backbone.Appended) { answers <- a.Err }); err != nil {
			t.Fatal(err)
		}
		switch err := <-answers; {
		case err == nil:
			kept.Add(1)
		case errors.Is(err, backbone.ErrFull):
			full = true
		default:
			t.Fatal(err)
		}
	}
	if k := kept.Load(); k < 50 || k > 64 {
		t.Fatalf("%d records", k)
	}
	hub.Start()
	eventually(t, "what waited is there", func() bool { return !l.Waiting().Away })
	if i, err := l.Info(t.Context()); err != nil || i.Records != uint64(10+kept.Load()) {
		t.Fatalf("%+v %v", i, err)
	}
}

func TestForwardDelays(t *testing.T) {
	hub := natstest.Start(t, natstest.Options{})
	l := openLog(t, openOn(t, hub, nil), backbone.LogOptions{Window: time.Hour})
	appendAll(t, l, 0, 1, noID)
	hub.Kill()
	answers := make(chan backbone.Appended, 3)
	for i := 1; i <= 3; i++ {
		if err := l.Append("", time.Duration(4-i)*time.Second, record(i), func(a backbone.Appended) { answers <- a }); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if a := <-answers; a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	hub.Start()
	seen := map[int]bool{}
	for _, e := range follow(t, l, 0, 4) {
		seen[numberOf(e.Record)] = true
	}
	if len(seen) != 4 {
		t.Fatal(seen)
	}
}

// A node that ends while it is away sends what it kept when it is there again.
func TestForwardOutlivesTheNode(t *testing.T) {
	hub := natstest.Start(t, natstest.Options{})
	dir := t.TempDir()
	n := 0
	for range 3 {
		b := openOn(t, hub, func(o *backbone.Options) { o.Dir = dir })
		l := openLog(t, b, backbone.LogOptions{})
		appendAll(t, l, n, n+10, noID)
		hub.Kill()
		s := startStream(t, l, noID)
		eventually(t, "records are kept here", func() bool { return s.beside.Load() > 100 })
		k := s.end()
		ended, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := errors.Join(l.Close(ended), b.Close(ended)); err != nil {
			t.Fatal(err)
		}
		cancel()
		hub.Start()
		b = openOn(t, hub, func(o *backbone.Options) { o.Dir = dir })
		l = openLog(t, b, backbone.LogOptions{})
		appendAll(t, l, n+10, n+11, noID)
		eventually(t, "what waited is there", func() bool { return !l.Waiting().Away })
		entries := follow(t, l, 0, 1)
		from := entries[0].Seq
		all, err := l.Read(t.Context(), from, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all = all[len(all)-k-11:]
		for i, e := range all {
			want := n + i
			if i >= 10 {
				want = i - 10
			}
			if i == k+10 {
				want = n + 10
			}
			if numberOf(e.Record) != want {
				t.Fatalf("entry %d: %s, want %d", i, e.Record, want)
			}
		}
		n += 11
		if err := errors.Join(l.Close(t.Context()), b.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}
