package frame_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

// What one format can say comes back as it was said.
func TestEveryMessageComesBack(t *testing.T) {
	for name, f := range formats(t) {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			m := draw(t, f)
			b, err := f.Append(nil, &m)
			if err != nil {
				t.Fatalf("%+v: %v", m, err)
			}
			var back abi.Message
			n, _, err := f.Decode(b, nil, &back)
			if n != len(b) || err != nil {
				t.Fatalf("%x: %d of %d bytes, %v", b, n, len(b), err)
			}
			carries := f.Carries()
			if !bytes.Equal(back.Payload, m.Payload) {
				t.Fatalf("payload %q, expected %q", back.Payload, m.Payload)
			}
			if carries&abi.ChangedSeq != 0 && back.Seq != m.Seq || carries&abi.ChangedPriority != 0 && back.Priority != m.Priority {
				t.Fatalf("seq %d priority %d, expected %d %d", back.Seq, back.Priority, m.Seq, m.Priority)
			}
			if carries&abi.ChangedTopic != 0 && !bytes.Equal(back.Topic, m.Topic) {
				t.Fatalf("topic %q, expected %q", back.Topic, m.Topic)
			}
			for key, value := range back.Attrs.All() {
				if said, ok := m.Attrs.Get(string(key)); ok && string(key) != "cmd_type" && string(key) != "kind" && !bytes.Equal(said, value) {
					t.Fatalf("%s %q, expected %q", key, value, said)
				}
			}
			// A second encoding of what was decoded changes nothing.
			back.Frame = nil
			again, err := f.Append(nil, &back)
			if err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%x came back as %x, %v", b, again, err)
			}
		}))
	}
}

// draw makes a message that came by some protocol and fits the format.
func draw(t *rapid.T, f *frame.Format) abi.Message {
	number := func(most int) string {
		return string(rapid.SliceOfN(rapid.ByteRange('1', '9'), 1, most).Draw(t, "digits"))
	}
	m := abi.Message{
		Type:     rapid.SampledFrom([]abi.Type{abi.TypeRequest, abi.TypeResponse, abi.TypeAck}).Draw(t, "type"),
		Seq:      rapid.Uint64Range(0, 65534).Draw(t, "seq"),
		Priority: rapid.Uint8Range(0, 7).Draw(t, "priority"),
		Topic:    rapid.SliceOfN(rapid.Byte(), 0, 255).Draw(t, "topic"),
		Payload:  rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "payload"),
		Attrs: attrs("node_id", number(2), "cmd", number(2), "weight", number(3), "device", number(32),
			"kind", number(3), "note", number(9), "cmd_type", rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "cmd_type"), "other", "x"),
	}
	switch f.Name() {
	case "line":
		m.Payload = bytes.TrimRight(bytes.ReplaceAll(m.Payload, []byte{'\n'}, nil), "\r")
	case "semicolon":
		m.Payload = bytes.TrimRight(bytes.ReplaceAll(m.Payload[:min(len(m.Payload), 30)], []byte{';'}, nil), " ")
	}
	return m
}

// A message of any protocol goes out by any other.
func TestAnyProtocolOutByAnyOther(t *testing.T) {
	all := formats(t)
	for from, f := range all {
		for _, b := range sample(t, f) {
			var m abi.Message
			if _, _, err := f.Decode(b, nil, &m); err != nil {
				t.Fatal(from, err)
			}
			for to, g := range all {
				out, err := g.Append(nil, &m)
				if err != nil {
					t.Errorf("%s to %s: %v", from, to, err)
					continue
				}
				var back abi.Message
				if n, _, err := g.Decode(out, nil, &back); n != len(out) || err != nil || !bytes.Equal(back.Payload, m.Payload) {
					t.Errorf("%s to %s: %d of %d bytes, %q, %v", from, to, n, len(out), back.Payload, err)
				}
			}
		}
	}
}

func TestEncodingChoices(t *testing.T) {
	for _, c := range []struct {
		name, format string
		m            abi.Message
		want         string
	}{
		{"an event is a request", "mcp-seq", abi.Message{Seq: 1, Payload: []byte{1}}, "01 01 0001 00000001 00 01"},
		{"an event's sequence id matters to nobody", "mcp-seq", abi.Message{Seq: 1 << 40}, "01 01 0000 00000000 00"},
		{"an ack is a response", "mcp-seq", abi.Message{Type: abi.TypeAck, Seq: 1}, "01 02 0001 00000000 00"},
		{"a type of a later version", "mcp-seq", abi.Message{Type: 99}, "01 01 0000 00000000 00"},
		{"an event has sequence id 0", "mcp-cmd", abi.Message{Seq: 9}, "c5 0000 00 00000000"},
		{"a request keeps it", "mcp-cmd", abi.Message{Type: abi.TypeRequest, Seq: 9, Attrs: attrs("cmd", "255")}, "c5 0009 ff 00000000"},
		{"a write by default", "mcp-node", abi.Message{}, "55 00 02 00 CRC"},
		{"the attribute wins", "mcp-node", abi.Message{Attrs: attrs("cmd_type", "1")}, "55 00 01 00 CRC"},
		{"but a response is no read", "mcp-node", abi.Message{Type: abi.TypeResponse, Attrs: attrs("cmd_type", "1")}, "55 00 03 00 CRC"},
		{"one line end is the frame's own", "line", abi.Message{Payload: []byte("a\n")}, "61 0a"},
		{"spaces for delimiters", "semicolon", abi.Message{Payload: []byte("a;|b;|")}, "612062 3b7c"},
	} {
		out, err := formats(t)[c.format].Append(nil, &c.m)
		if want := withCRC(t, c.want); err != nil || !bytes.Equal(out, want) {
			t.Errorf("%s: %x, %v; expected %x", c.name, out, err, want)
		}
	}
}

func TestCarriageReturn(t *testing.T) {
	f := preset(t, "line")
	for in, want := range map[string]string{"a\r\n": "a", "a\r\r\n": "a\r", "\r\n": "", "a\rb\n": "a\rb"} {
		var m abi.Message
		if n, _, err := f.Decode([]byte(in), nil, &m); n != len(in) || err != nil || string(m.Payload) != want {
			t.Errorf("%q: %q, %d, %v", in, m.Payload, n, err)
		}
	}
}

func TestWhatAFormatSaysOfItself(t *testing.T) {
	type facts struct {
		bits     int
		node     string
		carries  abi.Changes
		bySeq    bool
		beats    bool
		textual  bool
		shortest int
	}
	payload := abi.ChangedPayload
	for name, want := range map[string]facts{
		"mcp-node":  {0, "node_id", payload | abi.ChangedAttrs | abi.ChangedType, false, true, false, 6},
		"mcp-flag":  {0, "", payload, false, false, false, 5},
		"mcp-magic": {0, "", payload | abi.ChangedType, false, false, false, 8},
		"mcp-seq":   {16, "", payload | abi.ChangedType | abi.ChangedSeq | abi.ChangedPriority, false, true, false, 9},
		"mcp-cmd":   {16, "", payload | abi.ChangedType | abi.ChangedSeq | abi.ChangedAttrs, true, false, false, 8},
		"line":      {0, "", payload, false, false, true, 1},
		"length32":  {0, "", payload, false, false, false, 4},
	} {
		f := preset(t, name)
		_, beats := f.Heartbeat()
		b, err := f.Append(nil, &abi.Message{})
		got := facts{f.SeqBits(), f.NodeAttr(), f.Carries(), f.RespondsBySeq(), beats, f.Text(), len(b)}
		if got != want || err != nil || f.Name() != name || f.Description() == "" {
			t.Errorf("%s: %+v, expected %+v; %v", name, got, want, err)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for name, f := range formats(t) {
		in := sample(t, f)[2]
		bad := bytes.Clone(in)
		bad[len(bad)-1] ^= 0xff
		out, scratch := make([]byte, 0, 1024), make([]byte, 0, 1024)
		var m abi.Message
		over := abi.Message{Payload: make([]byte, 1<<20)}
		if n := testing.AllocsPerRun(100, func() {
			_, _, _ = f.Decode(in, scratch, &m)
			_ = f.Need(in[:len(in)-1])
			_, _ = f.Append(out, &m)
			_, _ = f.Append(out, &over)
			_, _ = f.AppendHeartbeatReply(out, &m)
			_, _, _ = f.Decode(bad, scratch, &m)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
