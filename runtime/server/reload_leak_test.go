package server_test

import (
	"fmt"
	"maps"
	"runtime"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

// inTurns is the n-th version of a configuration in which everything takes turns. What
// ends may take two minutes for it: nothing that has ended may be kept for that long.
func inTurns(n int) string {
	bit := func(at int, text string) string {
		if n>>at&1 == 0 {
			return ""
		}
		return text
	}
	router := func(topic string) string {
		return fmt.Sprintf(`{file: "std:topic-router", config: {rules: [{when: {alarm: high}, topic: %s}]}}`, topic)
	}
	return "loops: 2\ndrain: 2m\nlisteners:\n" +
		"  - {name: in, address: \"127.0.0.1:0\", frame: length32, topic: \"t\", acknowledge: \"\", chain: [stays" + bit(0, ", {plugin: stays, config: {rules: []}}") + bit(2, ", comes") + "]}\n" +
		fmt.Sprintf("  - {name: mqtt, address: \"127.0.0.1:0\", frame: mqtt, mqtt: {max_qos: %d}}\n", 1+n%2) +
		bit(0, "  - {name: comes, address: \"127.0.0.1:0\", frame: line, chain: [stays]}\n") +
		"plugins:\n  stays: " + router("a") + "\n" + bit(2, "  comes: "+router(fmt.Sprint("b", n))+"\n") +
		"routes:\n" + bit(1, "  - {name: more, when: {topic: more}, chain: [stays], to: [all]}\n") +
		fmt.Sprintf("  - {name: first, when: {topic: t}, chain: [stays], to: [{to: \"upstream:pool\", weight: %d}, {to: \"topic:a\", weight: 2}]}\n", 1+n%3) +
		fmt.Sprintf("upstreams:\n  pool: {protocol: http, retries: 0, members: [\"127.0.0.1:9\", \"127.0.0.1:%d\"]}\n", 10+n%5) +
		bit(1, "limits: {connections: 5000}\n") + bit(0, "requests: {timeout: 7s}\n") +
		"dead_letter: {topic: \"\"}\napi: {address: \"\"}\n"
}

// However often the configuration is read again, what it has put away is gone: nothing
// that is there still, or waits, holds on to it.
func TestReloadsLeaveNothingBehind(t *testing.T) {
	f := startFiltering(t, "auto", inTurns(0))
	in, out := f.dial("in"), f.mqtt(packet.V5, "out")
	parts, made, now := map[any]server.Part{}, map[string]int{}, map[string]int{}
	for n := 1; n <= 32; n++ {
		version := inTurns(n)
		f.yaml.Store(&version)
		if err := f.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n%8 == 0 {
			f.dial("in").say(text("x")) // it stays, and what there was when it came need not
		}
		in.say(text("x"))
		out.publishes(message("t", "x", 0))
		f.Metric("weft_config_good") // a scrape may keep what it has seen
		clear(now)
		for _, p := range f.Parts() {
			parts[p.Which] = p
			now[p.Kind]++
		}
	}
	for _, p := range parts {
		made[p.Kind]++
	}
	for kind, n := range now {
		if made[kind] < 2*n {
			t.Errorf("%d of %d of the kind %q were never replaced: that shows nothing", n, made[kind], kind)
		}
	}
	isFreed := func(_ any, p server.Part) bool { return p.Freed() }
	left := map[string]int{}
	for end := time.Now().Add(filterPatience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		maps.DeleteFunc(parts, isFreed)
		clear(left)
		for _, p := range parts {
			left[p.Kind]++
		}
		maps.DeleteFunc(left, func(kind string, n int) bool { return n <= now[kind] })
		if len(left) == 0 {
			return
		}
	}
	for kind, n := range left {
		t.Errorf("%d of %d of the kind %q are still there, %d of them rightly", n, made[kind], kind, now[kind])
	}
}
