package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/compiler"
	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/server"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(childConfig); file != "" {
		if err := runChild(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(compilerChild) != "" {
		if err := compiler.Serve(context.Background(), os.Stdin, os.Stdout, os.Exit); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	folder, err := os.MkdirTemp("", "weft-compiled-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	compiled = folder
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(folder)
		os.Exit(code)
	}))
}

// compiled is the folder of compiled plugins that all tests of this process share: to
// compile one takes seconds under the race detector.
var compiled string

// drivers are the engine's: every test of the server holds for each.
var drivers = []string{"auto", "net"}

// fixture is a running server.
type fixture struct {
	*server.Server
	t     testing.TB
	stop  context.CancelFunc
	ended chan error
	// clients counts the MQTT clients that are connected.
	clients atomic.Int64
}

// start runs a server with the configuration until the test ends.
func start(t testing.TB, driver, yaml string) *fixture {
	t.Helper()
	return run(t, build(t, driver, yaml))
}

// run runs a server until the test ends.
func run(t testing.TB, srv *server.Server) *fixture {
	t.Helper()
	f := &fixture{Server: srv, t: t, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	f.stop = cancel
	go func() { f.ended <- f.Run(ctx) }()
	t.Cleanup(f.end)
	for f.State() != life.Running {
		select {
		case err := <-f.ended:
			f.stop = nil // there is no other end to wait for
			cancel()
			t.Fatalf("the server has ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	return f
}

func build(t testing.TB, driver, yaml string) *server.Server {
	t.Helper()
	srv, err := server.New(t.Context(), server.Options{Config: load(t, yaml), Logger: logger(t), Driver: driver, CacheDir: compiled})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

func load(t testing.TB, yaml string) *config.Config {
	t.Helper()
	cfg, err := parse(yaml)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func parse(yaml string) (*config.Config, error) {
	cfg, err := config.Load(config.Options{File: "test.yaml", Data: []byte(yaml), Presets: frame.Presets(), StdPlugins: std.Names()})
	if err == nil && cfg.API.Address == "127.0.0.1:7480" { // which the machine has once
		cfg.API.Address = "127.0.0.1:0"
	}
	return cfg, err
}

// logger writes to the test's own log where the environment asks for it.
func logger(testing.TB) *slog.Logger {
	if os.Getenv("WEFT_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// end stops the server and waits; it may be called more than once.
func (f *fixture) end() {
	if f.stop == nil {
		return
	}
	f.stop()
	f.stop = nil
	if err := <-f.ended; err != nil {
		f.t.Errorf("the server ended with %v", err)
	}
	if l := f.Ledger(); l.InFlight() != 0 {
		f.t.Errorf("the ledger does not balance: %+v", l)
	}
}

// dial connects to the listener.
func (f *fixture) dial(listener string) *client {
	f.t.Helper()
	for _, a := range f.Addresses() {
		if a.Name != listener {
			continue
		}
		conn, err := net.Dial("tcp", a.Addr.String())
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { _ = conn.Close() })
		format, ok := frame.Preset(a.Protocol)
		if ok {
			format = format.Peer()
		}
		return &client{t: f.t, Conn: conn, in: bufio.NewReader(conn), format: format}
	}
	f.t.Fatalf("there is no listener %s", listener)
	return nil
}

// client speaks a listener's frames.
type client struct {
	net.Conn
	t      testing.TB
	in     *bufio.Reader
	format *frame.Format
	buffer []byte
}

func (c *client) say(m abi.Message) {
	c.t.Helper()
	b, err := c.format.Append(nil, &m)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// hear waits for the next frame. Its bytes are the caller's.
func (c *client) hear() abi.Message {
	c.t.Helper()
	m, err := c.next()
	if err != nil {
		c.t.Fatalf("no frame came: %v", err)
	}
	return m
}

func (c *client) next() (abi.Message, error) {
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return abi.Message{}, err
	}
	for {
		var m abi.Message
		n, _, err := c.format.Decode(c.buffer, nil, &m)
		if err != nil {
			return m, err
		}
		if n > 0 {
			c.buffer = append([]byte(nil), c.buffer[n:]...)
			return m, nil
		}
		b, err := c.in.ReadByte()
		if err != nil {
			return m, err
		}
		c.buffer = append(c.buffer, b)
	}
}

func text(s string) abi.Message { return abi.Message{Payload: []byte(s)} }

func each(t *testing.T, run func(t *testing.T, driver string)) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) { run(t, driver) })
	}
}

func TestLinesAreAcknowledged(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line}]
api: {address: ""}
`)
		c := f.dial("lines")
		c.say(text("hello"))
		if got := c.hear(); string(got.Payload) != "ACK: hello" {
			t.Fatalf("got %q", got.Payload)
		}
		f.end()
		if l := f.Ledger(); l.In != 1 {
			t.Errorf("the ledger counts %d messages", l.In)
		}
	})
}

const translation = `
listeners:
  - {name: seq, address: "127.0.0.1:0", frame: mcp-seq, topic: "from/seq", subscribe: ["from/lines"]}
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: "from/lines", subscribe: ["from/seq"], acknowledge: ""}
  - {name: magic, address: "127.0.0.1:0", frame: mcp-magic, topic: "from/magic", subscribe: ["from/#"]}
api: {address: ""}
`

func TestOneProtocolInAnotherOut(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, translation)
		seq, lines, magic := f.dial("seq"), f.dial("lines"), f.dial("magic")
		f.await("weft_subscriptions", 3)
		seq.say(abi.Message{Type: abi.TypeRequest, Seq: 7, Priority: 3, Payload: []byte("by seq")})
		if got := lines.hear(); string(got.Payload) != "by seq" {
			t.Errorf("a line: %q", got.Payload)
		}
		if got := magic.hear(); string(got.Payload) != "by seq" || got.Type != abi.TypeRequest {
			t.Errorf("a magic frame: %q, %v", got.Payload, got.Type)
		}
		lines.say(text("by line"))
		if got := seq.hear(); string(got.Payload) != "by line" {
			t.Errorf("a seq frame: %q", got.Payload)
		}
	})
}

const nodes = `
listeners: [{name: nodes, address: "127.0.0.1:0", frame: mcp-node, topic: "node/{node_id}"}]
requests: {timeout: 200ms}
api: {address: ""}
`

func node(id string, t abi.Type, payload string) abi.Message {
	return abi.Message{Type: t, Attrs: abi.Attributes(nil).AppendString("node_id", id), Payload: []byte(payload)}
}

func TestNodesTalkToEachOther(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, nodes)
		one, two, three := f.dial("nodes"), f.dial("nodes"), f.dial("nodes")
		one.say(node("1", abi.TypeRequest, "I am one"))
		two.say(node("2", abi.TypeRequest, "I am two"))
		three.say(node("3", abi.TypeRequest, "I am three"))
		f.await("weft_nodes", 3)

		one.say(node("2", abi.TypeRequest, "to two"))
		got := two.hear()
		if from, _ := got.Attrs.Get("node_id"); string(got.Payload) != "to two" || string(from) != "1" {
			t.Fatalf("two hears %q from %q", got.Payload, from)
		}
		two.say(node("1", abi.TypeResponse, "answer"))
		got = one.hear()
		if from, _ := got.Attrs.Get("node_id"); string(got.Payload) != "answer" || string(from) != "2" {
			t.Fatalf("one hears %q from %q", got.Payload, from)
		}
		one.say(node("255", abi.TypeRequest, "everybody"))
		for _, c := range []*client{two, three} {
			if got := c.hear(); string(got.Payload) != "everybody" {
				t.Errorf("heard %q", got.Payload)
			}
		}
		// A number is one session's: the newcomer is closed.
		four := f.dial("nodes")
		four.say(node("1", abi.TypeRequest, "I am one, too"))
		if _, err := four.next(); !errors.Is(err, io.EOF) {
			t.Errorf("the second node 1: %v", err)
		}
		// An empty read is a node's heartbeat, answered without a plugin.
		three.say(node("3", abi.TypeHeartbeat, ""))
		if got := three.hear(); len(got.Payload) != 0 {
			t.Errorf("the answer to a heartbeat: %+v", got)
		}
	})
}

const requests = `
listeners:
  - {name: askers, address: "127.0.0.1:0", frame: mcp-seq, topic: "ask"}
  - {name: workers, address: "127.0.0.1:0", frame: mcp-seq, topic: "work", subscribe: ["queue:workers"]}
routes: [{name: work, when: {topic: ask}, to: ["queue:workers"]}]
api: {address: ""}
`

func TestResponsesFindTheirRequests(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, requests)
		a, b, worker := f.dial("askers"), f.dial("askers"), f.dial("workers")
		f.await("weft_queue_groups", 1)
		a.say(abi.Message{Type: abi.TypeRequest, Seq: 5, Payload: []byte("from a")})
		first := worker.hear()
		b.say(abi.Message{Type: abi.TypeRequest, Seq: 5, Payload: []byte("from b")})
		second := worker.hear()
		if first.Seq == second.Seq {
			t.Fatalf("both requests reach the worker as %d", first.Seq)
		}
		worker.say(abi.Message{Type: abi.TypeResponse, Seq: second.Seq, Payload: []byte("to b")})
		worker.say(abi.Message{Type: abi.TypeResponse, Seq: first.Seq, Payload: []byte("to a")})
		for c, want := range map[*client]string{a: "to a", b: "to b"} {
			if got := c.hear(); string(got.Payload) != want || got.Seq != 5 || got.Type != abi.TypeResponse {
				t.Errorf("got %q, seq %d, %v; want %q", got.Payload, got.Seq, got.Type, want)
			}
		}

		f = start(t, driver, requests+"requests: {timeout: 100ms}\n")
		a, worker = f.dial("askers"), f.dial("workers")
		f.await("weft_queue_groups", 1)
		a.say(abi.Message{Type: abi.TypeRequest, Seq: 6, Payload: []byte("nobody answers")})
		worker.hear()
		f.await("weft_request_timeouts_total", 1)
	})
}

// replace is strings.ReplaceAll under a name that reads well in a test's table.
func replace(text, old, with string) string { return strings.ReplaceAll(text, old, with) }

// await waits until the metric has the value.
func (f *fixture) await(name string, want float64) {
	f.t.Helper()
	deadline := time.Now().Add(time.Minute)
	var got float64
	for time.Now().Before(deadline) {
		got = f.Metric(name)
		if got == want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	f.t.Fatalf("%s is %v, not %v", name, got, want)
}

func TestAPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	cfg := load(t, fmt.Sprintf(`{listeners: [{name: lines, address: %q, frame: line}], api: {address: ""}}`, taken.Addr()))
	_, err = server.New(t.Context(), server.Options{Config: cfg, Logger: logger(t)})
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "lines") {
		t.Fatalf("got %v", err)
	}
}
