package server_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// guarded has a conformance guest in a chain and a listener beside it.
const guarded = `
listeners:
  - {name: in, address: 127.0.0.1:0, frame: mcp-seq, topic: t, acknowledge: "", chain: [guest]}
  - {name: beside, address: 127.0.0.1:0, frame: line, topic: t}
plugins:
  guest: {file: ../../abi/vectors/v1.1/GUEST.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, GRANTS}}
api: {address: ""}
`

func guardedBy(guest, grants string) string {
	return strings.NewReplacer("GUEST", guest, "GRANTS", grants).Replace(guarded)
}

// sentencePatience is how long a test waits for what must happen.
const sentencePatience = 60 * time.Second

// answers tells whether what is said on a new connection to the listener is answered.
func (f *fixture) answers(listener, say string) bool {
	f.t.Helper()
	conn, err := net.DialTimeout("tcp", f.address(listener), sentencePatience)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(sentencePatience))
	if _, err := conn.Write([]byte(say)); err != nil {
		return false
	}
	_, err = conn.Read(make([]byte, 1))
	return err == nil
}

// admits tells whether a new connection to the listener is let in: one that is not is
// reset.
func (f *fixture) admits(listener string) bool {
	f.t.Helper()
	conn, err := net.DialTimeout("tcp", f.address(listener), sentencePatience)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(sentencePatience))
	if tcp, ok := conn.(*net.TCPConn); !ok || tcp.CloseWrite() != nil {
		return false
	}
	_, err = conn.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// until waits for something.
func (f *fixture) until(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(sentencePatience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("never: %s", what)
		}
	}
}

// TestPluginBlocksASource: a plugin, written on each SDK, blocks where a message comes
// from. The next connection dies, at the plugin's listeners alone, and the block ends by
// itself.
func TestPluginBlocksASource(t *testing.T) {
	for _, guest := range []string{"rust", "assemblyscript", "go"} {
		t.Run(guest, func(t *testing.T) {
			f := start(t, "auto", guardedBy(guest, "filter: {sources: 1, longest: 20s}, wasi: {}"))
			c := f.dial("in")
			c.say(text("filter-here 20001"))
			if got := strings.TrimSpace(string(c.hear().Payload)); got != "filter-here !limit" {
				t.Fatalf("beyond the longest time: %q", got)
			}
			if !f.admits("in") {
				t.Fatal("a plugin beyond its ceiling has changed something")
			}
			c.say(text("filter-here 5000"))
			if got := strings.TrimSpace(string(c.hear().Payload)); got != "filter-here ok" {
				t.Fatalf("it blocks: %q", got)
			}
			f.until("blocked", func() bool { return !f.admits("in") })
			if !f.admits("beside") {
				t.Error("the source is blocked where the plugin does not stand")
			}
			f.until("unblocked, by itself", func() bool { return f.admits("in") })
			for result, want := range map[string]float64{"limited": 1, "done": 1, "refused": 0} {
				if n := f.MetricOf("weft_plugin_filter_changes_total", "guest", result); n != want {
					t.Errorf("%v changes %s, expected %v", n, result, want)
				}
			}
		})
	}
}

// TestPluginIsOverruled: what the configuration protects no plugin blocks, and what it
// denies none lets in; a plugin that was refused can say it again.
func TestPluginIsOverruled(t *testing.T) {
	yaml := strings.Replace(guardedBy("rust", "filter: {sources: 1}"), `acknowledge: "", chain`, `acknowledge: "", filter: {protect: [127.0.0.0/8], deny: [192.0.2.0/24]}, chain`, 1)
	f := start(t, "auto", yaml)
	c := f.dial("in")
	for range 3 {
		c.say(text("filter-here 1000"))
		if got := strings.TrimSpace(string(c.hear().Payload)); got != "filter-here ok" && got != "filter-here !limit" {
			t.Fatalf("it says: %q", got)
		}
	}
	f.until("refused", func() bool { return f.MetricOf("weft_plugin_filter_changes_total", "guest", "refused") >= 1 })
	if !f.admits("in") {
		t.Error("a protected source is blocked")
	}
	f.until("room again", func() bool {
		c.say(text("filter-allow 192.0.2.7 1000"))
		return strings.TrimSpace(string(c.hear().Payload)) == "filter-allow 192.0.2.7 ok"
	})
}

// TestReloadTakesTheFilterAway: a plugin that loses the grant loses its rules.
func TestReloadTakesTheFilterAway(t *testing.T) {
	s := open(t, "auto", `config: {messages: "reply one"}`, "config: {}")
	s.write("guest.wasm", module(t, "../../abi/vectors/v1.1/rust.wasm"))
	s.configure(`config: {messages: "reply one"}`, "config: {}", "grants: {log", "grants: {filter: {}, log")
	s.reload()
	c := s.dial("seq")
	if got := strings.TrimSpace(c.ask("filter-block 127.0.0.1 0")); got != "filter-block 127.0.0.1 ok" {
		t.Fatal(got)
	}
	s.fixture.until("blocked", func() bool { return !s.admits("lines") })
	s.write("guest.wasm", module(t, inRust))
	s.configure(`config: {messages: "reply one"}`, "config: {}")
	s.reload()
	s.fixture.until("let in again", func() bool { return s.admits("lines") })
}

// offending has the policy of offenders at listeners of several protocols.
const offending = `
listeners:
  - {name: frames, address: 127.0.0.1:0, frame: line, topic: t, limits: {frame: 64B}, offenders: {failures: 3, window: 1h, block: 6s}}
  - {name: mqtt, address: 127.0.0.1:0, frame: mqtt, offenders: {failures: 3, window: 1h, block: 1h}, chain: [{plugin: guest, config: {open: "drop no"}}]}
  - {name: spared, address: 127.0.0.1:0, frame: line, topic: t, limits: {frame: 64B}, offenders: {failures: 3, window: 1h, block: 1h}, filter: {protect: [127.0.0.1]}}
  - {name: free, address: 127.0.0.1:0, frame: line, topic: t, limits: {frame: 64B}}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}}}
api: {address: ""}
`

// TestOffendersAreBlocked: who sends what is no frame, or is refused, three times, is
// blocked at that listener for a while; not where the configuration protects the source or
// has no such policy.
func TestOffendersAreBlocked(t *testing.T) {
	f := start(t, "auto", offending)
	long, connect := strings.Repeat("x", 1000)+"\n", "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"
	for range 3 {
		f.answers("spared", long)
		f.answers("free", long)
		f.answers("mqtt", connect)
		f.answers("frames", long)
	}
	f.until("blocked for frames", func() bool { return !f.answers("frames", "hello\n") })
	f.until("unblocked, by itself", func() bool { return f.answers("frames", "hello\n") })
	f.until("blocked for failing to authenticate", func() bool { return !f.answers("mqtt", connect) })
	f.until("overruled", func() bool { return f.MetricOf("weft_filter_orders_refused_total", "overruled") == 1 })
	for _, listener := range []string{"spared", "free"} {
		if !f.answers(listener, "hello\n") {
			t.Errorf("blocked at %s", listener)
		}
	}
	for _, c := range [][2]string{{"frames", "frame"}, {"mqtt", "auth"}} {
		if n := f.MetricOf("weft_filter_offenders_total", c[0], c[1]); n != 1 {
			t.Errorf("%s: %v were blocked", c[0], n)
		}
	}
}
