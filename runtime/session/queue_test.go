package session_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weftrun/weft/runtime/session"
)

// TestAHundredThousandQueues gives each of so many sessions a group of its own. The race
// detector, for which each group's atomics cost a hundred times as much, sees a tenth of
// them: the tables grow and shrink as often, but for three times.
func TestAHundredThousandQueues(t *testing.T) {
	n := 100_000
	if underRace {
		n /= 10
	}
	r := newRegistry(session.Limits{})
	sessions := make([]*session.Session, n)
	for i := range sessions {
		sessions[i] = newSession(uint64(i + 1))
		if err := r.Join(sessions[i], fmt.Sprint("group-", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range sessions {
		if id, ok := r.Queue(fmt.Append(nil, "group-", i)).Next(); !ok || id != uint64(i+1) {
			t.Fatalf("group %d: %d, %t", i, id, ok)
		}
	}
	if got := r.Stats().Queues; got != n {
		t.Errorf("%d groups", got)
	}
	for _, s := range sessions {
		r.Close(s)
	}
	if got := r.Stats().Queues; got != 0 {
		t.Errorf("%d groups are left", got)
	}
}

// TestMembersComeAndGo has a group's members change at random: each message goes to
// a member, and each member has its turn.
func TestMembersComeAndGo(t *testing.T) {
	r := newRegistry(session.Limits{})
	random := rand.New(rand.NewPCG(1, 1))
	members := map[uint64]*session.Session{}
	for step := range 5000 {
		id := uint64(random.IntN(100) + 1)
		if random.IntN(500) == 0 {
			for id, s := range members {
				r.Close(s)
				delete(members, id)
			}
		}
		if s := members[id]; s != nil {
			r.Leave(s, "ops")
			delete(members, id)
		} else {
			members[id] = newSession(id)
			if err := r.Join(members[id], "ops"); err != nil {
				t.Fatal(err)
			}
		}
		group, served := r.Queue([]byte("ops")), map[uint64]bool{}
		for range group.Len() {
			id, ok := group.Next()
			if !ok || members[id] == nil {
				t.Fatalf("step %d: %d is no member", step, id)
			}
			served[id] = true
		}
		if len(served) != len(members) {
			t.Fatalf("step %d: %d of %d members had their turn", step, len(served), len(members))
		}
	}
}

// TestTurnsDoNotMeet has two loops look for a member at the same time: each asks every one,
// however their questions fall between each other's.
func TestTurnsDoNotMeet(t *testing.T) {
	r := newRegistry(session.Limits{})
	for id := range uint64(2) {
		if err := r.Join(newSession(id+1), "ops"); err != nil {
			t.Fatal(err)
		}
	}
	group := r.Queue([]byte("ops"))
	for range 3 {
		turns := [2]uint64{group.Turn(), group.Turn()}
		asked := [2]map[uint64]bool{{}, {}}
		for i := range uint64(group.Len()) {
			for loop := range turns {
				id, ok := group.Member(turns[loop] + i)
				if !ok {
					t.Fatal("there is no member")
				}
				asked[loop][id] = true
			}
		}
		if len(asked[0]) != 2 || len(asked[1]) != 2 {
			t.Fatalf("the loops asked %v", asked)
		}
	}
}

// TestTurnsBesideChanges asks for turns while members come and go: whoever stays
// is asked, and nobody who never was a member.
func TestTurnsBesideChanges(t *testing.T) {
	r := newRegistry(session.Limits{})
	for id := range uint64(3) {
		if err := r.Join(newSession(id+1), "ops"); err != nil {
			t.Fatal(err)
		}
	}
	var writers, readers sync.WaitGroup
	var stop atomic.Bool
	for w := range 2 {
		writers.Go(func() {
			var mine []*session.Session
			random := rand.New(rand.NewPCG(2, uint64(w)))
			for i := range 10_000 {
				if len(mine) == 0 || len(mine) < 40 && random.IntN(2) == 0 {
					s := newSession(uint64(1000 + 10_000*w + i))
					_ = r.Join(s, "ops")
					mine = append(mine, s)
					continue
				}
				at := random.IntN(len(mine))
				r.Close(mine[at])
				mine = slices.Delete(mine, at, at+1)
			}
			for _, s := range mine {
				r.Close(s)
			}
		})
	}
	readers.Go(func() {
		asked := map[uint64]int{}
		for n := 0; n < 1000 || !stop.Load(); n++ {
			id, ok := r.Queue([]byte("ops")).Next()
			if !ok || id > 3 && id < 1000 {
				t.Errorf("got %d, %t", id, ok)
				return
			}
			asked[min(id, 4)]++
		}
		for id := range uint64(3) {
			if asked[id+1] == 0 {
				t.Errorf("%d was never asked: %v", id+1, asked)
			}
		}
	})
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	if n := r.Queue([]byte("ops")).Len(); n != 3 {
		t.Errorf("%d members are left", n)
	}
}

// BenchmarkQueueOfItsOwn is what a session with a group of its own costs to come and
// to go, among 100,000 like it.
func BenchmarkQueueOfItsOwn(b *testing.B) {
	r := newRegistry(session.Limits{})
	for i := range 100_000 {
		if err := r.Join(newSession(uint64(i+1)), fmt.Sprint("group-", i)); err != nil {
			b.Fatal(err)
		}
	}
	s := newSession(1 << 30)
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Join(s, "group-of-its-own")
		r.Leave(s, "group-of-its-own")
	}
}
