package frame_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

func preset(t testing.TB, name string) *frame.Format {
	t.Helper()
	f, ok := frame.Preset(name)
	if !ok {
		t.Fatalf("no preset %s", name)
	}
	return f
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func attrs(pairs ...string) abi.Attributes {
	var a abi.Attributes
	for i := 0; i < len(pairs); i += 2 {
		a = a.AppendString(pairs[i], pairs[i+1])
	}
	return a
}

// golden frames, written by hand from rows A1 to A5, A7 and A8; the checksums
// were taken bit by bit by another program.
var golden = []struct {
	name, preset, frame string
	want                abi.Message
}{
	{"read with payload", "mcp-node", "55 11 01 02 0001 e191", abi.Message{Type: abi.TypeRequest, Attrs: attrs("node_id", "17", "cmd_type", "1"), Payload: []byte{0, 1}}},
	{"write", "mcp-node", "55 07 02 03 616263 a15e", abi.Message{Type: abi.TypeRequest, Attrs: attrs("node_id", "7", "cmd_type", "2"), Payload: []byte("abc")}},
	{"response", "mcp-node", "55 ff 03 01 2a 5768", abi.Message{Type: abi.TypeResponse, Attrs: attrs("node_id", "255", "cmd_type", "3"), Payload: []byte("*")}},
	{"read without payload", "mcp-node", "55 11 01 00 7d40", abi.Message{Type: abi.TypeHeartbeat, Attrs: attrs("node_id", "17", "cmd_type", "1")}},
	{"flag", "mcp-flag", "5a 0009 313233343536373839 4b37", abi.Message{Payload: []byte("123456789")}},
	{"flag, empty", "mcp-flag", "5a 0000 ffff", abi.Message{}},
	{"REQ", "mcp-magic", "4d43 01 00 00000002 6869", abi.Message{Type: abi.TypeRequest, Payload: []byte("hi")}},
	{"RESP", "mcp-magic", "4d43 01 01 00000002 6f6b", abi.Message{Type: abi.TypeResponse, Payload: []byte("ok")}},
	{"ACK", "mcp-magic", "4d43 01 02 00000000", abi.Message{Type: abi.TypeAck}},
	{"request", "mcp-seq", "01 01 0102 00000002 05 6869", abi.Message{Type: abi.TypeRequest, Seq: 0x102, Priority: 5, Payload: []byte("hi")}},
	{"response", "mcp-seq", "01 02 ffff 00000000 00", abi.Message{Type: abi.TypeResponse, Seq: 0xffff}},
	{"heartbeat", "mcp-seq", "01 03 0009 00000000 07", abi.Message{Type: abi.TypeHeartbeat, Seq: 9, Priority: 7}},
	{"command", "mcp-cmd", "c5 0003 2a 00000001 21", abi.Message{Type: abi.TypeRequest, Seq: 3, Attrs: attrs("cmd", "42"), Payload: []byte("!")}},
	{"pushed event", "mcp-cmd", "c5 0000 07 00000001 21", abi.Message{Type: abi.TypeEvent, Attrs: attrs("cmd", "7"), Payload: []byte("!")}},
	{"line", "line", "6869 0a", abi.Message{Payload: []byte("hi")}},
	{"empty line", "line", "0a", abi.Message{}},
	{"length32", "length32", "00000003 616263", abi.Message{Payload: []byte("abc")}},
	{"length32, empty", "length32", "00000000", abi.Message{}},
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		t.Run(g.preset+"/"+g.name, func(t *testing.T) {
			f, b := preset(t, g.preset), unhex(t, g.frame)
			var m abi.Message
			n, grown, err := f.Decode(b, nil, &m)
			if n != len(b) || err != nil {
				t.Fatalf("decoded %d of %d bytes: %v", n, len(b), err)
			}
			same(t, &m, &g.want)
			if !bytes.Equal(m.Frame, b) || !bytes.Equal(grown, m.Attrs) {
				t.Errorf("frame %x, scratch %x", m.Frame, grown)
			}
			if need := f.Need(b); !f.Text() && need != len(b) {
				t.Errorf("need %d, expected %d", need, len(b))
			}
			m.Frame = nil
			out, err := f.Append([]byte("before"), &m)
			if err != nil || !bytes.Equal(out, append([]byte("before"), b...)) {
				t.Errorf("encoded %x, %v", out, err)
			}
		})
	}
}

// same compares what a frame can carry.
func same(t testing.TB, got, want *abi.Message) {
	t.Helper()
	if got.Type != want.Type || got.Seq != want.Seq || got.Priority != want.Priority {
		t.Errorf("got %v seq %d priority %d, expected %v seq %d priority %d", got.Type, got.Seq, got.Priority, want.Type, want.Seq, want.Priority)
	}
	if !bytes.Equal(got.Topic, want.Topic) || !bytes.Equal(got.Attrs, want.Attrs) || !bytes.Equal(got.Payload, want.Payload) {
		t.Errorf("got topic %q attributes %q payload %q, expected %q %q %q", got.Topic, got.Attrs, got.Payload, want.Topic, want.Attrs, want.Payload)
	}
}
