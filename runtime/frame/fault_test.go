package frame_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

// What is wrong with the bytes, and what becomes of them.
func TestBadFrames(t *testing.T) {
	for _, c := range []struct {
		name, preset, bytes string
		n                   int
		reason              frame.Reason
		text                string
	}{
		{"first byte of the magic", "mcp-magic", "4e", 0, frame.BadMagic, "mcp-magic: magic: bad_magic: expected 0x4D43"},
		{"second byte of the magic", "mcp-magic", "4d44", 0, frame.BadMagic, ""},
		{"whole header with a wrong magic", "mcp-magic", "4d44 01 00 00000001 61", 0, frame.BadMagic, ""},
		{"version before the header is whole", "mcp-magic", "4d43 02", 0, frame.BadVersion, "mcp-magic: version: bad_version: expected 0x01"},
		{"unknown type", "mcp-magic", "4d43 01 03 00000001 61 4d", 9, frame.BadField, "mcp-magic: type: bad_field: expected a value that the declaration names"},
		{"length over the limit", "mcp-magic", "4d43 01 00 00010000", 0, frame.TooLong, "mcp-magic: too_long: expected at most 65536 bytes a frame"},
		{"all bits of the length", "mcp-seq", "01 01 0001 ffffffff 00", 0, frame.TooLong, ""},
		{"version", "mcp-seq", "02", 0, frame.BadVersion, ""},
		{"priority", "mcp-seq", "01 01 0001 00000001 08 61", 10, frame.BadField, "mcp-seq: priority: bad_field: expected 0 to 7"},
		{"type", "mcp-seq", "01 00 0001 00000001 01 61", 10, frame.BadField, ""},
		{"checksum", "mcp-node", "55 11 01 00 e421 55", 6, frame.BadChecksum, "mcp-node: crc16: bad_crc: expected the crc16/modbus of start..payload"},
		{"start", "mcp-node", "56", 0, frame.BadMagic, ""},
		{"command", "mcp-node", "55 11 04 00 0000", 6, frame.BadChecksum, ""},
		{"magic of one byte", "mcp-cmd", "c4", 0, frame.BadMagic, ""},
		{"length32 over the limit", "length32", "0000fffd", 0, frame.TooLong, ""},
		{"garbage", "mcp-flag", "010203", 3, frame.BadMagic, "mcp-flag: start: bad_magic: expected 0x5A"},
		{"garbage and a start", "mcp-flag", "0102035a00", 3, frame.BadMagic, ""},
		{"checksum, start inside", "mcp-flag", "5a 0003 615a61 0000 5a", 4, frame.BadChecksum, ""},
		{"checksum, no start inside", "mcp-flag", "5a 0001 61 0000 61 5a", 7, frame.BadChecksum, ""},
	} {
		t.Run(c.preset+"/"+c.name, func(t *testing.T) {
			f, b := preset(t, c.preset), unhex(t, c.bytes)
			var m abi.Message
			n, _, err := f.Decode(b, nil, &m)
			if n != c.n || !errors.Is(err, c.reason) {
				t.Fatalf("n %d, %v; expected %d, %s", n, err, c.n, c.reason)
			}
			if c.text != "" && err.Error() != c.text {
				t.Errorf("got  %s\nwant %s", err, c.text)
			}
			if need := f.Need(b); n == 0 && need != 0 {
				t.Errorf("needs %d bytes of a frame that is none", need)
			}
		})
	}
}

func TestResynchronises(t *testing.T) {
	f := preset(t, "mcp-flag")
	good, _ := f.Append(nil, &abi.Message{Payload: []byte("good")})
	bad := bytes.Clone(good)
	bad[4] ^= 1
	for name, stream := range map[string][]byte{
		"garbage":           append([]byte("garbage"), good...),
		"a bad checksum":    append(bytes.Clone(bad), good...),
		"a frame in a bad":  append([]byte{0x5a, 0, 12}, append(bytes.Clone(good), 1, 2, 3, 4, 5)...),
		"a false start":     append([]byte{0x5a, 0, 1}, append(bytes.Clone(good), good...)...),
		"an impossible one": append([]byte{0x5a, 0xff, 0xff}, good...),
	} {
		c := &connection{format: f.WithLimit(100)}
		c.receive(t, stream)
		if len(c.messages) == 0 || !strings.Contains(c.messages[0], "good") || c.closed {
			t.Errorf("after %s: %v, closed %t", name, c.messages, c.closed)
		}
	}
}

// A frame that never ends is refused as soon as it is longer than the limit.
func TestNeverEnding(t *testing.T) {
	for name, f := range formats(t) {
		f := f.WithLimit(100)
		c := &connection{format: f}
		whole, err := f.Append(nil, &abi.Message{Payload: bytes.Repeat([]byte{'a'}, 60)})
		if name == "semicolon" || name == "line" {
			whole, err = bytes.Repeat([]byte{'a'}, 500), nil
		}
		if err != nil {
			t.Fatal(name, err)
		}
		c.receive(t, whole[:len(whole)-1])
		if f.Text() {
			if !c.closed || c.reasons[0] != frame.TooLong {
				t.Errorf("%s: a line of 499 bytes: %v", name, c.reasons)
			}
			continue
		}
		if need := f.Need(c.buffer); len(c.reasons) > 0 || need != len(whole) {
			t.Errorf("%s: needs %d of %d bytes, %v", name, need, len(whole), c.reasons)
		}
	}
	line := preset(t, "line").WithLimit(10)
	for length, ok := range map[int]bool{9: true, 10: false} {
		b := append(bytes.Repeat([]byte{'a'}, length), '\n')
		var m abi.Message
		n, _, err := line.Decode(b, nil, &m)
		if _, over := line.Append(nil, &abi.Message{Payload: b[:length]}); (n == len(b) && err == nil) != ok || (over == nil) != ok {
			t.Errorf("%d bytes and LF: n %d, %v; encoded: %v", length, n, err, over)
		}
	}
}

// What a format cannot say is refused with the reason, and dst is as it was.
func TestMessagesThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		name, format string
		m            abi.Message
		reason       frame.Reason
	}{
		{"payload over a length of one byte", "mcp-node", abi.Message{Payload: make([]byte, 256)}, frame.TooLong},
		{"payload over a length of two bytes", "mcp-flag", abi.Message{Payload: make([]byte, 65536)}, frame.TooLong},
		{"payload over the limit", "length32", abi.Message{Payload: make([]byte, 65533)}, frame.TooLong},
		{"sequence id", "mcp-seq", abi.Message{Type: abi.TypeRequest, Seq: 65536}, frame.TooLarge},
		{"priority", "mcp-seq", abi.Message{Priority: 8}, frame.TooLarge},
		{"node id", "mcp-node", abi.Message{Attrs: attrs("node_id", "256")}, frame.TooLarge},
		{"node id of 21 digits", "mcp-node", abi.Message{Attrs: attrs("node_id", "999999999999999999999")}, frame.TooLarge},
		{"node id that is a name", "mcp-node", abi.Message{Attrs: attrs("node_id", "truck-7")}, frame.BadAttribute},
		{"negative", "mcp-cmd", abi.Message{Attrs: attrs("cmd", "-1")}, frame.BadAttribute},
		{"command without a meaning", "mcp-node", abi.Message{Attrs: attrs("cmd_type", "9")}, frame.BadAttribute},
		{"heartbeat", "mcp-magic", abi.Message{Type: abi.TypeHeartbeat}, frame.BadType},
		{"two lines", "line", abi.Message{Payload: []byte("a\nACK: b")}, frame.EmbeddedDelimiter},
		{"two line ends", "line", abi.Message{Payload: []byte("a\n\n")}, frame.EmbeddedDelimiter},
		{"topic over a length of one byte", "parts", abi.Message{Topic: make([]byte, 256)}, frame.TooLong},
		{"device over max", "parts", abi.Message{Attrs: attrs("device", strings.Repeat("d", 33))}, frame.TooLong},
		{"weight below min", "parts", abi.Message{Attrs: attrs("weight", "0")}, frame.TooLarge},
	} {
		f := formats(t)[c.format]
		dst := append(make([]byte, 0, 4), "keep"...)
		out, err := f.Append(dst, &c.m)
		if !errors.Is(err, c.reason) || string(out) != "keep" {
			t.Errorf("%s: %q, %v; expected %s", c.name, out, err, c.reason)
		}
	}
}

func TestFaultsAndLimits(t *testing.T) {
	for _, r := range frame.Reasons() {
		if r.Error() != string(r) || r == "" {
			t.Errorf("reason %q reads %q", string(r), r.Error())
		}
	}
	f := preset(t, "mcp-seq")
	if g := f.WithLimit(0); g != f || f.Limit() != frame.DefaultLimit {
		t.Errorf("limit %d by default", f.Limit())
	}
	g := f.WithLimit(1 << 40)
	if g.Limit() != abi.MaxPayload+9 || !g.Same(f) || g.Same(nil) || g.Same(preset(t, "mcp-cmd")) {
		t.Errorf("limit %d", g.Limit())
	}
}
