package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/server"
)

const registers = `
listeners:
  - {name: tcp, address: "127.0.0.1:0", frame: modbus-tcp, chain: [registers]}
  - {name: rtu, address: "127.0.0.1:0", frame: modbus-rtu, chain: [registers]}
plugins:
  registers:
    file: "std:modbus-registers"
    grants: {kv: {namespace: plant}, publish: {topics: ["modbus/#"]}}
    config:
      units: [1, 2]
      registers:
        - {at: 40001, name: temperature, value: 100}
        - {at: 40002, name: humidity, value: 85}
        - {at: 1, name: pump, value: false}
api: {address: ""}
`

// askUnit sends one request to a unit and returns the answer's PDU.
func (c *client) askUnit(seq uint64, unit string, pdu ...byte) []byte {
	c.t.Helper()
	c.say(abi.Message{Type: abi.TypeRequest, Seq: seq, Attrs: abi.Attributes(nil).AppendString("unit", unit), Payload: pdu})
	m := c.hear()
	if c.format.SeqBits() > 0 && m.Seq != seq {
		c.t.Errorf("transaction %d, want %d", m.Seq, seq)
	}
	if got, _ := m.Attrs.Get("unit"); string(got) != unit {
		c.t.Errorf("unit %s, want %s", got, unit)
	}
	return m.Payload
}

func (c *client) wants(want []byte, seq uint64, unit string, pdu ...byte) {
	c.t.Helper()
	if got := c.askUnit(seq, unit, pdu...); !bytes.Equal(got, want) {
		c.t.Errorf("%x was answered with %x, want %x", pdu, got, want)
	}
}

// The standard plugin answers by both, unchanged.
func TestModbusRegisters(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, registers)
		sub, err := f.Bus().Subscribe(t.Context(), []string{"modbus/#"}, 16)
		if err != nil {
			t.Fatal(err)
		}
		for i, listener := range []string{"tcp", "rtu"} {
			c := f.dial(listener)
			first := byte(100 + i) // what the other has written
			c.wants([]byte{3, 4, 0, first, 0, 85}, 0x1501, "1", 3, 0, 0, 0, 2)
			c.wants([]byte{3, 2, 0, 85}, 7, "2", 3, 0, 1, 0, 1)
			c.wants([]byte{6, 0, 0, 0, 101}, 8, "1", 6, 0, 0, 0, 101)
			c.wants([]byte{5, 0, 0, 0xff, 0}, 9, "1", 5, 0, 0, 0xff, 0)
			c.wants([]byte{1, 1, 1}, 10, "1", 1, 0, 0, 0, 1)
			c.wants([]byte{0x87, 1}, 11, "1", 7)
			c.wants([]byte{0x83, 2}, 12, "1", 3, 0, 2, 0, 1)
			c.wants([]byte{0x83, 3}, 13, "1", 3, 0, 0, 0, 0)
			for _, want := range []string{`{"temperature":101}`, `{"pump":true}`} {
				d, err := sub.Next(t.Context())
				if err != nil || string(d.Message.Payload) != want {
					t.Fatalf("%s published %q, want %q, %v", listener, d.Message.Payload, want, err)
				}
			}
		}
		if got := f.MetricOf("weft_modbus_exceptions_total", "3"); got != 2 {
			t.Errorf("%v exceptions 3", got)
		}
		if got := f.MetricOf("weft_modbus_requests_total", "6"); got != 2 {
			t.Errorf("%v requests 6", got)
		}
	})
}

// Requests that come at once are answered one by one, in their order.
func TestModbusPipelined(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, registers)
		for _, listener := range []string{"tcp", "rtu"} {
			c := f.dial(listener)
			var all []byte
			for seq := range uint64(10) {
				unit := []string{"1", "2"}[seq%2]
				all, _ = c.format.Append(all, &abi.Message{Type: abi.TypeRequest, Seq: seq, Attrs: abi.Attributes(nil).AppendString("unit", unit), Payload: []byte{3, 0, byte(seq % 2), 0, 1}})
			}
			c.Write(all)
			for seq := range uint64(10) {
				m := c.hear()
				if want := []byte{100, 85}[seq%2]; m.Payload[3] != want || listener == "tcp" && m.Seq != seq {
					t.Fatalf("%s: answer %d: %x with transaction %d", listener, seq, m.Payload, m.Seq)
				}
			}
		}
	})
}

// A header that is none ends the connection.
func TestMalformedMBAP(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, registers)
		for _, bytes := range [][]byte{{0, 1, 0, 1, 0, 6, 1, 3, 0, 0, 0, 1}, {0, 1, 0, 0, 0, 1, 1}, {0, 1, 0, 0, 1, 0, 1}} {
			c := f.dial("tcp")
			c.Write(bytes)
			if m, err := c.next(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%x: %+v, %v", bytes, m, err)
			}
		}
		if got := f.Metric("weft_listener_bad_frames_total"); got != 3 {
			t.Errorf("%v bad frames", got)
		}
	})
}

// What a plugin drops, and a broadcast on a serial line, is not answered.
func TestModbusSilence(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, registers)
		for _, listener := range []string{"tcp", "rtu"} {
			c := f.dial(listener)
			c.say(abi.Message{Type: abi.TypeRequest, Seq: 1, Attrs: abi.Attributes(nil).AppendString("unit", "9"), Payload: []byte{3, 0, 0, 0, 1}})
			if listener == "rtu" {
				c.say(abi.Message{Type: abi.TypeRequest, Attrs: abi.Attributes(nil).AppendString("unit", "0"), Payload: []byte{6, 0, 0, 0, 1}})
			}
			c.wants([]byte{3, 2, 0, 85}, 2, "1", 3, 0, 1, 0, 1)
		}
		if a, b := f.MetricOf("weft_modbus_unanswered_total", "plugin_drop"), f.MetricOf("weft_modbus_unanswered_total", "broadcast"); a != 2 || b != 1 {
			t.Errorf("%v dropped by the plugin, %v broadcasts", a, b)
		}
	})
}

// Garbage before a request costs nothing but itself.
func TestRTUGarbage(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, registers)
		c := f.dial("rtu")
		c.Write([]byte{0xff, 0x01, 0x64, 0x13})
		c.wants([]byte{3, 2, 0, 85}, 2, "1", 3, 0, 1, 0, 1)
	})
}

const unserved = `
listeners:
  - {name: tcp, address: "127.0.0.1:0", frame: modbus-tcp}
  - {name: node, address: "127.0.0.1:0", frame: modbus-tcp, topic: to/node, modbus: {timeout: 10s}}
  - {name: hasty, address: "127.0.0.1:0", frame: modbus-tcp, topic: to/node, modbus: {timeout: 150ms}}
  - {name: nodes, address: "127.0.0.1:0", frame: mcp-seq, topic: from/node, node: "{node}", subscribe: ["raw/tcp"]}
  - {name: names, address: "127.0.0.1:0", frame: mcp-node, topic: from/names}
routes:
  - {name: node, when: {topic: to/node}, to: ["queue:servers"]}
api: {address: ""}
`

// What nothing serves is answered by weft.
func TestModbusUnserved(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, unserved)
		c := f.dial("tcp")
		c.wants([]byte{0x83, 4}, 1, "1", 3, 0, 0, 0, 1)
		c.wants([]byte{0xe4, 4}, 2, "1", 0x64, 0, 0, 0, 1)
		// Who only listens does not answer.
		listener := f.dial("nodes")
		for f.Metric("weft_subscriptions") == 0 {
			time.Sleep(time.Millisecond)
		}
		c.wants([]byte{0x83, 4}, 3, "1", 3, 0, 0, 0, 1)
		if m := listener.hear(); m.Payload[0] != 3 {
			t.Errorf("%+v", m)
		}
		// A route to nobody is a path that is not there.
		f.dial("node").wants([]byte{0x83, 10}, 4, "1", 3, 0, 0, 0, 1)
	})
}

// A service of another protocol serves requests by their sequence ids, and one that
// says nothing is timed out.
func TestModbusServedByARoute(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, strings.ReplaceAll(unserved, `subscribe: ["raw/tcp"]`, `subscribe: ["queue:servers"]`))
		service := f.dial("nodes")
		for f.Metric("weft_queue_groups") == 0 {
			time.Sleep(time.Millisecond)
		}
		c := f.dial("node")
		ask := abi.Message{Type: abi.TypeRequest, Seq: 77, Attrs: abi.Attributes(nil).AppendString("unit", "5"), Payload: []byte{3, 0, 0, 0, 1}}
		c.say(ask)
		m := service.hear()
		service.say(abi.Message{Type: abi.TypeResponse, Seq: m.Seq, Payload: []byte{3, 2, 1, 2}})
		if got := c.hear(); got.Seq != 77 || !bytes.Equal(got.Payload, []byte{3, 2, 1, 2}) {
			t.Errorf("%+v", got)
		}
		hasty := f.dial("hasty")
		timesOut := func() (seq uint64) {
			t.Helper()
			hasty.say(ask)
			seq = service.hear().Seq
			if got := hasty.hear(); got.Seq != 77 || !bytes.Equal(got.Payload, []byte{0x83, 11}) {
				t.Errorf("%+v", got)
			}
			return seq
		}
		late := timesOut()
		// Its answer comes too late, and nobody gets it.
		service.say(abi.Message{Type: abi.TypeResponse, Seq: late, Payload: []byte{3, 2, 1, 2}})
		timesOut()
		c.say(ask)
		m = service.hear()
		service.say(abi.Message{Type: abi.TypeResponse, Seq: m.Seq, Payload: []byte("no PDU")})
		if got := c.hear(); !bytes.Equal(got.Payload, []byte{0x83, 4}) {
			t.Errorf("%+v", got)
		}
	})
}

// exchange sends requests that lie ready, so many at a time, and reads the answers.
func exchange(t testing.TB, c net.Conn, requests []byte, answers int) func() {
	in := make([]byte, answers)
	return func() {
		if _, err := c.Write(requests); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, in); err != nil {
			t.Fatal(err)
		}
	}
}

// A request that weft answers itself allocates nothing.
func TestModbusAllocatesNothing(t *testing.T) {
	f := start(t, "auto", unserved)
	var requests []byte
	for i := range byte(16) {
		requests = append(requests, 0, i, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1)
	}
	run := exchange(t, f.dial("tcp"), requests, 16*9)
	if n := testing.AllocsPerRun(500, run); n > 1 {
		t.Errorf("%v allocations for 16 requests", n)
	}
}

// BenchmarkModbus is one request of a client that has 16 under way, answered by the
// standard plugin.
func BenchmarkModbus(b *testing.B) {
	for _, listener := range []string{"tcp", "rtu"} {
		b.Run(listener, func(b *testing.B) {
			cfg, err := config.Load(config.Options{File: "test.yaml", Data: []byte(registers), Presets: frame.Presets(), StdPlugins: std.Names()})
			if err != nil {
				b.Fatal(err)
			}
			srv, err := server.New(b.Context(), server.Options{Config: cfg, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			go func() { ended <- srv.Run(ctx) }()
			defer func() { stop(); <-ended }()
			for srv.State() != life.Running {
				select {
				case err := <-ended:
					ended <- err
					b.Fatal(err)
				case <-time.After(time.Millisecond):
				}
			}
			var c net.Conn
			var requests []byte
			answer := 7 + 6
			format, _ := frame.Preset("modbus-" + listener)
			if listener == "rtu" {
				answer = 1 + 6 + 2
			}
			for _, a := range srv.Addresses() {
				if a.Name == listener {
					if c, err = net.Dial("tcp", a.Addr.String()); err != nil {
						b.Fatal(err)
					}
				}
			}
			defer c.Close()
			for i := range uint64(16) {
				requests, _ = format.Peer().Append(requests, &abi.Message{Type: abi.TypeRequest, Seq: i, Attrs: abi.Attributes(nil).AppendString("unit", "1"), Payload: []byte{3, 0, 0, 0, 2}})
			}
			run := exchange(b, c, requests, 16*answer)
			b.ReportAllocs()
			for i := 0; i < b.N; i += 16 {
				run()
			}
		})
	}
}
