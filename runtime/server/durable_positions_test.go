package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

const destinations = `
loops: 2
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
  - {name: workers, address: "127.0.0.1:0", frame: length32, subscribe: ["queue:work"]}
routes: [{name: jobs, when: {topic: "jobs/#"}, to: %s, durable: {from: %s}}]
backbone: {data: %q, name: one}
api: {address: ""}
`

// A destination that is new to a log which is there already begins with what comes from
// then on, or with all of it; one that is taken away ends, and begins anew.
func TestADestinationThatIsNewToALog(t *testing.T) {
	for from, first := range map[string]int{"now": 5, "beginning": 0} {
		t.Run(from, func(t *testing.T) {
			folder := t.TempDir()
			const without, with = "[subscribers]", `[subscribers, "queue:work"]`
			next := 0
			live := func(to string, n int) *fixture {
				f := start(t, "auto", fmt.Sprintf(destinations, to, from, folder))
				pub := f.mqtt(packet.V5, "pub")
				for range n {
					pub.publishes(message("jobs/x", fmt.Sprint(next), 1))
					next++
				}
				return f
			}
			gets := func(f *fixture, from, to int) {
				t.Helper()
				worker := f.dial("workers")
				_ = worker.SetReadDeadline(time.Now().Add(60 * time.Second))
				want := map[string]bool{} // in any order: they were offered when nobody was there
				for i := from; i < to; i++ {
					want[fmt.Sprint(i)] = true
				}
				for len(want) > 0 {
					m, err := worker.next()
					if err != nil || !want[string(m.Payload)] {
						t.Fatalf("%q, %v, want %v", m.Payload, err, want)
					}
					delete(want, string(m.Payload))
				}
			}
			live(without, 5).end()
			f := live(with, 5)
			gets(f, first, 10)
			f.end()
			f = live(without, 5)
			f.await("weft_log_destinations_ended_total", 1)
			f.end()
			f = live(with, 5)
			if first > 0 {
				first = 15
			}
			gets(f, first, 20)
		})
	}
}

// What a node that is gone for good had not read holds a log as long as the route says.
func TestANodeThatIsGoneForGoodHoldsNoLog(t *testing.T) {
	config := strings.ReplaceAll(durableConfig("", "keep: delivered, messages: 1000, gone: 6s"), "\nbackbone:", "\n#")
	list := several(t, alone(t), 2, withLoops(config, 2))
	subs := []*mqttClient{list[0].mqtt(packet.V5, "sub a"), list[1].mqtt(packet.V5, "sub b")}
	for _, s := range subs {
		s.subscribes(to("d/#", 1))
	}
	pub := list[0].mqtt(packet.V5, "pub")
	send := func(n int, to ...*mqttClient) {
		for i := range n {
			pub.publishes(message("d/x", fmt.Sprint(i), 1))
			for _, s := range to {
				s.gets(fmt.Sprint(i))
			}
		}
	}
	send(5, subs...)
	list[0].await("weft_log_entries", 1)
	list[1].end()
	send(10, subs[0])
	if got := list[0].Metric("weft_log_entries"); got < 10 {
		t.Errorf("%v entries: the other node had not read ten", got)
	}
	waitFor(t, "the node to be gone", func() bool { return list[0].Metric("weft_log_nodes_gone_total") == 1 })
	list[0].await("weft_log_entries", 1)
}

// While nobody could give a sign of life nobody is gone: what was seen before counts from
// when the backbone is back.
func TestAnOutageIsNoSignThatANodeIsGone(t *testing.T) {
	config := strings.ReplaceAll(durableConfig("", "gone: 1h"), "\nbackbone:", "\n#")
	list := several(t, alone(t), 2, withLoops(config, 1))
	sight, now := server.NewSight(list[0].Server), time.Now()
	look := func(after time.Duration) int {
		t.Helper()
		nodes, err := sight.Look(t.Context(), now.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return nodes
	}
	waitFor(t, "the other node's position", func() bool { return look(0) == 1 })
	list[1].end()
	look(0)
	away, cancel := context.WithCancel(t.Context())
	cancel()
	at := 3 * time.Minute
	for ; at < 3*time.Hour; at += 3 * time.Minute {
		if _, err := sight.Look(away, now.Add(at)); err == nil {
			t.Fatal("the backbone is not away")
		}
	}
	if look(at) != 1 {
		t.Fatal("a node is gone that nobody could have heard of")
	}
	for until := at + 20*time.Minute; look(at) == 1; at += 3 * time.Minute {
		if at > until {
			t.Fatal("a node that is gone holds the log")
		}
	}
}

// A log whose file was cut off says so.
func TestALogThatWasCutOffSaysSo(t *testing.T) {
	folder := t.TempDir()
	config := withLoops(durableConfig(folder, ""), 1)
	f := start(t, "auto", config)
	pub := f.mqtt(packet.V5, "pub")
	for i := range 20 {
		pub.publishes(message("d/x", fmt.Sprint(i), 1))
	}
	f.end()
	f = start(t, "auto", config)
	if n := f.Metric("weft_log_cut_total"); n != 0 {
		t.Errorf("%v cuts of a log that is whole", n)
	}
	f.end()
	blocks, err := filepath.Glob(filepath.Join(folder, "jetstream", "*", "streams", "weft_log_kept", "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatal(blocks, err)
	}
	info, err := os.Stat(blocks[len(blocks)-1])
	if err == nil {
		err = os.Truncate(blocks[len(blocks)-1], info.Size()/2)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := start(t, "auto", config).Metric("weft_log_cut_total"); n != 1 {
		t.Errorf("%v cuts of a log that has lost half of its records", n)
	}
}
