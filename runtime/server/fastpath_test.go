package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/datagram"
	"github.com/weftrun/weft/runtime/server"
)

const filtered = `
listeners:
  - {name: lines, address: 127.0.0.1:0, frame: line, filter: {}}
  - {name: packets, address: 127.0.0.1:0, frame: mcp-dgram, filter: {}}
api: {address: ""}
watch: false
`

var loopback = netip.MustParsePrefix("127.0.0.1/32")

// filterPatience is how long a test waits for what must happen.
const filterPatience = 60 * time.Second

// filtering is a server whose configuration a test changes.
type filtering struct {
	*fixture
	yaml atomic.Pointer[string]
	log  *lockedBuffer
}

func startFiltering(t *testing.T, driver, yaml string) *filtering {
	t.Helper()
	f := &filtering{log: &lockedBuffer{}}
	f.yaml.Store(&yaml)
	srv, err := server.New(t.Context(), server.Options{
		Config: load(t, yaml), Logger: textLogger(f.log), Driver: driver,
		Reload: func(context.Context) (*config.Config, error) { return parse(*f.yaml.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.fixture = run(t, srv)
	return f
}

func (f *filtering) reload(old, with string) {
	f.t.Helper()
	text := strings.ReplaceAll(*f.yaml.Load(), old, with)
	f.yaml.Store(&text)
	if err := f.Reload(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// serves tells whether a new connection to the listener is served.
func (f *filtering) serves(listener string) bool {
	f.t.Helper()
	conn, err := net.DialTimeout("tcp", f.address(listener), time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(filterPatience))
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		return false
	}
	_, err = conn.Read(make([]byte, 1))
	return err == nil
}

// until waits for a condition.
func (f *filtering) until(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(filterPatience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("never: %s\n%s", what, f.log)
		}
	}
}

func (f *filtering) block(listeners []string, ttl time.Duration) {
	f.t.Helper()
	if _, err := f.FastPath().Block(f.t.Context(), loopback, listeners, ttl, "a test"); err != nil {
		f.t.Fatal(err)
	}
}

func (f *filtering) counted(reason, enforcer string) float64 {
	sum := 0.0
	for _, listener := range []string{"lines", "packets"} {
		sum += f.MetricOf("weft_filter_packets_total", listener, reason, enforcer)
	}
	return sum
}

// TestFilterBlocks: who is blocked by the API is not served from then on, a reload keeps
// that, and its end ends it.
func TestFilterBlocks(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := startFiltering(t, driver, filtered)
		old := f.dial("lines")
		if !f.serves("lines") {
			t.Fatal("nobody is blocked, and it does not serve")
		}
		f.block([]string{"lines"}, 0)
		if f.serves("lines") {
			t.Error("who is blocked is served")
		}
		f.until("counted", func() bool { return f.counted("blocked", "engine") == 1 })
		f.isOver(old.Conn)
		f.reload("packets, address: 127.0.0.1:0, frame: mcp-dgram, filter: {}", "packets, address: 127.0.0.1:0, frame: mcp-dgram, filter: {rate: 5/s}")
		if f.serves("lines") {
			t.Error("after a reload who is blocked is served")
		}
		if r, err := f.FastPath().Unblock(t.Context(), loopback, ""); err != nil || len(r.GetRules()) != 1 || r.GetStill() != nil {
			t.Errorf("unblocked: %v, %v", r, err)
		}
		if !f.serves("lines") {
			t.Error("who is unblocked is not served")
		}
		if _, err := f.FastPath().Unblock(t.Context(), loopback, ""); !errors.Is(err, admin.ErrNotBlocked) {
			t.Errorf("unblocked twice: %v", err)
		}
		f.block(nil, 300*time.Millisecond)
		f.until("the block ends", func() bool { return f.serves("lines") })
		f.until("its rule is gone", func() bool {
			list, err := f.FastPath().List(t.Context(), admin.FastPathQuery{})
			return err == nil && list.GetTotal() == 0
		})
		f.until("it is seen who was dropped", func() bool {
			top, err := f.FastPath().Top(t.Context(), 10)
			return err == nil && len(top.GetSources()) == 1 && top.GetSources()[0].GetSource() == "127.0.0.1" && len(top.GetEvents()) > 0
		})
	})
}

// TestFilterReload: the configuration's rules come and go by a reload, and what cannot be
// changed so is named.
func TestFilterReload(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := startFiltering(t, driver, filtered)
		f.reload("frame: line, filter: {}", "frame: line, filter: {deny: [127.0.0.0/8]}")
		if f.serves("lines") {
			t.Error("who is denied is served")
		}
		f.until("counted", func() bool { return f.counted("denied", "engine") == 1 })
		f.reload("deny: [127.0.0.0/8]", "default: deny, allow: [127.0.0.1]")
		if !f.serves("lines") {
			t.Error("who is allowed is not served")
		}
		f.reload("allow: [127.0.0.1]", "allow: [192.0.2.1]")
		if f.serves("lines") {
			t.Error("who is not allowed is served")
		}
		f.reload("default: deny, allow: [192.0.2.1]", "protect: [127.0.0.0/8], connections: 1/h, connections_burst: 2")
		for i, want := range []bool{true, true, false} {
			if f.serves("lines") != want {
				t.Errorf("connection %d is served: %v", i+1, !want)
			}
		}
		f.until("counted", func() bool { return f.counted("connection_rate", "engine") == 1 })
		f.reload("watch: false", "watch: false\nkernel: {interfaces: [lo]}")
		if !strings.Contains(f.log.String(), "take effect after a restart") || !strings.Contains(f.log.String(), "keys=kernel") {
			t.Errorf("it is not said that the kernel block needs a restart:\n%s", f.log)
		}
	})
}

// TestFilterDatagrams: datagrams that begin as none does are dropped before anything else,
// and so are those beyond the rate.
func TestFilterDatagrams(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := startFiltering(t, driver, strings.ReplaceAll(filtered, "frame: mcp-dgram, filter: {}", "frame: mcp-dgram, filter: {rate: 1/h, burst: 3}"))
		c, err := net.Dial("udp", f.address("packets"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		header := make([]byte, 8) // a heartbeat that asks whether somebody is there
		for _, b := range [][]byte{header[:7], {0, 0, 0, 0, 0, 5, 0, 0}, {0, 0, 0, 0, 0, 0x41, 0, 0}, header, header, header, header, header} {
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		f.until("counted", func() bool {
			return f.counted("malformed", "engine") == 3 && f.counted("pass", "engine") == 3 && f.counted("rate", "engine") == 2
		})
		f.until("three datagrams are received", func() bool { return f.MetricOf("weft_received_bytes_total", "packets") == 24 })
		f.block([]string{"packets"}, 0)
		if _, err := c.Write(header); err != nil {
			t.Fatal(err)
		}
		f.until("counted", func() bool { return f.counted("blocked", "engine") == 1 })
	})
}

// TestFilterLetsClientsBe: the first bytes of a client that does what it should are never
// wrong.
func TestFilterLetsClientsBe(t *testing.T) {
	f := startFiltering(t, "auto", strings.ReplaceAll(filtered, "frame: mcp-dgram, ", `frame: mcp-dgram, subscribe: ["#"], topic: x, `))
	a, b := dialDgram(t, f.address("packets"), datagram.Config{}), dialDgram(t, f.address("packets"), datagram.Config{})
	for range 50 {
		a.say(datagram.Message{Kind: datagram.Event, Channel: 200, Payload: []byte("x")})
		b.hear()
	}
	if n := f.counted("malformed", "engine"); n != 0 {
		t.Errorf("%v datagrams of its clients were dropped", n)
	}
}

func textLogger(w *lockedBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
