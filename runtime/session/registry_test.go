package session_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/runtime/session"
)

func TestClaim(t *testing.T) {
	r := newRegistry(session.Limits{Names: 2})
	a, b := newSession(1), newSession(2)
	claim := func(s *session.Session, name string, policy session.Policy, holder uint64, want error) {
		t.Helper()
		if got, err := r.Claim(s, []byte(name), policy); got != holder || !errors.Is(err, want) {
			t.Errorf("%d claims %q: got %d, %v, want %d, %v", s.ID(), name, got, err, holder, want)
		}
	}
	claim(a, "17", session.Refuse, 0, nil)
	claim(a, "17", session.Refuse, 0, nil)
	claim(b, "17", session.Refuse, 1, session.ErrTaken)
	if b.Name() != "" || a.Name() != "17" {
		t.Errorf("names %q, %q", a.Name(), b.Name())
	}
	claim(b, "17", session.TakeOver, 1, nil)
	claim(a, "17", session.Refuse, 2, session.ErrTaken)
	r.Close(a) // no longer the holder
	if id, ok := r.Lookup([]byte("17")); !ok || id != 2 {
		t.Errorf("17 is held by %d, %t", id, ok)
	}
	claim(b, "18", session.Refuse, 0, nil)
	if _, ok := r.Lookup([]byte("17")); ok || b.Name() != "18" || r.Stats().Names != 1 {
		t.Errorf("the former name stayed: %q, %+v", b.Name(), r.Stats())
	}
	claim(a, "x", session.Refuse, 0, session.ErrClosed)
	c := newSession(3)
	claim(c, "19", session.Refuse, 0, nil)
	claim(newSession(4), "20", session.Refuse, 0, session.ErrLimit)
	claim(newSession(5), "18", session.TakeOver, 2, nil)
	for _, name := range []string{"", "a\x00", "a\nb", "\xff", strings.Repeat("x", session.MaxName+1)} {
		claim(c, name, session.Refuse, 0, session.ErrName)
	}
	if c.Name() != "19" {
		t.Errorf("a refused claim left %q", c.Name())
	}
	r.Close(c)
	if _, ok := r.Lookup([]byte("19")); ok {
		t.Error("19 is held after the close")
	}
}

// TestNamesModel runs random claims and closes against a map.
func TestNamesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRegistry(session.Limits{})
		holders := map[string]uint64{}
		sessions := map[uint64]*session.Session{}
		next := uint64(0)
		name := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("node-", rapid.IntRange(0, 40).Draw(t, "name")) })
		t.Repeat(map[string]func(*rapid.T){
			"claim": func(t *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "times") {
					next++
					s := newSession(next)
					sessions[next] = s
					wanted, policy := name.Draw(t, "wanted"), session.Policy(rapid.IntRange(0, 1).Draw(t, "policy"))
					holder, err := r.Claim(s, []byte(wanted), policy)
					if holder != holders[wanted] || (err != nil) != (holder != 0 && policy == session.Refuse) {
						t.Fatalf("%d claims %s: %d, %v; the model says %d", next, wanted, holder, err, holders[wanted])
					}
					if err == nil {
						holders[wanted] = next
					}
				}
			},
			"close": func(t *rapid.T) {
				for id, s := range sessions {
					if id%3 == 0 {
						continue
					}
					r.Close(s)
					delete(sessions, id)
					for n, holder := range holders {
						if holder == id {
							delete(holders, n)
						}
					}
				}
			},
			"rename": func(t *rapid.T) {
				for id, s := range sessions {
					wanted := name.Draw(t, "wanted")
					if holder, taken := holders[wanted]; taken && holder != id {
						continue
					}
					if _, err := r.Claim(s, []byte(wanted), session.Refuse); err != nil {
						t.Fatal(err)
					}
					maps.DeleteFunc(holders, func(_ string, holder uint64) bool { return holder == id })
					holders[wanted] = id
					return
				}
			},
			"": func(t *rapid.T) {
				for i := range 41 {
					n := fmt.Sprint("node-", i)
					id, ok := r.Lookup([]byte(n))
					if want, held := holders[n]; ok != held || id != want {
						t.Fatalf("%s: %d, %t; the model says %d", n, id, ok, want)
					}
				}
				seen := map[string]uint64{}
				r.Names(func(n string, id uint64) bool { seen[n] = id; return true })
				if !maps.Equal(seen, holders) || r.Stats().Names != len(holders) {
					t.Fatalf("%v, %+v; the model says %v", seen, r.Stats(), holders)
				}
			},
		})
	})
}

// TestNamesConcurrent looks for names that stay while others come and go.
func TestNamesConcurrent(t *testing.T) {
	r := newRegistry(session.Limits{})
	for i := range 100 {
		if _, err := r.Claim(newSession(uint64(i+1)), fmt.Append(nil, "fixed-", i), session.Refuse); err != nil {
			t.Fatal(err)
		}
	}
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(w)))
			for i := range 2000 {
				s := newSession(uint64(1000 + 2000*w + i))
				_, _ = r.Claim(s, fmt.Append(nil, "moving-", random.IntN(300)), session.Policy(random.IntN(2)))
				_ = r.Join(s, "ops")
				r.Close(s)
			}
		})
	}
	readers.Go(func() {
		for i := 0; ; i = (i + 1) % 100 {
			select {
			case <-stop:
				return
			default:
			}
			if id, ok := r.Lookup(fmt.Append(nil, "fixed-", i)); !ok || id != uint64(i+1) {
				t.Errorf("fixed-%d: %d, %t", i, id, ok)
				return
			}
			r.Queue([]byte("ops")).Next()
		}
	})
	writers.Wait()
	close(stop)
	readers.Wait()
	if s := r.Stats(); s.Names != 100 || s.Queues != 0 {
		t.Errorf("%+v", s)
	}
}

func TestQueues(t *testing.T) {
	r := newRegistry(session.Limits{Queues: 2, Members: 3})
	var sessions []*session.Session
	for id := range uint64(4) {
		sessions = append(sessions, newSession(id+1))
	}
	for i, s := range sessions {
		err := r.Join(s, "ops")
		if want := i == 3; errors.Is(err, session.ErrLimit) != want {
			t.Errorf("member %d: %v", i, err)
		}
	}
	if err := r.Join(sessions[0], "ops"); err != nil {
		t.Errorf("joining twice: %v", err)
	}
	var got []uint64
	group := r.Queue([]byte("ops"))
	for range 6 {
		id, _ := group.Next()
		got = append(got, id)
	}
	if !slices.Equal(got, []uint64{1, 2, 3, 1, 2, 3}) || group.Len() != 3 || group.Name() != "ops" {
		t.Errorf("turns %v of %d", got, group.Len())
	}
	if !r.Leave(sessions[1], "ops") || r.Leave(sessions[1], "ops") || r.Leave(sessions[3], "ops") {
		t.Error("leaving went wrong")
	}
	if err := r.Join(sessions[0], ""); !errors.Is(err, session.ErrName) {
		t.Errorf("no name: %v", err)
	}
	if r.Join(sessions[0], "b") != nil || !errors.Is(r.Join(sessions[0], "c"), session.ErrLimit) {
		t.Error("the number of a session's queues is not bound")
	}
	if q := sessions[0].Queues(); !slices.Equal(q, []string{"ops", "b"}) {
		t.Errorf("queues %v", q)
	}
	for _, s := range sessions {
		r.Close(s)
	}
	if _, ok := r.Queue([]byte("ops")).Next(); ok || r.Queue([]byte("ops")).Len() != 0 || r.Stats().Queues != 0 {
		t.Errorf("after the close: %+v", r.Stats())
	}
	if err := r.Join(sessions[0], "ops"); !errors.Is(err, session.ErrClosed) {
		t.Errorf("a closed session: %v", err)
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	r := newRegistry(session.Limits{})
	s := newSession(1)
	if _, err := r.Claim(s, []byte("node-1"), session.Refuse); err != nil {
		t.Fatal(err)
	}
	if err := r.Join(s, "ops"); err != nil {
		t.Fatal(err)
	}
	name, queue := []byte("node-1"), []byte("ops")
	if n := testing.AllocsPerRun(100, func() {
		if id, ok := r.Lookup(name); !ok || id != 1 {
			t.Fatal("node-1 is lost")
		}
		if _, ok := r.Queue(queue).Next(); !ok {
			t.Fatal("ops has no member")
		}
		if _, err := r.Claim(s, name, session.Refuse); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	r := newRegistry(session.Limits{})
	var names [][]byte
	for i := range 100_000 {
		name := fmt.Append(nil, "node-", i)
		if _, err := r.Claim(newSession(uint64(i+1)), name, session.Refuse); err != nil {
			b.Fatal(err)
		}
		if i%97 == 0 {
			names = append(names, name)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := r.Lookup(names[i%len(names)]); !ok {
			b.Fatal("lost")
		}
	}
}

func BenchmarkOpenAndClose(b *testing.B) {
	r := newRegistry(session.Limits{})
	b.ReportAllocs()
	for i := uint64(1); b.Loop(); i++ {
		s := newSession(i)
		if _, err := r.Claim(s, []byte("node-7"), session.Refuse); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Subscribe(s, "truck/7/in/#"); err != nil {
			b.Fatal(err)
		}
		r.Close(s)
	}
}
