package server_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

const overlooked = recorded + `
routes:
  - {name: hot, when: {topic: "second"}, to: [subscribers, "queue:nobody"], chain: [{plugin: guest, config: {messages: "set routed yes"}}]}
`

// look is how the server is.
func (f *fixture) look() *weftv1.Snapshot {
	f.t.Helper()
	shown, err := f.Overview().Look(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return shown
}

// lookUntil looks until it is as it should be.
func (f *fixture) lookUntil(what string, ok func(*weftv1.Snapshot) bool) *weftv1.Snapshot {
	f.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		shown := f.look()
		if ok(shown) {
			return shown
		}
		if time.Now().After(end) {
			f.t.Fatalf("%s: %v", what, shown)
		}
	}
}

func mapNode(t *testing.T, shown *weftv1.Snapshot, id string) *weftv1.MapNode {
	t.Helper()
	for _, n := range shown.GetMap().GetNodes() {
		if n.GetId() == id {
			return n
		}
	}
	t.Fatalf("no node %s in %v", id, shown.GetMap().GetNodes())
	return nil
}

func mapEdge(t *testing.T, shown *weftv1.Snapshot, from, to string) *weftv1.MapEdge {
	t.Helper()
	for _, e := range shown.GetMap().GetEdges() {
		if e.GetFrom() == from && e.GetTo() == to {
			return e
		}
	}
	t.Fatalf("no edge from %s to %s in %v", from, to, shown.GetMap().GetEdges())
	return nil
}

// balanced tells whether every message that came in is accounted for.
func balanced(l *weftv1.DropLedger) bool {
	return int64(l.GetIn()+l.GetEmitted()+l.GetRecalled()) ==
		int64(l.GetDelivered()+l.GetLogged()+l.GetReplied()+l.GetFiltered()+l.GetDropped()+l.GetDead())+l.GetInFlight()
}

// The snapshot says what has passed, by which way, and what became of it.
func TestOverview(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, overlooked)
			sub, err := f.Bus().Subscribe(t.Context(), []string{"second"}, 100)
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Close()
			quiet := f.look()
			if v := quiet.GetVerdict(); v.GetLevel() != weftv1.Level_LEVEL_OK || quiet.GetInterval() == nil || quiet.GetInstance().GetState() != "running" {
				t.Errorf("at rest: %v %v", v, quiet.GetInstance())
			}
			const sent = 20
			c := f.dial("in")
			for range sent {
				c.say(abi.Message{Type: abi.TypeEvent, Payload: []byte("continue")})
			}
			f.await("weft_messages_delivered_total", sent)
			if _, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("nobody/listens")}); err != nil {
				t.Fatal(err)
			}
			shown := f.lookUntil("all is counted", func(s *weftv1.Snapshot) bool {
				e := mapEdge(t, s, "route:default", "to:subscribers")
				return e.GetMessages() == 1 && mapEdge(t, s, "plugin:route:hot:0", "to:subscribers").GetMessages() == sent
			})
			if l := shown.GetLedger(); l.GetIn() != sent+1 || l.GetDelivered() != sent || l.GetDropped() != 1 || !balanced(l) || l.GetReasons()[0].GetReason() != "no_subscriber" {
				t.Errorf("the ledger: %v", l)
			}
			for _, way := range []struct {
				from, to string
				messages uint64
			}{
				{"listener:in", "plugin:listener:in:0", sent}, {"plugin:listener:in:0", "plugin:listener:in:1", sent}, {"plugin:listener:in:1", "route:hot", sent},
				{"route:hot", "plugin:route:hot:0", sent}, {"plugin:route:hot:0", "to:queue:nobody", sent}, {"api", "route:default", 1},
			} {
				if e := mapEdge(t, shown, way.from, way.to); e.GetMessages() != way.messages {
					t.Errorf("from %s to %s: %d messages, not %d", way.from, way.to, e.GetMessages(), way.messages)
				}
			}
			if n := mapNode(t, shown, "to:queue:nobody"); n.GetDrops() != sent {
				t.Errorf("nobody takes from the queue: %v", n)
			}
			if n := mapNode(t, shown, "plugin:listener:other:0"); n.GetRate() != 0 || n.GetName() != "guest" || n.GetColumn() != 1 {
				t.Errorf("a plugin at which nothing has come: %v", n)
			}
			if n := mapNode(t, shown, "listener:in"); n.GetConnections() != 1 || n.GetAddress() == "" || n.GetProtocol() != "mcp-seq" {
				t.Errorf("the listener: %v", n)
			}
			all := f.MetricOf("weft_message_seconds")
			if all <= 0 {
				t.Errorf("the messages took %v s", all)
			}
			if c := shown.GetChanges(); len(c) == 0 || c[len(c)-1].GetWhat() != "running" {
				t.Errorf("the changes: %v", c)
			}
		})
	}
}

// Rates and percentiles are about the interval between two looks.
func TestOverviewRates(t *testing.T) {
	f := start(t, "auto", overlooked)
	f.look()
	c := f.dial("in")
	for range 100 {
		c.say(abi.Message{Type: abi.TypeEvent, Payload: []byte("continue")})
	}
	var seen uint64
	passed, busy := false, false // in a part of the time each, when a look comes between them
	f.lookUntil("all have gone", func(s *weftv1.Snapshot) bool {
		seen += s.GetSignals().GetLatency().GetCount()
		passed = passed || s.GetSignals().GetInRate() > 0
		busy = busy || s.GetSignals().GetSaturation().GetBusiest() > 0
		if n := s.GetSignals().GetLatency(); n.GetCount() > 0 && (n.GetP50().AsDuration() <= 0 || n.GetMax().AsDuration() < n.GetP99().AsDuration()) {
			t.Errorf("how long they took: %v", n)
		}
		return seen >= 100 && passed && busy
	})
	if seen != 100 {
		t.Errorf("%d were timed", seen)
	}
	calm := f.lookUntil("nothing passes any more", func(s *weftv1.Snapshot) bool { return s.GetSignals().GetInRate() == 0 })
	if calm.GetSignals().GetLatency().GetCount() != 0 {
		t.Errorf("nothing has passed, and yet: %v", calm.GetSignals().GetLatency())
	}
}

// The first answer has nothing to count from: it does not say that nothing passes.
func TestTheFirstOverview(t *testing.T) {
	f := start(t, "auto", overlooked)
	c := f.dial("in")
	c.say(abi.Message{Type: abi.TypeEvent, Payload: []byte("continue")})
	w, err := f.Overview().Watch(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s, err := w.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if says := s.GetVerdict().GetSentence(); s.GetInterval() != nil || len(s.GetVerdict().GetFindings()) == 0 && !strings.Contains(says, "so far") {
		t.Errorf("after %v it says: %s", s.GetInterval(), says)
	}
}

// All who watch at one interval share one computation; when they have gone nothing is
// computed any more.
func TestOverviewIsShared(t *testing.T) {
	f := start(t, "auto", overlooked)
	var watchers []admin.Watching
	for range 64 {
		w, err := f.Overview().Watch(250 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		watchers = append(watchers, w)
	}
	if _, err := f.Overview().Watch(time.Second); !errors.Is(err, admin.ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	before := f.OverviewSamples()
	for range 4 {
		for _, w := range watchers {
			if _, err := w.Next(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Each of the first four turns is one or, if this test is slow, some more; never one for each watcher.
	if taken := f.OverviewSamples() - before; taken >= 4*64 {
		t.Errorf("computed %d times for 64 watchers", taken)
	}
	for _, w := range watchers {
		w.Close()
		w.Close()
	}
	f.until("nothing is computed", func() bool {
		was := f.OverviewSamples()
		time.Sleep(600 * time.Millisecond) // more than two intervals
		return f.OverviewSamples() == was
	})
	w, err := f.Overview().Watch(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Next(ctx); err != nil {
		t.Errorf("the first one is not there at once: %v", err)
	}
}

// What goes wrong is found, with what to do about it.
func TestOverviewFindings(t *testing.T) {
	f := start(t, "auto", strings.Replace(overlooked, "{plugin: guest}]", "{plugin: guest, config: {messages: \"trap\"}}]", 1))
	f.look()
	c := f.dial("in")
	for range 5 {
		c.say(abi.Message{Type: abi.TypeEvent, Payload: []byte("continue")})
	}
	var kinds []string
	f.lookUntil("the plugin's failures are found", func(s *weftv1.Snapshot) bool {
		for _, found := range s.GetVerdict().GetFindings() {
			if found.GetRemedy() == "" || found.GetText() == "" {
				t.Errorf("not said: %v", found)
			}
			kinds = append(kinds, found.GetKind())
		}
		return slices.Contains(kinds, "plugin-resting") || slices.Contains(kinds, "plugin-trapping")
	})
}
