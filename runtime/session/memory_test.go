package session_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/weftrun/weft/runtime/session"
)

// TestSessionsAreSmall measures what a session with a name and a subscription of
// its own takes, everything in all: the goal for an idle connection is 512 bytes.
func TestSessionsAreSmall(t *testing.T) {
	const n = 20_000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, c := range []struct {
		what        string
		named, own  bool
		bytesAtMost uint64
	}{
		{"anonymous", false, false, 160},
		{"with a name", true, false, 260},
		{"with a name and a topic", true, true, 512},
	} {
		r := newRegistry(session.Limits{})
		sessions := make([]*session.Session, n)
		remote := netip.MustParseAddrPort("127.0.0.1:5000")
		before := heap()
		for i := range sessions {
			s := session.New(uint64(i+1), 0, 0, remote)
			sessions[i] = s
			if c.named {
				if _, err := r.Claim(s, fmt.Append(nil, "truck-", i), session.Refuse); err != nil {
					t.Fatal(err)
				}
			}
			if c.own {
				if _, err := r.Subscribe(s, fmt.Sprint("truck/", s.Name(), "/in/#")); err != nil {
					t.Fatal(err)
				}
			}
		}
		each := (heap() - before) / n
		t.Logf("a session %s: %d bytes", c.what, each)
		if each > c.bytesAtMost {
			t.Errorf("a session %s takes %d bytes, at most %d are meant", c.what, each, c.bytesAtMost)
		}
		runtime.KeepAlive(sessions)
		runtime.KeepAlive(r)
	}
}
