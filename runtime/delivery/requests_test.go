package delivery_test

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/runtime/delivery"
)

func begin(t testing.TB, r *delivery.Requests, q delivery.Request) uint64 {
	t.Helper()
	seq, err := r.Begin(q)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func TestRequestsKeepOrChangeTheSequenceID(t *testing.T) {
	r := delivery.NewRequests(delivery.RequestLimits{})
	for _, c := range []struct {
		bits      int
		originSeq uint64
		want      uint64
	}{
		{16, 7, 7},     // free: kept
		{16, 7, 1},     // taken: another
		{16, 7, 2},     // and another
		{16, 70000, 3}, // does not fit
		{16, 0, 4},     // the asker has none
		{16, 65535, 65535},
		{16, 1, 5},
		{64, 1 << 60, 1 << 60},
	} {
		q := delivery.Request{Destination: 9, SeqBits: c.bits, Origin: c.originSeq + 100, OriginSeq: c.originSeq, Deadline: 10}
		if got := begin(t, r, q); got != c.want {
			t.Errorf("%d bits, %d: got %d, want %d", c.bits, c.originSeq, got, c.want)
		}
	}
	if o, match := r.Finish(9, 3); match != delivery.Matched || o != (delivery.Origin{Session: 70100, Seq: 70000}) {
		t.Errorf("got %v, %v", o, match)
	}
	if _, match := r.Finish(9, 3); match != delivery.Unknown {
		t.Errorf("a second response: %v", match)
	}
	if _, match := r.Finish(8, 7); match != delivery.Unknown {
		t.Errorf("a response of somebody else: %v", match)
	}
	if r.Len() != 7 {
		t.Errorf("%d wait", r.Len())
	}
}

func TestRequestsAreBound(t *testing.T) {
	r := delivery.NewRequests(delivery.RequestLimits{PerDestination: 300, Total: 1000})
	fill := func(destination uint64, bits int) int {
		for n := 0; ; n++ {
			if _, err := r.Begin(delivery.Request{Destination: destination, SeqBits: bits, Origin: 1, Deadline: 1}); err != nil {
				if !errors.Is(err, delivery.ErrRequestsFull) {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	for i, c := range []struct{ bits, want int }{{0, 1}, {8, 255}, {16, 300}, {32, 300}, {64, 144}, {16, 0}} {
		if got := fill(uint64(i+1), c.bits); got != c.want {
			t.Errorf("%d bits: %d, want %d", c.bits, got, c.want)
		}
	}
	for i := range uint64(6) {
		r.Drop(i+1, nil)
	}
	if r.Len() != 0 {
		t.Errorf("%d are left", r.Len())
	}
}

// TestLateResponses: the sequence id of a request that timed out is not given to
// another asker while the answer may still come.
func TestLateResponses(t *testing.T) {
	r := delivery.NewRequests(delivery.RequestLimits{Linger: 50})
	first := delivery.Request{Destination: 9, SeqBits: 16, Origin: 1, OriginSeq: 5, Deadline: 100}
	begin(t, r, first)
	if got := r.Expire(99, nil); len(got) != 0 {
		t.Fatalf("too early: %v", got)
	}
	if got := r.Expire(100, nil); len(got) != 1 || got[0] != (delivery.Pending{Origin: delivery.Origin{Session: 1, Seq: 5}, Destination: 9}) {
		t.Fatalf("got %v", got)
	}
	second := delivery.Request{Destination: 9, SeqBits: 16, Origin: 2, OriginSeq: 5, Deadline: 200}
	if seq := begin(t, r, second); seq == 5 {
		t.Fatal("the lingering id was given out")
	}
	if o, match := r.Finish(9, 5); match != delivery.Late || o.Session != 1 {
		t.Fatalf("got %v, %v", o, match)
	}
	if seq := begin(t, r, second); seq != 5 {
		t.Errorf("after the late response: %d", seq)
	}
	if got := r.Expire(200, nil); len(got) != 2 || r.Len() != 2 {
		t.Errorf("got %v, %d are left", got, r.Len())
	}
	if got := r.Expire(250, nil); len(got) != 0 || r.Len() != 0 {
		t.Errorf("got %v, %d are left", got, r.Len())
	}
}

func TestDropTellsWhoWaits(t *testing.T) {
	r := delivery.NewRequests(delivery.RequestLimits{})
	for i := range uint64(5) {
		begin(t, r, delivery.Request{Destination: 9, SeqBits: 16, Origin: i + 1, OriginSeq: 5, Deadline: int64(i)})
	}
	begin(t, r, delivery.Request{Destination: 8, SeqBits: 16, Origin: 1, OriginSeq: 5, Deadline: 50})
	r.Expire(1, nil) // the first two have been told
	got := r.Drop(9, nil)
	slices.SortFunc(got, func(a, b delivery.Pending) int { return cmp.Compare(a.Session, b.Session) })
	if len(got) != 3 || got[0].Session != 3 || got[2].Session != 5 || r.Len() != 1 {
		t.Errorf("got %v, %d are left", got, r.Len())
	}
	if got := r.Drop(9, nil); len(got) != 0 {
		t.Errorf("again: %v", got)
	}
}

func TestFan(t *testing.T) {
	fan := func(r *delivery.Requests, destinations ...uint64) *delivery.Fan {
		f := delivery.NewFan()
		for _, d := range destinations {
			begin(t, r, delivery.Request{Destination: d, SeqBits: 16, Origin: 1, OriginSeq: 5, Deadline: int64(d), Fan: f})
		}
		return f
	}
	t.Run("first response wins", func(t *testing.T) {
		r := delivery.NewRequests(delivery.RequestLimits{})
		if fan(r, 1, 2, 3).Release() {
			t.Fatal("failed before anybody could answer")
		}
		if _, match := r.Finish(2, 5); match != delivery.Matched {
			t.Errorf("the first response: %v", match)
		}
		if _, match := r.Finish(1, 5); match != delivery.Late {
			t.Errorf("the second response: %v", match)
		}
		if got := append(r.Expire(10, nil), r.Drop(3, nil)...); len(got) != 0 {
			t.Errorf("told in spite of the answer: %v", got)
		}
	})
	t.Run("the last failure is told", func(t *testing.T) {
		r := delivery.NewRequests(delivery.RequestLimits{})
		fan(r, 1, 2, 3).Release()
		r.Cancel(2, 5)
		if got := r.Drop(1, nil); len(got) != 0 {
			t.Errorf("told while one may answer: %v", got)
		}
		if got := r.Expire(10, nil); len(got) != 1 || got[0].Destination != 3 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("all fail before the release", func(t *testing.T) {
		r := delivery.NewRequests(delivery.RequestLimits{})
		f := fan(r, 1)
		if got := r.Drop(1, nil); len(got) != 0 {
			t.Errorf("told twice: %v", got)
		}
		f2 := fan(r, 2)
		r.Cancel(2, 5)
		if !f.Release() || !f2.Release() || !delivery.NewFan().Release() {
			t.Error("nobody tells the asker")
		}
	})
}

// pending is the model's view of one request.
type pending struct {
	origin   delivery.Origin
	deadline int64
	lingers  bool
}

// TestRequestsModel runs random requests against a map.
func TestRequestsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const linger, perDestination = 20, 40
		r := delivery.NewRequests(delivery.RequestLimits{Linger: linger, PerDestination: perDestination})
		type key struct{ destination, seq uint64 }
		model := map[key]pending{}
		now := int64(0)
		destination := rapid.Uint64Range(1, 4)
		count := func(d uint64) (n int) {
			for k := range model {
				if k.destination == d {
					n++
				}
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "times") {
					q := delivery.Request{
						Destination: destination.Draw(t, "destination"), SeqBits: 5,
						Origin: rapid.Uint64Range(1, 9).Draw(t, "origin"), OriginSeq: rapid.Uint64Range(0, 40).Draw(t, "seq"),
						Deadline: now + rapid.Int64Range(1, 30).Draw(t, "timeout"),
					}
					seq, err := r.Begin(q)
					k := key{q.Destination, seq}
					switch _, taken := model[key{q.Destination, q.OriginSeq}]; {
					case err != nil:
						if count(q.Destination) < 31 {
							t.Fatalf("refused with %d waiting", count(q.Destination))
						}
						continue
					case seq == 0 || seq > 31:
						t.Fatalf("id %d has not 5 bits", seq)
					case !taken && q.OriginSeq > 0 && q.OriginSeq <= 31 && seq != q.OriginSeq:
						t.Fatalf("the free id %d became %d", q.OriginSeq, seq)
					}
					if _, taken := model[k]; taken {
						t.Fatalf("%v is in use", k)
					}
					model[k] = pending{delivery.Origin{Session: q.Origin, Seq: q.OriginSeq}, q.Deadline, false}
				}
			},
			"finish": func(t *rapid.T) {
				k := key{destination.Draw(t, "destination"), rapid.Uint64Range(0, 33).Draw(t, "seq")}
				origin, match := r.Finish(k.destination, k.seq)
				want, ok := model[k]
				delete(model, k)
				switch {
				case !ok && match != delivery.Unknown, ok && want.lingers != (match == delivery.Late), ok && match == delivery.Unknown:
					t.Fatalf("%v: %v, the model says %t %+v", k, match, ok, want)
				case ok && origin != want.origin:
					t.Fatalf("%v: answered to %v, want %v", k, origin, want.origin)
				}
			},
			"expire": func(t *rapid.T) {
				now += rapid.Int64Range(0, 15).Draw(t, "later")
				want := map[delivery.Pending]int{}
				for k, p := range model {
					switch {
					case p.deadline > now:
					case p.lingers:
						delete(model, k)
					default:
						want[delivery.Pending{Origin: p.origin, Destination: k.destination}]++
						model[k] = pending{p.origin, now + linger, true}
					}
				}
				for _, p := range r.Expire(now, nil) {
					if want[p]--; want[p] < 0 {
						t.Fatalf("%v expired", p)
					}
				}
				for p, n := range want {
					if n != 0 {
						t.Fatalf("%v did not expire", p)
					}
				}
			},
			"drop": func(t *rapid.T) {
				d := destination.Draw(t, "destination")
				want := 0
				for k, p := range model {
					if k.destination == d {
						delete(model, k)
						if !p.lingers {
							want++
						}
					}
				}
				if got := r.Drop(d, nil); len(got) != want {
					t.Fatalf("%d were told, want %d", len(got), want)
				}
			},
			"": func(t *rapid.T) {
				if r.Len() != len(model) {
					t.Fatalf("%d wait, want %d", r.Len(), len(model))
				}
			},
		})
	})
}

// TestRequestsConcurrent: each request ends exactly once, whoever ends it.
func TestRequestsConcurrent(t *testing.T) {
	r := delivery.NewRequests(delivery.RequestLimits{Linger: 1})
	var begun, ended atomic.Int64
	var clock atomic.Int64
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(w)))
			for range 5000 {
				d := random.Uint64N(5) + 1
				seq, err := r.Begin(delivery.Request{Destination: d, SeqBits: 16, Origin: uint64(w), OriginSeq: random.Uint64N(50), Deadline: clock.Add(1) + 100})
				if err != nil {
					t.Error(err)
					return
				}
				begun.Add(1)
				switch random.IntN(10) {
				case 0:
					ended.Add(int64(len(r.Drop(d, nil))))
				case 1:
					ended.Add(int64(len(r.Expire(clock.Load(), nil))))
				default:
					if _, match := r.Finish(d, seq); match == delivery.Matched {
						ended.Add(1)
					}
				}
			}
		})
	}
	workers.Wait()
	for d := range uint64(5) {
		ended.Add(int64(len(r.Drop(d+1, nil))))
	}
	if begun.Load() != ended.Load() || r.Len() != 0 {
		t.Errorf("%d begun, %d ended, %d are left", begun.Load(), ended.Load(), r.Len())
	}
}

func TestRequestsDoNotAllocate(t *testing.T) {
	r := delivery.NewRequests(delivery.RequestLimits{Linger: 100})
	now, told := int64(0), make([]delivery.Pending, 0, 64)
	round := func() {
		for i := range uint64(20) {
			now++
			q := delivery.Request{Destination: i % 7, SeqBits: 16, Origin: i, OriginSeq: 5, Deadline: now + 10}
			seq, err := r.Begin(q)
			if err != nil {
				t.Fatal(err)
			}
			if i%4 != 0 {
				r.Finish(i%7, seq)
			}
		}
		told = r.Expire(now, told[:0])
		told = r.Drop(3, told[:0])
	}
	for range 100 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBeginFinish(b *testing.B) {
	r := delivery.NewRequests(delivery.RequestLimits{})
	for i := range uint64(10_000) {
		begin(b, r, delivery.Request{Destination: i % 1000, SeqBits: 16, Origin: i, OriginSeq: i, Deadline: 1 << 60})
	}
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		q := delivery.Request{Destination: i % 1000, SeqBits: 16, Origin: i, OriginSeq: 40_000, Deadline: 1 << 60}
		seq, err := r.Begin(q)
		if err != nil {
			b.Fatal(err)
		}
		r.Finish(i%1000, seq)
	}
}

func BenchmarkExpireNothing(b *testing.B) {
	r := delivery.NewRequests(delivery.RequestLimits{})
	for i := range uint64(10_000) {
		begin(b, r, delivery.Request{Destination: i % 1000, SeqBits: 16, Origin: i, OriginSeq: i, Deadline: 1 << 60})
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Expire(1, nil)
	}
}
