package frame_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

// Any text is compiled or refused with a DeclarationError, and what was compiled
// keeps the contract of Decode and Append.
func FuzzParse(f *testing.F) {
	for _, name := range declaredPresets() {
		doc, _ := frame.PresetSource(name)
		f.Add(doc, []byte{0x55, 1, 1, 0, 0x5a, 0xff, '\n'})
	}
	for _, doc := range declared {
		f.Add([]byte(doc), []byte{3, 2, 1, 9, 0, ';', '|'})
	}
	f.Fuzz(func(t *testing.T, doc, stream []byte) {
		format, err := frame.Parse("fuzz", doc)
		if err != nil {
			var bad *frame.DeclarationError
			if !errors.As(err, &bad) || len(bad.Problems) == 0 {
				t.Fatalf("%v lists no problem", err)
			}
			return
		}
		format.Describe()
		beat, beats := format.Heartbeat()
		var m abi.Message
		if n, _, err := format.Decode(beat, nil, &m); beats && (n != len(beat) || err != nil) {
			t.Fatalf("the heartbeat %x is no frame: %d, %v", beat, n, err)
		}
		twice(t, format, stream, len(stream)/2)
		out, err := format.Append(nil, &abi.Message{Payload: stream})
		if err != nil {
			return
		}
		n, _, err := format.Decode(out, nil, &m)
		if n != len(out) || err != nil {
			t.Fatalf("%x was written and not read: %d, %v", out, n, err)
		}
	})
}

// Bytes split in two decode as if they were whole, in every format.
func FuzzDecode(f *testing.F) {
	all := formats(f)
	names := slices.Sorted(maps.Keys(all))
	for i, name := range names {
		stream := bytes.Join(sample(f, all[name]), nil)
		f.Add(uint8(i), stream, len(stream)/2)
		f.Add(uint8(i), append([]byte("garbage"), stream...), 3)
	}
	f.Fuzz(func(t *testing.T, which uint8, stream []byte, split int) {
		format := all[names[int(which)%len(names)]].WithLimit(4096)
		if split < 0 || split > len(stream) {
			split = len(stream) / 2
		}
		twice(t, format, stream, split)
	})
}

// twice decodes a stream whole and split in two, and encodes again what came out.
func twice(t *testing.T, f *frame.Format, stream []byte, split int) {
	whole, parts := &connection{format: f}, &connection{format: f}
	whole.receive(t, bytes.Clone(stream))
	parts.receive(t, stream[:split])
	parts.receive(t, stream[split:])
	agree(t, parts, whole)
	for rest := stream; len(rest) > 0; {
		var m abi.Message
		n, _, err := f.Decode(rest, nil, &m)
		if n == 0 {
			return
		}
		rest = rest[n:]
		if err != nil {
			continue
		}
		if err := m.Attrs.Validate(abi.MaxAttrs); err != nil {
			t.Fatal(err)
		}
		out, err := f.Append(nil, &m)
		if err != nil {
			continue // a value that is read but not written, such as a seq of a type that has none
		}
		var again abi.Message
		if n, _, err := f.Decode(out, nil, &again); n != len(out) || err != nil {
			t.Fatalf("%x was written and not read: %d, %v", out, n, err)
		}
	}
}
