package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

// The sessions of a node that is gone for good end when their time is over, and not
// before; a will among them is published, once, by a node that is there.
func TestSessionsOfANodeThatIsGoneEnd(t *testing.T) {
	servers := alone(t)
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, []byte(durableNode(servers, "a", t.TempDir())), 0o600); err != nil {
		t.Fatal(err)
	}
	b := start(t, "auto", durableNode(servers, "b", t.TempDir()))
	c := start(t, "auto", durableNode(servers, "c", t.TempDir()))
	a := startChild(t, file)
	b.await("weft_link_nodes", 2)
	c.await("weft_link_nodes", 2)
	watcher := b.mqtt(packet.V5, "watcher")
	watcher.subscribes(to("wills/#", 1))
	for i, options := range [][]func(*packet.Connect){{}, {}, {willAfter(1, "wills/gone", "gone")}} {
		conn, _, err := connectFlaky(a.addr, fmt.Sprint("c", i), options...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		subscribe := packet.Subscribe{ID: 1, Filters: []packet.Subscription{to("d/#", 1)}}
		if _, err := conn.Write(packet.AppendSubscribe(nil, &subscribe, packet.V5)); err != nil {
			t.Fatal(err)
		}
		if p, err := conn.next(); err != nil || packet.TypeOf(p) != packet.TypeSuback {
			t.Fatalf("%x, %v", p, err)
		}
	}
	both := []*server.Leases{server.NewLeases(b.Server), server.NewLeases(c.Server)}
	for deadline := time.Now().Add(30 * time.Second); !both[0].Has(t.Context(), "a"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a has no lease")
		}
	}
	a.kill(t)
	b.await("weft_link_nodes", 1)
	c.await("weft_link_nodes", 1)
	now, at := time.Now().Add(-10*time.Minute), time.Duration(0) // what is due by then is due
	turn := func(after time.Duration, want uint64) {
		t.Helper()
		for at = min(at+time.Minute, after); ; at = min(at+time.Minute, after) {
			for _, l := range both {
				if err := l.Turn(t.Context(), now.Add(at)); err != nil {
					t.Fatal(err)
				}
			}
			if at == after {
				break
			}
		}
		if n := both[0].Outlived() + both[1].Outlived(); n != want {
			t.Fatalf("%v after: %d sessions have ended, not %d", after, n, want)
		}
	}
	turn(0, 0)
	turn(2*time.Minute, 0)
	watcher.quiet()
	away, cancel := context.WithCancel(t.Context())
	cancel()
	for at = 3 * time.Minute; at < 6*time.Minute; at += time.Minute {
		for _, l := range both {
			if l.Turn(away, now.Add(at)) == nil {
				t.Fatal("the backbone is not away")
			}
		}
	}
	turn(6*time.Minute, 0) // nobody could renew a lease meanwhile, nor see that it was
	if n := b.Metric("weft_sessions_moved_total") + c.Metric("weft_sessions_moved_total"); n != 0 {
		t.Fatalf("%v sessions of a node are taken over whose lease is over for nobody yet", n)
	}
	turn(10*time.Minute, 0) // a is gone: the will is due, the sessions live for an hour
	watcher.gets("gone")
	comesBack(b, packet.V5, "c0")
	turn(30*time.Minute, 0)
	turn(2*time.Hour, 1) // c1 alone: the others are here
	turn(4*time.Hour, 1)
	watcher.quiet()
}
