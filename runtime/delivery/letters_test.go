package delivery_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
)

func letter(plugin, cause, topic string, at int64) *delivery.DeadLetter {
	return &delivery.DeadLetter{
		Plugin: plugin, Cause: cause, Time: at, Generation: 2, Hook: "messages",
		Message: abi.Message{Topic: []byte(topic), Payload: []byte("payload"), Frame: []byte("frame")},
	}
}

func ids(list []*delivery.DeadLetter) []uint64 {
	var out []uint64
	for _, l := range list {
		out = append(out, l.ID)
	}
	return out
}

func TestLettersAreKeptByCount(t *testing.T) {
	s := delivery.NewDeadLetterStore(delivery.DeadLetterLimits{Keep: 3, Bytes: 1 << 20})
	for i := range 5 {
		s.Add(letter("p", "trap", "t", int64(i)))
	}
	list, total := s.List(delivery.DeadLetterFilter{}, 10)
	if got := ids(list); !slices.Equal(got, []uint64{5, 4, 3}) || total != 3 {
		t.Errorf("%v of %d", got, total)
	}
	if st := s.Stats(); st.Evicted != 2 || st.Stored != 5 || st.Count != 3 {
		t.Errorf("%+v", st)
	}
	if _, err := s.Get(1); !errors.Is(err, delivery.ErrNoLetter) {
		t.Errorf("an evicted letter: %v", err)
	}
}

// What came and what became of it share the bytes that nothing has changed.
func TestLettersKeepWhatCame(t *testing.T) {
	l := letter("p", "trap", "t", 1)
	l.Came = l.Message
	l.Came.Frame = nil
	size := l.Size()
	l.Came.Payload = []byte("what came")
	if more := l.Size() - size; more != int64(len(l.Came.Payload)) {
		t.Errorf("%d bytes more", more)
	}
	s := delivery.NewDeadLetterStore(delivery.DeadLetterLimits{Keep: 3, Bytes: 1 << 20})
	s.Add(l)
	clear(l.Came.Payload)
	clear(l.Message.Payload)
	clear(l.Message.Topic)
	got, err := s.Get(1)
	if err != nil || string(got.Came.Topic) != "t" || string(got.Came.Payload) != "what came" || string(got.Message.Payload) != "payload" || got.Size() != l.Size() {
		t.Errorf("%+v, %v", got, err)
	}
	if &got.Came.Topic[0] != &got.Message.Topic[0] {
		t.Error("the topic is kept twice")
	}
}

func TestLettersAreKeptByBytes(t *testing.T) {
	big := letter("p", "trap", "t", 1)
	big.Message.Payload = make([]byte, 1000)
	s := delivery.NewDeadLetterStore(delivery.DeadLetterLimits{Keep: 1000, Bytes: 10 * big.Size()})
	for range 100 {
		s.Add(big)
		if st := s.Stats(); st.Bytes > 10*big.Size() {
			t.Fatalf("%d bytes are kept", st.Bytes)
		}
	}
	if st := s.Stats(); st.Count != 10 || st.Evicted != 90 {
		t.Errorf("%+v", st)
	}
	huge := letter("p", "trap", "t", 1)
	huge.Message.Payload = make([]byte, 11*big.Size())
	s.Add(huge)
	if st := s.Stats(); st.Count != 10 || st.Evicted != 91 {
		t.Errorf("a letter over all bounds: %+v", st)
	}
}

func TestALetterOwnsItsBytes(t *testing.T) {
	s := delivery.NewDeadLetterStore(delivery.DeadLetterLimits{Keep: 3, Bytes: 1 << 20})
	l := letter("p", "trap", "t", 1)
	s.Add(l)
	copy(l.Message.Payload, "XXXXXXX")
	copy(l.Message.Frame, "XXXXX")
	got, err := s.Get(1)
	if err != nil || string(got.Message.Payload) != "payload" || string(got.Message.Frame) != "frame" {
		t.Errorf("%v, %q, %q", err, got.Message.Payload, got.Message.Frame)
	}
}

func TestLettersByFilter(t *testing.T) {
	s := delivery.NewDeadLetterStore(delivery.DeadLetterLimits{Keep: 100, Bytes: 1 << 20})
	s.Add(letter("p", "trap", "a/b", 10))
	s.Add(letter("p", "fuel", "a/c", 20))
	s.Add(letter("q", "trap", "d", 30))
	for _, c := range []struct {
		f    delivery.DeadLetterFilter
		want []uint64
	}{
		{delivery.DeadLetterFilter{}, []uint64{3, 2, 1}},
		{delivery.DeadLetterFilter{Plugin: "p"}, []uint64{2, 1}},
		{delivery.DeadLetterFilter{Cause: "trap"}, []uint64{3, 1}},
		{delivery.DeadLetterFilter{Topic: "a/+"}, []uint64{2, 1}},
		{delivery.DeadLetterFilter{Since: 20}, []uint64{3, 2}},
		{delivery.DeadLetterFilter{Until: 20}, []uint64{1}},
		{delivery.DeadLetterFilter{UpTo: 2}, []uint64{2, 1}},
		{delivery.DeadLetterFilter{Generation: 3}, nil},
		{delivery.DeadLetterFilter{Listener: "l"}, nil},
	} {
		list, total := s.List(c.f, 10)
		if got := ids(list); !slices.Equal(got, c.want) || total != len(c.want) {
			t.Errorf("%+v: %v of %d, want %v", c.f, got, total, c.want)
		}
	}
	if g := s.Groups(delivery.DeadLetterFilter{}); len(g) != 3 || g[0].Count != 1 {
		t.Errorf("groups: %+v", g)
	}
	s.Add(letter("q", "trap", "d", 40))
	if g := s.Groups(delivery.DeadLetterFilter{}); g[0] != (delivery.DeadLetterGroup{Cause: "trap", Plugin: "q", Generation: 2, Count: 2, First: 30, Last: 40}) {
		t.Errorf("the largest group: %+v", g[0])
	}
	if list, total := s.List(delivery.DeadLetterFilter{}, 1); len(list) != 1 || list[0].ID != 4 || total != 4 {
		t.Errorf("the first page: %v of %d", ids(list), total)
	}
	if err := (&delivery.DeadLetterFilter{Topic: "a/#/b"}).Validate(); err == nil {
		t.Error("a malformed pattern passes")
	}
	if n := s.Purge(delivery.DeadLetterFilter{Plugin: "q"}); n != 2 {
		t.Errorf("%d purged", n)
	}
	if n := s.Delete([]uint64{1, 1, 3}); n != 1 {
		t.Errorf("%d deleted", n)
	}
}

func TestALetterIsReplayedByOne(t *testing.T) {
	s := delivery.NewDeadLetterStore(delivery.DeadLetterLimits{Keep: 100, Bytes: 1 << 20})
	s.Add(letter("p", "trap", "a", 1))
	before, _ := s.Get(1)
	if _, err := s.Begin(1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(1); !errors.Is(err, delivery.ErrReplaying) {
		t.Errorf("the second one: %v", err)
	}
	s.End(1, false, "dead again")
	if l, _ := s.Get(1); l.Attempts != 1 || l.LastResult != "dead again" || before.Attempts != 0 {
		t.Errorf("%+v; handed out before: %+v", l, before)
	}
	if _, err := s.Begin(1); err != nil {
		t.Fatal(err)
	}
	s.Cancel(1)
	if _, err := s.Begin(1); err != nil {
		t.Errorf("after it was taken back: %v", err)
	}
	s.End(1, true, "delivered")
	if _, err := s.Begin(1); !errors.Is(err, delivery.ErrNoLetter) {
		t.Errorf("a delivered one: %v", err)
	}
	if st := s.Stats(); st.Count != 0 || st.Bytes != 0 {
		t.Errorf("%+v", st)
	}
}

// The store agrees with a model of it over random operations.
func TestStoreAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		keep := 1 + r.IntN(200)
		s := delivery.NewDeadLetterStore(delivery.DeadLetterLimits{Keep: keep, Bytes: 1 << 30})
		var model []uint64
		next := uint64(0)
		for range 1000 {
			switch r.IntN(4) {
			case 0, 1:
				next++
				s.Add(letter("p", "trap", "t", 0))
				if model = append(model, next); len(model) > keep {
					model = model[1:]
				}
			case 2:
				id := 1 + r.Uint64N(next+1)
				at := slices.Index(model, id)
				if n := s.Delete([]uint64{id}); (n == 1) != (at >= 0) {
					t.Fatalf("deleting %d of %v: %d", id, model, n)
				}
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				}
			case 3:
				id := 1 + r.Uint64N(next+1)
				if _, err := s.Get(id); (err == nil) != slices.Contains(model, id) {
					t.Fatalf("%d of %v: %v", id, model, err)
				}
			}
		}
		list, total := s.List(delivery.DeadLetterFilter{}, 1000)
		got := ids(list)
		slices.Reverse(got)
		if !slices.Equal(got, model) || total != len(model) {
			t.Fatalf("%v\nis not\n%v", got, model)
		}
	}
}

func TestHandoverKeepsOrderAndCountsLosses(t *testing.T) {
	h := delivery.NewHandover[delivery.DeadLetter](delivery.HandoverLimits{Items: 4, Bytes: 1 << 10})
	put := func(id uint64) bool {
		l := letter("p", "trap", fmt.Sprint(id), 0)
		l.ID = id
		return delivery.PutLetter(h, l)
	}
	for id := range uint64(10) {
		if ok := put(id); ok != (id < 8) {
			t.Errorf("%d: %v", id, ok)
		}
	}
	if !h.Post() || h.Post() || h.Lost() != 2 {
		t.Errorf("%d lost", h.Lost())
	}
	var got []uint64
	read := func(p *delivery.Parcel[delivery.DeadLetter]) {
		for i := range p.Items {
			got = append(got, p.Items[i].ID)
			if string(p.Items[i].Message.Topic) != fmt.Sprint(p.Items[i].ID) {
				t.Errorf("letter %d has topic %q", p.Items[i].ID, p.Items[i].Message.Topic)
			}
		}
	}
	for h.Collect(read) || h.Post() {
	}
	if !slices.Equal(got, []uint64{0, 1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("collected %v", got)
	}
	large := letter("p", "trap", "t", 0)
	large.Message.Payload = make([]byte, 10<<10)
	if !delivery.PutLetter(h, large) {
		t.Error("one letter over the bound does not go by itself")
	}
}

// A loop and a collector at once: what is not lost arrives whole and in order.
func TestHandoverBetweenGoroutines(t *testing.T) {
	h := delivery.NewHandover[delivery.DeadLetter](delivery.HandoverLimits{Items: 64, Bytes: 8 << 10})
	wake, done := make(chan struct{}, 1), make(chan struct{})
	var sum sync.WaitGroup
	count, last := uint64(0), uint64(0)
	read := func(p *delivery.Parcel[delivery.DeadLetter]) {
		for i := range p.Items {
			l := &p.Items[i]
			if l.ID <= last || !bytes.Equal(l.Message.Payload, bytes.Repeat([]byte{byte(l.ID)}, int(l.ID%100))) {
				t.Errorf("letter %d behind %d: %x", l.ID, last, l.Message.Payload)
			}
			count, last = count+1, l.ID
		}
	}
	sum.Go(func() {
		for {
			select {
			case <-wake:
				h.Collect(read)
			case <-done:
				return
			}
		}
	})
	const total = 50000
	for id := uint64(1); id <= total; id++ {
		l := letter("p", "trap", "t", 0)
		l.ID, l.Message.Payload = id, bytes.Repeat([]byte{byte(id)}, int(id%100))
		delivery.PutLetter(h, l)
		if id%16 == 0 && h.Post() {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}
	close(done)
	sum.Wait()
	for h.Collect(read) || h.Post() {
	}
	if count+h.Lost() != total || count == 0 {
		t.Errorf("%d arrived, %d were lost, of %d", count, h.Lost(), total)
	}
}

// Handing over costs the loop no memory of its own once parcels go round.
func TestHandoverDoesNotAllocate(t *testing.T) {
	h := delivery.NewHandover[delivery.DeadLetter](delivery.HandoverLimits{})
	l := letter("p", "trap", "t", 0)
	turn := func() {
		for range 64 {
			delivery.PutLetter(h, l)
		}
		h.Post()
		h.Collect(func(*delivery.Parcel[delivery.DeadLetter]) {})
	}
	turn()
	turn()
	if n := testing.AllocsPerRun(100, turn); n > 0 {
		t.Errorf("%v allocations a turn", n)
	}
}

func BenchmarkPutLetter(b *testing.B) {
	b.ReportAllocs()
	h := delivery.NewHandover[delivery.DeadLetter](delivery.HandoverLimits{})
	l := letter("p", "trap", "t", 0)
	l.Message.Payload, l.Message.Frame = make([]byte, 128), make([]byte, 140)
	n := 0
	for b.Loop() {
		delivery.PutLetter(h, l)
		if n++; n%64 == 0 {
			h.Post()
			h.Collect(func(*delivery.Parcel[delivery.DeadLetter]) {})
		}
	}
}
