//go:build !wasm && !tinygo.wasm

package weft

import (
	"testing"

	"github.com/weftrun/weft/abi/sdk/tinygo/internal/bridge"
)

// busy changes everything that can be changed.
type busy struct{}

func (busy) Init([]byte) error { return nil }

func (busy) Message(m *Message) Verdict {
	identity, _ := m.ContextString("identity")
	m.SetTopic("truck/", identity, "/telemetry")
	m.SetAttributeString("level", "high")
	m.SetAttribute("node_id", m.Payload()[:1])
	m.RemoveAttribute("cmd")
	m.SetContextString("seen", "yes")
	var w Writer
	w.Write(m.Payload())
	w.WriteUint(m.Seq())
	m.SetPayload(w.Bytes())
	for range 5 {
		m.Emit(Emit{Topic: "alarm", Payload: m.Payload(), Attributes: []Attribute{{Name: "a", Value: m.Payload()}}})
	}
	sum := 0
	for _, value := range m.Attributes().All {
		sum += len(value)
	}
	if sum == 0 {
		return Drop("empty")
	}
	return Route("queue:work", "subscribers")
}

// TestSteadyState: once the arena is as large as it needs to be, nothing is
// allocated, neither from Go nor in the region.
func TestSteadyState(t *testing.T) {
	forget()
	Register(busy{})
	batch := make([]bridge.Input, 64)
	for i := range batch {
		batch[i] = bridge.Input{
			Session: uint64(i%5 + 1), Topic: "raw", Payload: "21.5",
			Attributes: []bridge.Attribute{{Name: "node_id", Value: "7"}, {Name: "cmd", Value: "2"}},
			Context:    []bridge.Attribute{{Name: "identity", Value: "7"}},
		}
	}
	run(hookMessages, batch)
	run(hookMessages, batch)
	records := lent.input.at
	reset := make([]record, len(batch))
	for i := range reset {
		reset[i] = messageAt(records + uint32(i)*stride).r
		reset[i].effects, reset[i].effectCount, reset[i].changes = 0, 0, 0
		reset[i].attributes, reset[i].context, reset[i].payload = span{}, span{}, reset[i].topic
	}
	next, spent := region.next, len(lent.spent)
	allocations := testing.AllocsPerRun(100, func() {
		for i := range reset {
			messageAt(records + uint32(i)*stride).r = reset[i]
		}
		onMessages(records, uint32(len(batch)))
	})
	if allocations != 0 {
		t.Errorf("%v allocations a batch", allocations)
	}
	if region.next != next || len(lent.spent) != spent {
		t.Errorf("the region grew from %d to %d", next, region.next)
	}
}

// TestArenaKeepsWhatWasLent: chunks that are too small are replaced, and what was
// lent from them stays valid until the next call.
func TestArenaKeepsWhatWasLent(t *testing.T) {
	forget()
	for range 3 {
		begin()
		var spans []span
		for i := range 200 {
			b := make([]byte, i*i)
			for k := range b {
				b[k] = byte(i)
			}
			spans = append(spans, lendBytes(b))
		}
		for i, s := range spans {
			if len(s.bytes()) != i*i {
				t.Fatalf("span %d has %d bytes", i, s.size)
			}
			for _, c := range s.bytes() {
				if c != byte(i) {
					t.Fatalf("span %d was overwritten", i)
				}
			}
		}
	}
	if lent.current.size != keepChunk {
		t.Errorf("%d bytes are kept", lent.current.size)
	}
	if again := lendBytes(span{lent.current.at, 5}.bytes()); again.at != lent.current.at {
		t.Error("bytes of the arena were copied")
	}
}

func TestInputIsBounded(t *testing.T) {
	forget()
	if input(maxBuffer+1) != 0 {
		t.Error("a buffer of more than 32 MiB was given")
	}
	if at := input(maxBuffer); at == 0 || at%8 != 0 {
		t.Errorf("the buffer lies at %d", at)
	}
}

// FuzzAttributes: any block can be read, and after a change the names are what
// they should be.
func FuzzAttributes(f *testing.F) {
	f.Add([]byte{1, 0, 1, 0, 'a', 'b'}, "a", "c")
	f.Add([]byte{1, 0, 1, 0, 'a'}, "b", "")
	f.Add([]byte{0, 0, 0, 0, 255, 255, 0, 0}, "x", "y")
	f.Fuzz(func(t *testing.T, block []byte, name, value string) {
		if name == "" || len(name) > maxAttribute || len(value) > maxAttribute {
			t.Skip()
		}
		forget()
		begin()
		b := lendBytes(block)
		var names []string
		for n := range (Attributes{b.bytes()}).All {
			if n != name {
				names = append(names, n)
			}
		}
		set := with(b, name, value)
		if v, ok := (Attributes{set.bytes()}).Get(name); string(v) != value || !ok {
			// A fault in the block hides what stands behind it, as it hid it before.
			if whole(block) {
				t.Fatalf("set to %q, reads %q", value, v)
			}
			return
		}
		left := Attributes{remove(set, name).bytes()}
		for n := range left.All {
			if len(names) == 0 || names[0] != n {
				t.Fatalf("left %q, expected %q", n, names)
			}
			names = names[1:]
		}
		if len(names) > 0 {
			t.Fatalf("lost %q", names)
		}
	})
}

func whole(block []byte) bool {
	for len(block) > 0 {
		name, _, rest := split(block)
		if name == nil {
			return false
		}
		block = rest
	}
	return true
}
