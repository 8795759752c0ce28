package hostfuncs

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
)

// TestFullIsNotDear: however many entries there are, a plugin that keeps something
// expiring in a full namespace does not make every refusal look at all of them.
func TestFullIsNotDear(t *testing.T) {
	const size, rounds, most = 4 << 20, 4000, time.Second
	spaces := map[string]func(*Namespace) keySpace{
		"namespace": func(s *Namespace) keySpace { return s },
		"shadow":    func(s *Namespace) keySpace { return newOverlay(s) },
	}
	for name, of := range spaces {
		t.Run(name, func(t *testing.T) {
			now := stillClock(1e9)
			below, err := NewKV(&now).Namespace("n", size)
			if err != nil {
				t.Fatal(err)
			}
			s := of(below)
			for i := 0; ; i++ {
				if _, status := s.Set(fmt.Append(nil, i), nil, 0); status != abi.StatusOK {
					break
				}
			}
			for _, i := range []int{7, 8, 9} {
				s.Delete(fmt.Append(nil, i))
			}
			large := make([]byte, 1<<10)
			began := worked(t)
			for range rounds {
				s.Set([]byte("7"), nil, 1)
				now += 1e6
				if _, status := s.Set([]byte("8"), large, 0); status != abi.StatusLimit {
					t.Fatalf("a value for which there is no room: %v", status)
				}
			}
			if took := worked(t) - began; took > most {
				t.Errorf("%d refusals took %v", rounds, took)
			}
		})
	}
}

// TestExpiryModel: what a namespace and a shadow of it refuse is what has no room
// beside the entries that live, and what lists the keys by their time is in order.
func TestExpiryModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := stillClock(1e9)
		below, err := NewKV(&now).Namespace("n", 10*(entryCost+1))
		if err != nil {
			t.Fatal(err)
		}
		var s keySpace = below
		o := newOverlay(below)
		if rapid.Bool().Draw(t, "shadow") {
			s = o
		}
		expires := map[string]int64{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now += stillClock(rapid.Int64Range(0, 3e6).Draw(t, "pause"))
			for key, at := range expires {
				if at != 0 && at <= int64(now) {
					delete(expires, key)
				}
			}
			key := string(rune('a' + rapid.IntRange(0, 14).Draw(t, "key")))
			ttl := rapid.SampledFrom([]int64{0, 1, 2, 9}).Draw(t, "ttl")
			if rapid.IntRange(0, 5).Draw(t, "delete") == 0 {
				_, there := expires[key]
				if s == keySpace(o) {
					continue // the mark that a key is deleted takes room in a shadow
				}
				if status := s.Delete([]byte(key)); (status == abi.StatusOK) != there {
					t.Fatalf("delete: %v, there: %v", status, there)
				}
				delete(expires, key)
				continue
			}
			_, there := expires[key]
			_, status := s.Set([]byte(key), nil, ttl)
			if want := there || len(expires) < 10; (status == abi.StatusOK) != want {
				t.Fatalf("set %s beside %d others: %v", key, len(expires), status)
			}
			if status == abi.StatusOK {
				expires[key] = 0
				if ttl > 0 {
					expires[key] = int64(now) + ttl*1e6
				}
			}
			for i := range below.shards {
				inOrder(t, below.shards[i].expiring)
				if sh := &below.shards[i]; sh.earliest.Load() != sh.expiring.next() {
					t.Fatalf("earliest %d, expected %d", sh.earliest.Load(), sh.expiring.next())
				}
			}
			inOrder(t, o.expiring)
		}
	})
}

func inOrder(t *rapid.T, x expiries) {
	for i, n := range x {
		if n.at != i || n.expires == 0 || i > 0 && n.expires < x[(i-1)/2].expires {
			t.Fatalf("place %d: key %s at %d, expires %d", i, n.key, n.at, n.expires)
		}
	}
}

// worked is what this process has taken of the processors: other than the time of day
// it does not pass while somebody else has them.
func worked(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
