package frame_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

// connection feeds a format the way a loop does: what was not consumed stays in
// front of what arrives next.
type connection struct {
	format   *frame.Format
	buffer   []byte
	messages []string
	skipped  int
	reasons  []frame.Reason
	closed   bool
}

func (c *connection) receive(t failer, chunk []byte) {
	if c.closed {
		return
	}
	c.buffer = append(c.buffer, chunk...)
	for len(c.buffer) > 0 {
		var m abi.Message
		n, _, err := c.format.Decode(c.buffer, nil, &m)
		switch {
		case err == nil && n == 0:
			need := c.format.Need(c.buffer)
			if need != 0 && (need <= len(c.buffer) || need > c.format.Limit()) {
				t.Fatalf("%d bytes are there, %d are needed, the limit is %d", len(c.buffer), need, c.format.Limit())
			}
			if len(c.buffer) >= c.format.Limit() {
				t.Fatalf("%d bytes wait, the limit is %d", len(c.buffer), c.format.Limit())
			}
			return
		case err == nil:
			if n > c.format.Limit() {
				t.Fatalf("a frame of %d bytes, the limit is %d", n, c.format.Limit())
			}
			c.messages = append(c.messages, show(&m))
		default:
			var fault *frame.Fault
			if !errors.As(err, &fault) || !errors.Is(err, fault.Reason) {
				t.Fatalf("%v is no fault", err)
			}
			c.reasons = append(c.reasons, fault.Reason)
			c.skipped += n
			if c.closed = n == 0; c.closed {
				return
			}
		}
		if n < 0 || n > len(c.buffer) {
			t.Fatalf("consumed %d of %d bytes", n, len(c.buffer))
		}
		c.buffer = c.buffer[n:]
	}
}

type failer interface{ Fatalf(string, ...any) }

func show(m *abi.Message) string {
	return fmt.Sprintf("%v %d %d %q %q %q %x", m.Type, m.Seq, m.Priority, m.Topic, m.Attrs, m.Payload, m.Frame)
}

// agree fails unless both connections saw the same.
func agree(t failer, got, want *connection) {
	if fmt.Sprint(got.messages) != fmt.Sprint(want.messages) {
		t.Fatalf("split: %v\nwhole: %v", got.messages, want.messages)
	}
	if got.skipped != want.skipped || got.closed != want.closed || !bytes.Equal(got.buffer, want.buffer) && !want.closed {
		t.Fatalf("split: skipped %d, closed %t, left %x\nwhole: skipped %d, closed %t, left %x",
			got.skipped, got.closed, got.buffer, want.skipped, want.closed, want.buffer)
	}
}

// declaredPresets are the presets that are declarations.
func declaredPresets() []string {
	return slices.DeleteFunc(frame.Presets(), func(name string) bool { _, ok := frame.PresetSource(name); return !ok })
}

// formats are the declared presets and some declarations that use the rest of the
// language.
func formats(t testing.TB) map[string]*frame.Format {
	t.Helper()
	all := map[string]*frame.Format{}
	for _, name := range declaredPresets() {
		all[name] = preset(t, name)
	}
	for name, doc := range declared {
		f, err := frame.Parse(name, []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = f
	}
	return all
}

// declared together use every key of the language.
var declared = map[string]string{
	"little": `
endian: little
recover: resync
limit: 300
fields:
  - {name: magic, size: 3, const: 0x010203, role: magic}
  - {name: total, size: 2, counts: frame}
  - {name: kind, size: 2, role: type, attribute: kind, values: {0x100: request, 7: response, 9: ack}, other: event, encode: {event: 1}}
  - {name: id, size: 5, role: seq}
  - {name: level, size: 1, role: priority, endian: big}
  - {name: payload}
  - {name: check, size: 1, checksum: xor8, covers: total..payload}
  - {name: end, size: 1, const: 0x7e}
`,
	"parts": `
recover: frame
type: request
fields:
  - {name: topic_len, size: 1, counts: topic}
  - {name: device_len, size: 1, max: 32, counts: device}
  - {name: note_len, size: 1, counts: note}
  - {name: rest, size: 4, counts: crc..payload}
  - {name: crc, size: 4, checksum: crc32, covers: topic..payload}
  - {name: reserved, size: 7, default: 1}
  - {name: topic, role: topic}
  - {name: device, role: node}
  - {name: note, attribute: note}
  - {name: payload}
  - {name: weight, size: 3, attribute: weight, min: 1, max: 1000, default: 5}
  - {name: sum, size: 1, checksum: sum8, covers: topic_len..weight}
`,
	"checked": `
recover: frame
fields:
  - {name: size, size: 4, counts: payload}
  - {name: again, size: 2, counts: size..payload}
  - {name: payload}
  - {name: crc, size: 2, endian: little, checksum: crc16/x25, covers: size..payload}
`,
	"semicolon": `
limit: 40
text: {delimiter: ";|", trim: " ", embedded: space}
`,
}

// sample is some messages that every format can say, as bytes of the format.
func sample(t testing.TB, f *frame.Format) [][]byte {
	t.Helper()
	var frames [][]byte
	for _, m := range []abi.Message{
		{Type: abi.TypeRequest, Seq: 7, Priority: 3, Payload: []byte("hi")},
		{Type: abi.TypeResponse, Seq: 0xfedc, Priority: 7},
		{Type: abi.TypeEvent, Topic: []byte("a/b"), Attrs: attrs("node_id", "9", "cmd", "1", "kind", "77", "device", "d", "note", "n"), Payload: []byte{'Z', 0x55, 'U', 1, 2, 3}},
	} {
		b, err := f.Append(nil, &m)
		if err != nil {
			t.Fatal(f.Name(), err)
		}
		frames = append(frames, b)
	}
	return frames
}

func TestSplitAtEveryByte(t *testing.T) {
	for name, f := range formats(t) {
		t.Run(name, func(t *testing.T) {
			frames := sample(t, f)
			stream := bytes.Join(frames, nil)
			whole := &connection{format: f}
			whole.receive(t, bytes.Clone(stream))
			if len(whole.messages) != len(frames) || whole.skipped > 0 || len(whole.buffer) > 0 {
				t.Fatalf("%d frames made %v, skipped %d", len(frames), whole.messages, whole.skipped)
			}
			single := &connection{format: f}
			for i := range stream {
				single.receive(t, stream[i:i+1])
			}
			agree(t, single, whole)
			for i := range len(stream) + 1 {
				for j := i; j <= len(stream); j++ {
					c := &connection{format: f}
					c.receive(t, stream[:i])
					c.receive(t, stream[i:j])
					c.receive(t, stream[j:])
					agree(t, c, whole)
				}
			}
		})
	}
}

// Whatever the bytes are, it does not matter how they were split.
func TestSplitsOfAnyBytes(t *testing.T) {
	for name, f := range formats(t) {
		f := f.WithLimit(200)
		frames := sample(t, f)
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			piece := rapid.OneOf(
				rapid.SampledFrom(frames),
				rapid.Custom(func(t *rapid.T) []byte { // a damaged frame
					b := bytes.Clone(rapid.SampledFrom(frames).Draw(t, "frame"))
					b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
					return b
				}),
				rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 3, 0x55, 0x5a, ';', '|', '\n', '\r', 0xff}), 1, 20),
			)
			stream := bytes.Join(rapid.SliceOfN(piece, 1, 12).Draw(t, "stream"), nil)
			whole, split := &connection{format: f}, &connection{format: f}
			whole.receive(t, bytes.Clone(stream))
			for rest := stream; len(rest) > 0; {
				n := rapid.IntRange(1, min(len(rest), 30)).Draw(t, "split")
				split.receive(t, rest[:n])
				rest = rest[n:]
			}
			agree(t, split, whole)
		}))
	}
}
