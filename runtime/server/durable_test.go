package server_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// durableConfig is a configuration with a durable route, its log in the folder.
func durableConfig(folder, more string) string {
	return fmt.Sprintf(`
loops: %%d
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: "d/lines"}
routes:
  - {name: kept, when: {topic: "d/#"}, to: [subscribers], durable: {%s}}
backbone: {data: %q, name: one}
api: {address: "127.0.0.1:0"}
`, more, folder)
}

func eachLoops(t *testing.T, run func(t *testing.T, loops int)) {
	for loops := 1; loops <= 2; loops++ {
		t.Run(fmt.Sprint("loops ", loops), func(t *testing.T) { run(t, loops) })
	}
}

// What is acknowledged has gone through the log, and comes out of it in order.
func TestADurableRouteDelivers(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, "auto", withLoops(durableConfig(t.TempDir(), ""), loops))
		sub, pub := f.mqtt(packet.V5, "sub"), f.mqtt(packet.V311, "pub")
		sub.subscribes(to("d/#", 1))
		for i := range 50 {
			if code := pub.publishes(message(fmt.Sprint("d/", i%7), fmt.Sprint(i), 1)); code != packet.Success {
				t.Fatal(code)
			}
		}
		for i := range 50 {
			sub.gets(fmt.Sprint(i))
		}
		f.await("weft_log_lag", 0)
		f.end()
		if l := f.Ledger(); l.Logged != 50 || l.Recalled != 50 || l.Copies != 50 || l.Delivered != 50+l.Emitted || l.Lost() != 0 {
			t.Errorf("%+v", l)
		}
	})
}

// A line is acknowledged when the log has it, in order with those that go past it.
func TestFramesAreAcknowledgedByTheLog(t *testing.T) {
	f := start(t, "auto", withLoops(durableConfig(t.TempDir(), ""), 1))
	c := f.dial("lines")
	var all strings.Builder
	for i := range 100 {
		fmt.Fprintf(&all, "%d\n", i)
	}
	if _, err := c.Write([]byte(all.String())); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if got := c.hear(); string(got.Payload) != fmt.Sprint("ACK: ", i) {
			t.Fatalf("%q, want the acknowledgement of %d", got.Payload, i)
		}
	}
	if n := f.Metric("weft_log_appended_total"); n != 100 {
		t.Errorf("%v records are in the log", n)
	}
}

func TestTheAPIWaitsForTheLog(t *testing.T) {
	f := start(t, "auto", withLoops(durableConfig(t.TempDir(), ""), 2))
	r, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("d/x"), Payload: []byte("one")})
	if err != nil || !r.Logged || r.Dropped != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if n := f.Metric("weft_log_appended_total"); n != 1 {
		t.Errorf("%v records are in the log", n)
	}
	if r, err = f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("other")}); err != nil || r.Logged || r.Dropped != "no_subscriber" {
		t.Fatalf("%+v, %v", r, err)
	}
}

// A session that was away, also while weft was, gets what it has not acknowledged, in
// order, though its memory holds far less.
func TestASessionReadsBackWhatItMissed(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		folder := t.TempDir()
		config := strings.Replace(withLoops(durableConfig(folder, ""), loops), "frame: mqtt}", "frame: mqtt, mqtt: {queue: {messages: 20}, window: 8}}", 1)
		f := start(t, "auto", config)
		sub, pub := f.mqtt(packet.V5, "sub", persistent), f.mqtt(packet.V5, "pub")
		sub.subscribes(to("d/#", 1))
		pub.publishes(message("d/0", "first", 1))
		sub.gets("first")
		sub.leaves()
		for i := range 200 {
			pub.publishes(message(fmt.Sprint("d/", i%3), fmt.Sprint(i), 1))
		}
		f.end()

		f = start(t, "auto", config)
		sub = f.mqttDial(packet.V5)
		if ack := sub.connect("sub", persistent); !ack.SessionPresent {
			t.Fatal("the session has not outlived the process")
		}
		for i := range 100 {
			sub.gets(fmt.Sprint(i))
		}
		sub.breaks(f)
		pub = f.mqtt(packet.V5, "pub")
		pub.publishes(message("d/0", "last", 1))
		sub = f.mqttDial(packet.V5)
		sub.connect("sub", persistent)
		for next := 100; next < 200; {
			m := sub.hears()
			sub.acks(packet.TypePuback, m.ID)
			var n int
			if fmt.Sscan(string(m.Payload), &n); n > next {
				t.Fatalf("got %d, want %d", n, next)
			}
			next = max(next, n+1)
		}
		sub.gets("last")
		sub.quiet()
	})
}

// A log that is full says so, in every protocol: the records' number, or their size.
func TestAFullLogIsTold(t *testing.T) {
	for _, bound := range []string{"messages: 3", "size: 64KiB"} {
		t.Run(bound, func(t *testing.T) { testAFullLogIsTold(t, bound) })
	}
}

func testAFullLogIsTold(t *testing.T, bound string) {
	f := start(t, "auto", withLoops(durableConfig(t.TempDir(), bound), 1))
	pub := f.mqtt(packet.V5, "pub")
	large := strings.Repeat("does not fit ", 500)
	code := packet.Success
	for i := 0; i < 100 && code == packet.Success; i++ {
		code = pub.publishes(message("d/0", large, 1))
	}
	if code != packet.QuotaExceeded {
		t.Errorf("PUBACK says %v", code)
	}
	old := f.mqtt(packet.V311, "old")
	m := message("d/0", large, 1)
	old.sends(&m)
	if b := old.packet(); b != nil {
		t.Errorf("version 3.1.1 got %x", b)
	}
	if _, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("d/x"), Payload: []byte(large)}); err == nil || !strings.Contains(err.Error(), "the log is full") {
		t.Errorf("the API says %v", err)
	}
	res, err := http.Post(f.url()+"/v1/publish/d/x", "text/plain", strings.NewReader(large))
	if err != nil {
		t.Fatal(err)
	}
	says, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusInsufficientStorage || !strings.Contains(string(says), "the log is full") {
		t.Errorf("HTTP says %d %s, %v", res.StatusCode, says, err)
	}
	line := f.dial("lines")
	line.say(text(large))
	f.awaitOf("weft_messages_dropped_total", "log_full", 5)
	_ = line.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if b, err := line.in.ReadByte(); err == nil {
		t.Errorf("a line was answered with %q", b)
	}
}

// Who sends more at once than a log can take is not read from for a while: nothing is
// dropped, and everything is acknowledged in order.
func TestAFloodWaitsForTheLog(t *testing.T) {
	f := start(t, "auto", withLoops(durableConfig(t.TempDir(), "size: 64MiB"), 1))
	c := f.dial("lines")
	const lines = 40000
	go func() {
		var all strings.Builder
		for i := range lines {
			fmt.Fprintf(&all, "%d\n", i)
		}
		_, _ = c.Write([]byte(all.String()))
	}()
	for i := range lines {
		if i%100 == 0 {
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		}
		line, err := c.in.ReadString('\n')
		if err != nil || line != fmt.Sprintf("ACK: %d\n", i) {
			t.Fatalf("line %d: %q, %v", i, line, err)
		}
	}
	if l := f.Ledger(); l.Lost() != 0 {
		t.Errorf("%+v", l)
	}
}

// A log that was lost begins anew: who had read the former one to its end gets what
// comes, though its numbers are smaller.
func TestALogThatBeginsAnew(t *testing.T) {
	folder := t.TempDir()
	config := withLoops(durableConfig(folder, ""), 2)
	f := start(t, "auto", config)
	sub, pub := f.mqtt(packet.V5, "sub", persistent), f.mqtt(packet.V5, "pub")
	sub.subscribes(to("d/#", 1))
	for i := range 20 {
		pub.publishes(message("d/x", fmt.Sprint(i), 1))
		sub.gets(fmt.Sprint(i))
	}
	f.end()
	logs, err := filepath.Glob(filepath.Join(folder, "jetstream", "*", "streams", "*_log_kept"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	if err := os.RemoveAll(logs[0]); err != nil {
		t.Fatal(err)
	}
	f = start(t, "auto", config)
	pub = f.mqtt(packet.V5, "pub")
	pub.publishes(message("d/x", "new", 1))
	sub = f.mqttDial(packet.V5)
	if ack := sub.connect("sub", persistent); !ack.SessionPresent {
		t.Error("the session is gone")
	}
	sub.gets("new")
}

// A node that is new to a log, as after a change of its name, does not deliver what is in
// it again to whoever is connected; a session that was away gets what it has not had.
func TestANodeOfAnotherNameDeliversNothingAgain(t *testing.T) {
	config := withLoops(durableConfig(t.TempDir(), ""), 1)
	f := start(t, "auto", config)
	away := f.mqtt(packet.V5, "away", persistent)
	away.subscribes(to("d/new", 1))
	away.leaves()
	lines := f.dial("lines")
	var all strings.Builder
	const n = 20_000 // the new node would take a while
	for i := range n {
		fmt.Fprintf(&all, "%d\n", i)
	}
	if _, err := lines.Write([]byte(all.String())); err != nil {
		t.Fatal(err)
	}
	f.await("weft_log_appended_total", n)
	pub := f.mqtt(packet.V5, "pub")
	pub.publishes(message("d/new", "missed", 1))
	f.await("weft_log_lag", 0)
	f.end()

	f = start(t, "auto", strings.Replace(config, "name: one", "name: two", 1))
	sub := f.mqtt(packet.V5, "sub")
	sub.subscribes(to("d/#", 1))
	f.await("weft_log_lag", 0)
	sub.quiet()
	away = f.mqttDial(packet.V5)
	if ack := away.connect("away", persistent); !ack.SessionPresent {
		t.Fatal("the session has not outlived the process")
	}
	away.gets("missed")
	pub = f.mqtt(packet.V5, "pub")
	pub.publishes(message("d/new", "next", 1))
	sub.gets("next")
	away.gets("next")
}

// What a node of another name had not had does not keep messages in the log for ever: with
// the backbone in the process there is no other node.
func TestALogIsReleasedAfterAChangeOfName(t *testing.T) {
	config := withLoops(durableConfig(t.TempDir(), "keep: delivered, messages: 20"), 1)
	f := start(t, "auto", config)
	pub := f.mqtt(packet.V5, "pub")
	for range 10 {
		pub.publishes(message("d/0", "before", 1))
	}
	f.await("weft_log_lag", 0)
	f.end()

	f = start(t, "auto", strings.Replace(config, "name: one", "name: two", 1))
	pub = f.mqtt(packet.V5, "pub")
	for range 4 {
		for range 10 {
			if code := pub.publishes(message("d/0", "after", 1)); code != packet.Success {
				t.Fatalf("PUBACK says %v", code)
			}
		}
		f.await("weft_log_entries", 2) // the newest of each name stays
	}
}
