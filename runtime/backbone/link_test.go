package backbone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

// node is one end of a link, and what it was told.
type node struct {
	link *Link
	back *Backbone

	mu       sync.Mutex
	names    map[int]string
	interest map[string]map[Interest]bool
	batches  []string
	log      []string
	told     chan struct{} // something was told
}

func (n *node) Joined(p LinkNode) {
	n.note("joined " + p.Name)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[p.Slot], n.interest[p.Name] = p.Name, map[Interest]bool{}
}

func (n *node) Changed(slot int, added, removed []Interest) {
	n.mu.Lock()
	set := n.interest[n.names[slot]]
	for _, i := range added {
		set[i] = true
	}
	for _, i := range removed {
		delete(set, i)
	}
	n.mu.Unlock()
	n.wake()
}

func (n *node) Left(p LinkNode, why string) {
	n.mu.Lock()
	delete(n.interest, p.Name)
	n.mu.Unlock()
	n.note("left " + p.Name + ": " + why)
}

func (n *node) Received(_ int, batch []byte) {
	n.mu.Lock()
	n.batches = append(n.batches, string(batch))
	n.mu.Unlock()
	n.wake()
}

func (n *node) Withdrawn(p LinkNode, done func()) {
	n.note("withdrawn " + p.Name)
	_ = n.link.Send(p.Slot, append(n.link.BeginBatch(nil), "last"...))
	done()
}

func (n *node) note(text string) {
	n.mu.Lock()
	n.log = append(n.log, text)
	n.mu.Unlock()
	n.wake()
}

func (n *node) wake() {
	select {
	case n.told <- struct{}{}:
	default:
	}
}

// await waits until ok, which is asked whenever the node was told something.
func (n *node) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		n.mu.Lock()
		done := ok()
		n.mu.Unlock()
		if done {
			return
		}
		select {
		case <-n.told:
		case <-limit:
			n.mu.Lock()
			defer n.mu.Unlock()
			t.Fatalf("%s: not %s: %v; %v; %d batches", n.link.Name(), what, n.interest, n.log, len(n.batches))
		}
	}
}

func (n *node) knows(of string, want ...Interest) func() bool {
	return func() bool {
		set, ok := n.interest[of]
		return ok && len(set) == len(want) && !slices.ContainsFunc(want, func(i Interest) bool { return !set[i] })
	}
}

// hub is a NATS server in this process.
func hub(t testing.TB) *server.Server {
	s, err := server.NewServer(&server.Options{ServerName: "hub", DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func join(t testing.TB, s *server.Server, name string, o LinkOptions) (*node, error) {
	return joinBy(t, s, name, o, 0)
}

// joinBy is join by a connection that reads that much late meanwhile.
func joinBy(t testing.TB, s *server.Server, name string, o LinkOptions, late time.Duration) (*node, error) {
	slow := &atomic.Int64{}
	conn, err := nats.Connect("", nats.InProcessServer(lateServer{s, slow}), nats.Name(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	n := &node{names: map[int]string{}, interest: map[string]map[Interest]bool{}, told: make(chan struct{}, 1)}
	n.back = &Backbone{options: Options{Node: name, Prefix: "weft", Logger: slog.New(slog.DiscardHandler)}, conn: conn}
	o.Handler = n
	if o.Every == 0 {
		o.Every, o.Silence = 50*time.Millisecond, time.Minute // nobody is forgotten because the machine is slow
	}
	slow.Store(int64(late))
	n.link, err = n.back.Link(t.Context(), o)
	if slow.Store(0); err == nil {
		t.Cleanup(func() { _ = n.link.Close(context.WithoutCancel(t.Context())) })
	}
	return n, err
}

// lateServer is a server whose connections read what it says that many ns late.
type lateServer struct {
	*server.Server
	late *atomic.Int64
}

type lateConn struct {
	net.Conn
	late *atomic.Int64
}

func (s lateServer) InProcessConn() (net.Conn, error) {
	c, err := s.Server.InProcessConn()
	return lateConn{c, s.late}, err
}

func (c lateConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	time.Sleep(time.Duration(c.late.Load())) // the slow machine itself
	return n, err
}

func mustJoin(t testing.TB, s *server.Server, name string, o LinkOptions) *node {
	t.Helper()
	n, err := join(t, s, name, o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func pattern(text string) Interest { return Interest{InPattern, text} }

func TestLink(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("link", func(t *testing.T) {
		s := hub(t)
		a := mustJoin(t, s, "a", LinkOptions{})
		a.link.Add(pattern("x/+"))
		b := mustJoin(t, s, "b.1", LinkOptions{})
		b.link.Add(pattern("y/#"))
		b.link.Add(pattern("y/#"))
		b.await(t, "told of a's", b.knows("a", pattern("x/+")))
		a.await(t, "told of b's", a.knows("b.1", pattern("y/#")))
		b.link.Remove(pattern("y/#"))
		b.link.Add(Interest{InName, "7"})
		a.await(t, "told of b's name", a.knows("b.1", pattern("y/#"), Interest{InName, "7"}))
		b.link.Remove(pattern("y/#"))
		a.await(t, "told that it is gone", a.knows("b.1", Interest{InName, "7"}))

		to := a.link.Nodes()[0]
		if to.Name != "b.1" || to.Interests != 1 || !to.Synced {
			t.Fatalf("a knows %+v", to)
		}
		for i := range 1000 {
			if err := a.link.Send(to.Slot, append(a.link.BeginBatch(nil), strconv.Itoa(i)...)); err != nil {
				t.Fatal(err)
			}
		}
		b.await(t, "sent all", func() bool { return len(b.batches) == 1000 })
		for i, got := range b.batches {
			if got != strconv.Itoa(i) {
				t.Fatalf("batch %d is %q", i, got)
			}
		}

		if _, err := join(t, s, "a", LinkOptions{}); !errors.Is(err, ErrNodeTaken) {
			t.Fatalf("a second node called a: %v", err)
		}
		if err := b.link.Withdraw(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b.mu.Lock(); b.batches[len(b.batches)-1] != "last" {
			t.Error("withdrawn, and what was meant for it is not there")
		}
		b.mu.Unlock()
		a.await(t, "told that b wants nothing", a.knows("b.1"))
		b.link.Add(pattern("z"))
		if err := b.link.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.await(t, "told that b is gone", func() bool { return slices.Contains(a.log, "left b.1: it ended") })
		if err := a.link.Send(to.Slot, nil); !errors.Is(err, ErrNoNode) {
			t.Fatalf("sent to a node that is gone: %v", err)
		}
		again := mustJoin(t, s, "b.1", LinkOptions{})
		again.await(t, "told of a's", again.knows("a", pattern("x/+")))
		if slot := a.link.Nodes()[0].Slot; slot != to.Slot {
			t.Errorf("the node had slot %d and has %d", to.Slot, slot)
		}
		if st := a.link.Stats(); st.Malformed+st.Conflicts+st.Refused+st.Overflowed > 0 || st.Told != 1 {
			t.Errorf("a counts %+v", st)
		}
	})
}

// TestLinkAtOnce: of nodes that start at the same time under one name, one stays,
// however long any of them takes to read what the others say.
func TestLinkAtOnce(t *testing.T) {
	s := hub(t)
	for round := range 6 {
		var late time.Duration
		if round%3 == 2 {
			late = settleFor * 4 / 3 // an answer comes later than anybody waits for a claim
		}
		name := fmt.Sprint("same", round)
		results := make([]error, 4)
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() { _, results[i] = joinBy(t, s, name, LinkOptions{Every: time.Minute, Silence: time.Hour}, late) })
		}
		all.Wait()
		ok := 0
		for _, err := range results {
			if err == nil {
				ok++
			} else if !errors.Is(err, ErrNodeTaken) || !strings.Contains(err.Error(), "backbone.name") {
				t.Error(err)
			}
		}
		if ok != 1 {
			t.Fatalf("%d nodes have the name: %v", ok, results)
		}
	}
}

// TestLinkRepairs: what was missed is noticed by the beat, and told again; a node that
// is silent is forgotten, and known again when it is back.
func TestLinkRepairs(t *testing.T) {
	s := hub(t)
	a := mustJoin(t, s, "a", LinkOptions{})
	b := mustJoin(t, s, "b", LinkOptions{Every: 30 * time.Millisecond, Silence: time.Minute})
	a.link.Add(pattern("one"))
	b.await(t, "told", b.knows("a", pattern("one")))

	// b hears nothing for a while, and then all but the deltas.
	b.link.subs[0].SetPendingLimits(1, 1)
	b.link.mu.Lock() // it cannot listen
	for i := range 50 {
		a.link.Add(pattern(fmt.Sprint(i)))
		a.link.Remove(pattern(fmt.Sprint(i - 1)))
		time.Sleep(2 * coalesce) // not to wait for something: each is to be a delta of its own
	}
	b.link.mu.Unlock()
	b.link.subs[0].SetPendingLimits(batchCount, batchBytes)
	b.await(t, "repaired", b.knows("a", pattern("one"), pattern("49")))
	if b.link.Stats().Repairs == 0 {
		t.Error("nothing was missed: this tests nothing")
	}

	// A digest that is wrong, as if a bit had changed.
	b.link.mu.Lock()
	b.link.peers["a"].mirror.digest++
	delete(b.link.peers["a"].mirror.set, pattern("49"))
	b.link.mu.Unlock()
	b.mu.Lock()
	delete(b.interest["a"], pattern("49"))
	b.mu.Unlock()
	b.await(t, "repaired", b.knows("a", pattern("one"), pattern("49")))

	// Too much for one message.
	want := []Interest{pattern("one"), pattern("49")}
	for i := range 40 {
		p := pattern(strings.Repeat("x", 60_000) + fmt.Sprint(i))
		want = append(want, p)
		a.link.Add(p)
	}
	b.await(t, "told of what is too much for one message", b.knows("a", want...))

	// a falls silent, as by a partition, and is back.
	close(a.link.end)
	a.link.running.Wait()
	b.link.mu.Lock()
	b.link.o.Silence = 300 * time.Millisecond
	b.link.mu.Unlock()
	b.await(t, "told that a is silent", func() bool { return slices.Contains(b.log, "left a: it is silent") })
	a.link.end = make(chan struct{})
	a.link.running.Go(a.link.run)
	b.await(t, "told again", b.knows("a", want...))
}

// TestLinkTaken: whatever a node adds and removes, another knows it in the end.
func TestLinkTaken(t *testing.T) {
	s := hub(t)
	a, b := mustJoin(t, s, "a", LinkOptions{Interests: 30}), mustJoin(t, s, "b", LinkOptions{})
	here := map[Interest]bool{}
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(1, 30).Draw(r, "steps") {
			i := Interest{rapid.SampledFrom([]InterestKind{InPattern, InName, InQueue, InShared}).Draw(r, "kind"), fmt.Sprintf("%d/%d", rapid.IntRange(0, 9).Draw(r, "x"), rapid.IntRange(0, 9).Draw(r, "y"))}
			if here[i] {
				a.link.Remove(i)
			} else {
				a.link.Add(i)
			}
			here[i] = !here[i]
		}
	})
	b.await(t, "told all", func() bool {
		list, _, _ := a.link.set.all()
		want := map[Interest]bool{}
		for _, i := range list {
			want[i] = true
		}
		a.link.set.mu.Lock()
		defer a.link.set.mu.Unlock()
		return len(a.link.set.change) == 0 && maps.Equal(want, b.interest["a"])
	})
}

// A node whose clock was set back between two lives is not kept out.
func TestLinkClockSetBack(t *testing.T) {
	s := hub(t)
	a := mustJoin(t, s, "a", LinkOptions{Every: 20 * time.Millisecond, Silence: 200 * time.Millisecond})
	b := mustJoin(t, s, "b", LinkOptions{})
	a.await(t, "told of b", func() bool { return slices.Contains(a.log, "joined b") })
	if err := b.link.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.await(t, "told that b ended", func() bool { return strings.HasPrefix(a.log[len(a.log)-1], "left b") })
	a.link.mu.Lock()
	end := a.link.over["b"]
	end.life += uint64(time.Hour) // the clock was an hour ahead then
	a.link.over["b"] = end
	a.link.mu.Unlock()
	mustJoin(t, s, "b", LinkOptions{})
	a.await(t, "told of b's next life", func() bool { return strings.HasPrefix(a.log[len(a.log)-1], "joined b") })
}
