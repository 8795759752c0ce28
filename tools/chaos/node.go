package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/weftrun/weft/tools/process"
)

// node is one weft that is started, broken and started again, on the same ports
// and with the same data.
type node struct {
	name string
	host string // that it listens on
	mqtt string // address
	api  string // address
	// entrance is the address of a listener that other weft's pools send to; empty: none.
	entrance string
	binary   string
	dir      string   // of its configuration and logs
	wrap     []string // what stands before the command: how to run it in a network of its own
	config   string   // file
	data     string   // folder

	*process.Process
	starts int
	took   times // each start, until it was ready
}

// settings are what scenarios want different in a node's configuration.
type settings struct {
	durable bool
	sync    string // always or interval
	every   time.Duration
	nats    []string // URLs of an external backbone
	size    string   // bound of the log
	data    string   // folder; empty: in the scenario's
	outbox  string   // of the listener, as YAML
	queue   string   // of the listener's mqtt, as YAML; empty is beyond what any scenario fills
	forward string
	// entrance adds a listener of mcp-seq, whose messages are acknowledged from the log.
	entrance bool
	// work adds destinations that take a message once; their listeners' addresses are
	// filled in.
	work *places
}

// newNode chooses ports on the host and writes the configuration.
func (r *run) newNode(name, host string, s settings) (*node, error) {
	n := &node{name: name, host: host, binary: r.weft, dir: filepath.Join(r.dir, name), data: s.data}
	if n.data == "" {
		n.data = filepath.Join(n.dir, "data")
	}
	addresses := []*string{&n.mqtt, &n.api}
	if s.entrance {
		addresses = append(addresses, &n.entrance)
	}
	if s.work != nil {
		addresses = append(addresses, &s.work.queue, &s.work.node)
	}
	for _, at := range addresses {
		port, err := process.FreePort()
		if err != nil {
			return nil, err
		}
		*at = fmt.Sprintf("%s:%d", host, port)
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, err
	}
	n.config = filepath.Join(n.dir, "weft.yaml")
	if err := os.WriteFile(n.config+".token", []byte(apiToken), 0o600); err != nil {
		return nil, err
	}
	return n, os.WriteFile(n.config, []byte(n.yaml(s)), 0o600)
}

// apiToken is what the tool shows to the API of its nodes: some are not on loopback
// addresses.
const apiToken = "a-token-of-the-tool-that-breaks-weft"

// shown is a request to an API that shows the token.
func shown(r *http.Request) *http.Request {
	r.Header.Set("Authorization", "Bearer "+apiToken)
	return r
}

func (n *node) yaml(s settings) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("listeners:")
	line("  - name: mqtt")
	line("    address: %s", n.mqtt)
	line("    frame: mqtt")
	line("    heartbeat: {close_after: 0s}")
	if s.outbox != "" {
		line("    outbox: %s", s.outbox)
	}
	queue := "{messages: 10000000, size: 1GiB, total: 4GiB}"
	if s.queue != "" {
		queue = s.queue
	}
	line("    mqtt: {queue: %s}", queue)
	n.frames(s, line)
	line("routes:")
	line("  - name: chaos")
	line("    when: {topic: \"%s/#\"}", topicPrefix)
	if s.work == nil {
		line("    to: [subscribers]")
	} else {
		line("    to: [subscribers, \"queue:chaos\", \"node:worker\", \"upstream:web\", \"upstream:weft\"]")
	}
	if s.entrance { // its frames say nothing of QoS: subscribers would get them at most once
		line("    qos: 1")
	}
	if s.durable {
		size := "4GiB"
		if s.size != "" {
			size = s.size
		}
		tries := ""
		if s.work != nil { // workers are away for a while
			tries = ", tries: 1000, backoff: {first: 20ms, most: 200ms}"
		}
		line("    durable: {id: \"{message_id}\", window: 10m, size: %s%s}", size, tries)
		line("backbone:")
		line("  name: %s", n.name)
		line("  data: %q", n.data)
		line("  size: 8GiB")
		if s.sync != "" {
			line("  sync: %s", s.sync)
		}
		if s.every > 0 {
			line("  sync_every: %s", s.every)
		}
		if len(s.nats) > 0 {
			line("  url: [%s]", strings.Join(s.nats, ", "))
			if s.forward != "" {
				line("  forward: %s", s.forward)
			}
		}
	}
	line("api: {address: %s, tokens: {chaos: {role: operate, file: %q}}}", n.api, n.config+".token")
	line("log: {level: info}")
	return b.String()
}

// frames writes the listeners of frames.
func (n *node) frames(s settings, line func(format string, args ...any)) {
	if s.entrance {
		line("  - {name: entrance, address: %q, frame: mcp-seq, topic: %s/weft, acknowledge: taken, heartbeat: {close_after: 0s}}", n.entrance, topicPrefix)
	}
	if s.work == nil {
		return
	}
	line("  - {name: queue, address: %q, frame: length32, subscribe: [\"queue:chaos\"], heartbeat: {close_after: 0s}}", s.work.queue)
	line("  - {name: node, address: %q, frame: length32, node: worker, heartbeat: {close_after: 0s}}", s.work.node)
	line("upstreams:")
	line("  web: {protocol: http, members: [%q], http: {path: \"/{topic...}\"}, retry_on: any}", s.work.web)
	line("  weft: {protocol: weft, members: [%q], confirm: true, retry_on: any, breaker: {open: 100ms}, health: {passive: {eject: 100ms}}}", s.work.weft)
}

// start runs weft until it is ready.
func (n *node) start(ctx context.Context) error {
	begun := time.Now()
	err := n.run(ctx, process.Answers("http://"+n.api+"/readyz"))
	if err == nil {
		n.took = append(n.took, time.Since(begun))
	}
	return err
}

// stillborn runs weft and kills it so long after.
func (n *node) stillborn(ctx context.Context, after time.Duration) error {
	if err := n.run(ctx, func(context.Context) error { return nil }); err != nil {
		return err
	}
	wait(ctx, after)
	return n.Kill()
}

func (n *node) run(ctx context.Context, ready func(context.Context) error) (err error) {
	n.starts++
	n.Process, err = process.Start(ctx, process.Options{
		Name: n.name, Command: append(append([]string(nil), n.wrap...), n.binary, "run", "-c", n.config),
		Log: filepath.Join(n.dir, fmt.Sprintf("start-%03d.log", n.starts)), Ready: ready, Within: readyWithin,
	})
	return err
}

// readyWithin is how long a start may take, recovery of the data included.
const readyWithin = 60 * time.Second

// still stops the node and waits until none of its threads runs, in the kernel
// neither.
func (n *node) still(ctx context.Context) error {
	if err := n.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for begun := time.Now(); time.Since(begun) < readyWithin; wait(ctx, time.Millisecond) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.PID()))
		if err != nil {
			return err
		}
		running := 0
		for _, task := range tasks {
			b, err := os.ReadFile(task)
			if err != nil {
				continue // the thread has ended
			}
			if at := bytes.LastIndexByte(b, ')'); at < 0 || at+2 >= len(b) || b[at+2] != 'T' {
				running++
			}
		}
		if running == 0 || ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("%s does not stop", n.name)
}

// stop ends the node in whatever state it is.
func (n *node) stop() error {
	if n.Process == nil {
		return nil
	}
	_ = n.Signal(syscall.SIGCONT) // it may stand still
	return n.Stop()
}

// died tells whether the node has ended by itself.
func (n *node) died() error {
	select {
	case <-n.Ended():
		return fmt.Errorf("%s ended by itself; its last words:\n%s", n.name, n.Tail())
	default:
		return nil
	}
}
