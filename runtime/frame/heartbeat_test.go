package frame_test

import (
	"bytes"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

func decodeOne(t *testing.T, f *frame.Format, b []byte) abi.Message {
	t.Helper()
	var m abi.Message
	if n, _, err := f.Decode(b, nil, &m); n != len(b) || err != nil {
		t.Fatalf("%x: %d of %d bytes, %v", b, n, len(b), err)
	}
	return m
}

func TestHeartbeats(t *testing.T) {
	for _, c := range []struct{ name, preset, beat, answer string }{
		{"same seq", "mcp-seq", "01 03 0009 00000000 02", "01 03 0009 00000000 02"},
		{"seq 0", "mcp-seq", "01 03 0000 00000000 00", "01 03 0000 00000000 00"},
		{"its payload is not sent back", "mcp-seq", "01 03 0009 00000002 00 6162", "01 03 0009 00000000 00"},
		{"the answer to weft's own", "mcp-seq", "01 03 ffff 00000000 00", ""},
		{"a request is none", "mcp-seq", "01 01 0009 00000000 02", ""},
		{"same node", "mcp-node", "55 11 01 00 CRC", "55 11 03 00 CRC"},
		{"a read with a payload is none", "mcp-node", "55 11 01 01 01 CRC", ""},
		{"an empty write is none", "mcp-node", "55 11 02 00 CRC", ""},
		{"an empty response is answered by nobody", "mcp-node", "55 11 03 00 CRC", ""},
		{"no heartbeats", "mcp-cmd", "c5 0000 00 00000000", ""},
	} {
		t.Run(c.preset+"/"+c.name, func(t *testing.T) {
			f := preset(t, c.preset)
			m := decodeOne(t, f, withCRC(t, c.beat))
			out, ok := f.AppendHeartbeatReply([]byte("-"), &m)
			if want := append([]byte("-"), withCRC(t, c.answer)...); ok != (c.answer != "") || !bytes.Equal(out, want) {
				t.Errorf("answered %x, %t; expected %x", out, ok, want)
			}
		})
	}
}

// withCRC puts the bit by bit checksum in the place of CRC.
func withCRC(t *testing.T, s string) []byte {
	if body, ok := bytes.CutSuffix([]byte(s), []byte("CRC")); ok {
		b := unhex(t, string(body))
		sum := uint16(bitwise(b, 0x8005, 0xFFFF, 0, true, true))
		return append(b, byte(sum>>8), byte(sum))
	}
	return unhex(t, s)
}

// Two sides that speak the same format keep each other alive and then fall silent.
func TestHeartbeatsEnd(t *testing.T) {
	for _, name := range []string{"mcp-seq", "mcp-node"} {
		f := preset(t, name)
		own, ok := f.Heartbeat()
		if !ok {
			t.Fatalf("%s: none", name)
		}
		m := decodeOne(t, f, own)
		if m.Type != abi.TypeHeartbeat {
			t.Errorf("%s: weft's heartbeat %x is a %v", name, own, m.Type)
		}
		if name == "mcp-seq" { // whose answer is the same frame again
			if !f.IsHeartbeatReply(&m) {
				t.Error("the answer to weft's heartbeat is not known as such")
			}
			continue
		}
		answer, ok := f.AppendHeartbeatReply(nil, &m)
		if !ok {
			t.Fatalf("%s: weft's heartbeat is not answered", name)
		}
		back := decodeOne(t, f, answer)
		if _, again := f.AppendHeartbeatReply(nil, &back); again || !f.IsHeartbeatReply(&back) {
			t.Errorf("%s: the answer %x is answered again", name, answer)
		}
	}
}

func TestHeartbeatToANode(t *testing.T) {
	f := preset(t, "mcp-node")
	b, err := f.Append(nil, &abi.Message{Type: abi.TypeHeartbeat, Attrs: attrs("node_id", "17")})
	if want := withCRC(t, "55 11 01 00 CRC"); err != nil || !bytes.Equal(b, want) {
		t.Errorf("%x, %v; expected %x", b, err, want)
	}
}
