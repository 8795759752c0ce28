package load_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/websocket"
	"github.com/weftrun/weft/tools/load"
)

// wire is a protocol with what its server makes of a publication for a subscriber.
type wire struct {
	load.Protocol
	deliver func(dst []byte, topic string, payload []byte) []byte
	noise   []byte // no message; may stand between messages
}

func wires(tb testing.TB) []wire {
	tb.Helper()
	var all []wire
	for _, name := range frame.Presets() {
		format, _ := frame.Preset(name)
		if format.Modbus() {
			continue // its frames carry no payload of a load's
		}
		p := &load.Frames{Codec: format}
		noise, _ := format.Heartbeat()
		all = append(all, wire{p, func(dst []byte, topic string, payload []byte) []byte {
			dst, err := p.Append(dst, load.Publication{Topic: topic, Seq: uint64(len(payload)), Payload: payload})
			if err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			return dst
		}, noise})
	}
	mqtt, mqtt5 := &load.MQTT{}, &load.MQTT{Version: 5, QoS: 1}
	for _, name := range []string{"mcp-seq", "line"} {
		format, _ := frame.Preset(name)
		p := &load.WebSocket{Inner: &load.Frames{Codec: format}}
		all = append(all, wire{p, func(dst []byte, _ string, payload []byte) []byte {
			unit := payload
			if !p.Text() {
				unit, _ = p.Inner.Append(nil, load.Publication{Payload: payload})
			}
			return websocket.Append(dst, unit, p.Text())
		}, websocket.Ping()})
	}
	return append(all,
		wire{&load.NATS{}, func(dst []byte, topic string, payload []byte) []byte {
			return append(append(fmt.Appendf(dst, "MSG %s 17 %d\r\n", topic, len(payload)), payload...), "\r\n"...)
		}, []byte("PING\r\n+OK\r\n")},
		wire{mqtt, func(dst []byte, topic string, payload []byte) []byte {
			dst, _ = mqtt.Append(dst, load.Publication{Topic: topic, Payload: payload})
			return dst
		}, []byte{0xd0, 0}},
		wire{mqtt5, func(dst []byte, topic string, payload []byte) []byte {
			dst, _ = mqtt5.Append(dst, load.Publication{Topic: topic, Seq: 7, Payload: payload})
			return dst
		}, []byte{0x40, 3, 0, 1, 0x10}},
		wire{&load.API{}, func(dst []byte, _ string, payload []byte) []byte {
			message := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), payload)
			event := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), message)
			return append(binary.BigEndian.AppendUint32(append(dst, 0), uint32(len(event))), event...)
		}, []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")},
		wire{&load.Redis{}, func(dst []byte, topic string, payload []byte) []byte {
			return append(append(fmt.Appendf(dst, "*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n", len(topic), topic, len(payload)), payload...), "\r\n"...)
		}, []byte(":1\r\n")},
	)
}

// stream is a server's bytes and the payloads in them.
func (w wire) stream(messages int) (b []byte, payloads [][]byte) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range messages {
		size := 40
		if random.IntN(4) == 0 { // runs of one size, so that shapes are used and given up
			size = 1 + random.IntN(200)
		}
		payload := bytes.Repeat([]byte{byte('a' + i%26)}, size)
		b = w.deliver(b, "t."+strings.Repeat("9", random.IntN(4)), payload)
		payloads = append(payloads, payload)
		if random.IntN(10) == 0 {
			b = append(b, w.noise...)
		}
	}
	return b, payloads
}

// cut feeds b to a cutter in pieces.
func cut(tb testing.TB, w wire, b []byte, piece func() int) (payloads [][]byte) {
	tb.Helper()
	c := w.Cutter()
	var buf []byte
	for len(b) > 0 {
		n := min(max(1, piece()), len(b))
		buf, b = append(buf, b[:n]...), b[n:]
		spans, consumed, err := c.Cut(buf, nil)
		if err != nil {
			tb.Fatalf("%s: %v", w.Name(), err)
		}
		for _, s := range spans {
			payloads = append(payloads, bytes.Clone(buf[s.Off:s.Off+s.Len]))
		}
		buf = buf[consumed:]
	}
	if len(buf) > 0 {
		tb.Errorf("%s: %d bytes are left over", w.Name(), len(buf))
	}
	return payloads
}

func TestCuttersInAnySplit(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, w := range wires(t) {
		t.Run(w.Name(), func(t *testing.T) {
			b, want := w.stream(200)
			splits := map[string]func() int{
				"whole": func() int { return len(b) }, "single bytes": func() int { return 1 },
				"random": func() int { return random.IntN(500) },
			}
			for name, piece := range splits {
				got := cut(t, w, b, piece)
				if len(got) != len(want) {
					t.Fatalf("%s: %d messages, want %d", name, len(got), len(want))
				}
				for i := range got {
					if !bytes.Equal(got[i], want[i]) {
						t.Fatalf("%s: message %d: got %q, want %q", name, i, got[i], want[i])
					}
				}
			}
		})
	}
}

func TestCuttersRefuseGarbage(t *testing.T) {
	for name, test := range map[string]struct {
		protocol load.Protocol
		in       string
	}{
		"nats error":          {&load.NATS{}, "-ERR 'Authorization Violation'\r\n"},
		"nats size":           {&load.NATS{}, "MSG a 1 x\r\n"},
		"nats negative":       {&load.NATS{}, "MSG a 1 -5\r\n"},
		"nats line":           {&load.NATS{}, strings.Repeat("x", 70_000)},
		"mqtt length":         {&load.MQTT{}, "\x30\xff\xff\xff\xff\xff"},
		"mqtt topic":          {&load.MQTT{}, "\x30\x03\x00\x09a"},
		"mqtt empty":          {&load.MQTT{}, "\x30\x00"},
		"redis error":         {&load.Redis{}, "-NOAUTH\r\n"},
		"redis kind":          {&load.Redis{}, "%1\r\n"},
		"redis array":         {&load.Redis{}, "*9999\r\n"},
		"redis bulk":          {&load.Redis{}, "*1\r\n$-7\r\n"},
		"redis empty line":    {&load.Redis{}, "\r\n"},
		"redis empty element": {&load.Redis{}, "*1\r\n\r\n"},
	} {
		if _, _, err := test.protocol.Cutter().Cut([]byte(test.in), nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNATSAnswersPing(t *testing.T) {
	c := (&load.NATS{}).Cutter()
	if _, n, err := c.Cut([]byte("PING\r\n"), nil); n != 6 || err != nil || string(c.Reply()) != "PONG\r\n" {
		t.Errorf("consumed %d, %v, reply %q", n, err, c.Reply())
	}
	if _, _, _ = c.Cut([]byte("PONG\r\n"), nil); len(c.Reply()) > 0 {
		t.Error("the answer is given twice")
	}
}

func TestHeartbeatsAreAnswered(t *testing.T) {
	format, _ := frame.Preset("mcp-seq")
	beat, ok := format.Heartbeat()
	if !ok {
		t.Fatal("mcp-seq has no heartbeat")
	}
	c := (&load.Frames{Codec: format}).Cutter()
	spans, n, err := c.Cut(beat, nil)
	if len(spans) != 0 || n != len(beat) || err != nil || len(c.Reply()) == 0 {
		t.Errorf("%v, %d, %v, reply % x", spans, n, err, c.Reply())
	}
}

// FuzzCut: a cutter consumes what it was given and no more, never panics, and
// finds the same in split input.
func FuzzCut(f *testing.F) {
	for i, w := range wires(f) {
		b, _ := w.stream(5)
		f.Add(uint8(i), b, uint16(7))
	}
	all := wires(f)
	f.Fuzz(func(t *testing.T, which uint8, b []byte, at uint16) {
		w := all[int(which)%len(all)]
		whole, consumed, err := w.Cutter().Cut(b, nil)
		for _, s := range whole {
			if s.Off < 0 || s.Len < 0 || s.Off+s.Len > consumed {
				t.Fatalf("span %v of %d consumed bytes", s, consumed)
			}
		}
		if consumed > len(b) {
			t.Fatalf("consumed %d of %d", consumed, len(b))
		}
		c := w.Cutter()
		split := min(int(at), len(b))
		first, n, errSplit := c.Cut(b[:split], nil)
		if errSplit != nil {
			return
		}
		second, m, errSplit := c.Cut(b[n:], nil)
		if err == nil && errSplit == nil && (len(first)+len(second) != len(whole) || n+m != consumed) {
			t.Fatalf("%d+%d messages in %d+%d bytes, whole %d in %d", len(first), len(second), n, m, len(whole), consumed)
		}
	})
}

// script is a server's side of a handshake: what it sends, in pieces.
type script struct {
	replies []string
	sent    bytes.Buffer
}

func (s *script) Write(b []byte) (int, error) { return s.sent.Write(b) }

func (s *script) Read(b []byte) (int, error) {
	if len(s.replies) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.replies[0])
	s.replies = s.replies[1:]
	return n, nil
}

func TestHandshakes(t *testing.T) {
	format, _ := frame.Preset("length32")
	hello := &load.Frames{Codec: format, Hello: func(p load.Peer) []byte { return fmt.Appendf(nil, "%s %d", p.Role, p.Index) }, AwaitHello: true}
	subscriber := load.Peer{Role: load.RoleSubscriber, Index: 3, Subscribe: []string{"a", "b"}}
	for name, test := range map[string]struct {
		protocol load.Protocol
		replies  []string
		sent     string
		rest     string
		fails    string
	}{
		"nats": {
			protocol: &load.NATS{}, replies: []string{"INFO {}", "\r\n", "PO", "NG\r\nMSG a 1 1\r\nx\r\n"}, rest: "MSG a 1 1\r\nx\r\n",
			sent: "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"go\",\"version\":\"1\",\"protocol\":1,\"name\":\"weft-load\"}\r\nSUB a 1\r\nSUB b 2\r\nPING\r\n",
		},
		"nats refused":     {protocol: &load.NATS{}, replies: []string{"INFO {}\r\n", "-ERR 'no'\r\n"}, fails: "-ERR 'no'"},
		"nats is no nats":  {protocol: &load.NATS{}, replies: []string{"HTTP/1.1 400\r\n"}, fails: "expected INFO"},
		"mqtt":             {protocol: &load.MQTT{}, replies: []string{"\x20\x02\x00", "\x00", "\x90\x04\x00\x01\x00\x00\x30\x01"}, rest: "\x30\x01", sent: "\x10\x22\x00\x04MQTT\x04\x02\x00\x00\x00\x16weft-load-subscriber-3\x82\x0a\x00\x01\x00\x01a\x00\x00\x01b\x00"},
		"mqtt refused":     {protocol: &load.MQTT{}, replies: []string{"\x20\x02\x00\x05"}, fails: "CONNACK"},
		"mqtt sub refused": {protocol: &load.MQTT{}, replies: []string{"\x20\x02\x00\x00", "\x90\x04\x00\x01\x00\x80"}, fails: "SUBACK"},
		"redis": {
			protocol: &load.Redis{}, replies: []string{"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsub", "scribe\r\n$1\r\nb\r\n:2\r\n:9"}, rest: ":9",
			sent: "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nb\r\n",
		},
		"redis refused":  {protocol: &load.Redis{}, replies: []string{"-NOAUTH\r\n"}, fails: "NOAUTH"},
		"frames":         {protocol: hello, replies: []string{"\x00\x00\x00\x02o", "k\x00\x00\x00\x01x"}, rest: "\x00\x00\x00\x01x", sent: "\x00\x00\x00\x0csubscriber 3"},
		"frames, silent": {protocol: hello, fails: "first frame"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{replies: test.replies}
			rest, err := test.protocol.Handshake(s, subscriber)
			switch {
			case test.fails != "":
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("got %v, want an error with %q", err, test.fails)
				}
			case err != nil:
				t.Fatal(err)
			case string(rest) != test.rest || s.sent.String() != test.sent:
				t.Errorf("rest %q, sent %q, want %q", rest, s.sent.String(), test.sent)
			}
		})
	}
}
