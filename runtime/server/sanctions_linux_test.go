package server_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

// guardedCable is guarded at the near end of a cable, with the kernel on it, and a
// listener of datagrams whose chain the guest is in, too.
const guardedCable = `
listeners:
  - {name: in, address: "10.7.0.1:7401", frame: mcp-seq, topic: t, acknowledge: "", chain: [guest]}
  - {name: packets, address: "10.7.0.1:7402", frame: mcp-dgram, topic: t, chain: [guest]}
  - {name: beside, address: "10.7.0.1:7403", frame: mcp-dgram, topic: t}
plugins:
  guest: {file: ../../abi/vectors/v1.1/GUEST.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, filter: {sources: 1, longest: 10s}, wasi: {}}}
api: {address: ""}
kernel: {interfaces: [near], mode: native, pin: PIN}
`

// TestPluginBlocksInKernel: a plugin, written on each SDK, has a source blocked in the
// kernel: the next packet dies there, at the plugin's listeners alone, and the block ends
// by itself. What it may not, changes nothing there.
func TestPluginBlocksInKernel(t *testing.T) {
	if !aloneWithKernel(t) {
		return
	}
	for _, guest := range []string{"rust", "assemblyscript", "go"} {
		t.Run(guest, func(t *testing.T) {
			c := newCable(t)
			defer c.ip("link del near")
			f := startFiltering(t, "auto", strings.NewReplacer("GUEST", guest, "PIN", c.pin).Replace(guardedCable))
			if f.MetricOf("weft_kernel_attached", "near", "native") != 1 {
				t.Fatalf("not attached:\n%s", f.log)
			}
			stream, packets, beside := c.dial("tcp", f.address("in")), c.dial("udp", f.address("packets")), c.dial("udp", f.address("beside"))
			counted := func(listener, reason, enforcer string) float64 {
				return f.MetricOf("weft_filter_packets_total", listener, reason, enforcer)
			}
			// send tells what a datagram has added to the kernel's counter, once it has.
			send := func(conn net.Conn, listener, reason string) bool {
				t.Helper()
				all := func() float64 {
					return counted(listener, "pass", "kernel") + counted(listener, "blocked", "kernel")
				}
				was, before := all(), counted(listener, reason, "kernel")
				if _, err := conn.Write(make([]byte, 8)); err != nil {
					t.Fatal(err)
				}
				f.until("the kernel has counted it", func() bool { return all() == was+1 })
				return counted(listener, reason, "kernel") == before+1
			}
			ask := func(text string) string { return askGuest(t, stream, text) }

			if got := ask("filter-here 10001"); got != "filter-here !limit" {
				t.Fatalf("beyond the longest time: %q", got)
			}
			entries := f.MetricOf("weft_filter_entries")
			if entries != 0 || !send(packets, "packets", "pass") {
				t.Errorf("a plugin beyond its ceiling has changed something: %v entries", entries)
			}
			f.until("it came here", func() bool { return counted("packets", "pass", "engine") == 1 })
			if got := ask("filter-here 5000"); got != "filter-here ok" {
				t.Fatalf("it blocks: %q", got)
			}
			f.until("the next packet dies in the kernel", func() bool { return send(packets, "packets", "blocked") })
			came := counted("packets", "pass", "engine")
			if !send(beside, "beside", "pass") {
				t.Error("the source is blocked where the plugin does not stand")
			}
			f.until("the block ends by itself", func() bool {
				time.Sleep(20 * time.Millisecond)
				return send(packets, "packets", "pass")
			})
			f.until("it comes here again", func() bool { // where the block may end a moment later
				return send(packets, "packets", "pass") && counted("packets", "pass", "engine") > came
			})
			f.until("what the kernel let pass is counted here, and nothing else", func() bool {
				return counted("packets", "pass", "engine")+counted("packets", "blocked", "engine") == counted("packets", "pass", "kernel")
			})
			stream = c.dial("tcp", f.address("in")) // who is blocked has lost the other one
			if got := ask("filter-here 1000"); got != "filter-here ok" {
				t.Fatalf("after its block has ended: %q", got)
			}
			f.end()
		})
	}
}

// askGuest sends a message of mcp-seq and gives the payload of the answer.
func askGuest(t *testing.T, conn net.Conn, text string) string {
	t.Helper()
	format, ok := frame.Preset("mcp-seq")
	if !ok {
		t.Fatal("no preset mcp-seq")
	}
	b, err := format.Append(nil, &abi.Message{Type: abi.TypeRequest, Seq: 1, Payload: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(sentencePatience))
	var in []byte
	for {
		var m abi.Message
		if n, _, err := format.Decode(in, nil, &m); err == nil && n > 0 && len(m.Payload) > 0 {
			return strings.TrimSpace(string(m.Payload))
		}
		more := make([]byte, 4096)
		n, err := conn.Read(more)
		if err != nil {
			t.Fatalf("after %q: %v", text, err)
		}
		in = append(in, more[:n]...)
	}
}
