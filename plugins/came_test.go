package plugins_test

import (
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// TestCame: a message that plugins change knows what it was, one that they leave alone
// does not, and the memory for that is used again.
func TestCame(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	change := func(name string, at int32, length int32) *plugins.Plugin {
		return load(t, env, wasmtest.New().Data(textAt, []byte("onetwo")).Hook(abi.ExportOnMessages, wasmtest.EachRecord(
			wasmtest.WhenFirstByte('c', wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedPayload)), wasmtest.PutSpan(abi.RecordPayload, textAt+at, length)),
			wasmtest.WhenFirstByte('o', wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedTopic|abi.ChangedQoS)), wasmtest.PutSpan(abi.RecordTopic, textAt+at, length), wasmtest.Put8(abi.RecordQoS, 2)),
		)), plugins.Spec{Name: name})
	}
	chain := newChain(t, change("first", 0, 3), change("second", 3, 3))
	b := messages("keep", "change", "change too")
	run := func() { chain.Messages(b) }
	again := func() {
		b.Reset()
		b.Messages = append(b.Messages, messages("keep", "change", "change too").Messages...)
	}
	for range 3 {
		run()
		for i, m := range b.Messages {
			if i == 0 {
				if m.Changed || m.Came != nil {
					t.Fatalf("nobody has changed %+v", m)
				}
				continue
			}
			if string(m.Payload) != "two" || string(m.Topic) != "one" || m.QoS != 2 {
				t.Fatalf("message %d: %+v", i, m)
			}
			if was := m.Came; !m.Changed || was == nil || was.Changed || string(was.Topic) != "raw/trucks" || was.QoS != 0 || was.Seq != uint64(i) ||
				string(was.Payload) != []string{"", "change", "change too"}[i] {
				t.Fatalf("message %d came as %+v", i, was)
			}
		}
		again()
	}
	kept := b.Messages
	if n := testing.AllocsPerRun(100, func() { b.Reset(); b.Messages = append(b.Messages, kept[:3]...); run() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestFrom: the first plugins do not see what begins behind them.
func TestFrom(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	drop := wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, 1)))
	pass := wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.Code())
	chain := newChain(t, load(t, env, drop, plugins.Spec{Name: "drop"}), load(t, env, pass, plugins.Spec{Name: "pass"}))
	b := messages("a")
	b.From = 1
	chain.Messages(b)
	if o := b.Outcomes[0]; o.Verdict != abi.VerdictContinue {
		t.Errorf("%+v", o)
	}
	b.Reset()
	b.Messages = append(b.Messages, messages("b").Messages...)
	chain.Messages(b)
	if o := b.Outcomes[0]; o.Verdict != abi.VerdictDrop {
		t.Errorf("after a reset: %+v", o)
	}
}

// TestAHeldMessageKeepsWhatCame: with bytes of its own.
func TestAHeldMessageKeepsWhatCame(t *testing.T) {
	was := abi.Message{Topic: []byte("came"), Attrs: abi.Attributes(nil).AppendString("a", "1"), Payload: []byte("before")}
	m := abi.Message{Topic: []byte("now"), Payload: []byte("after"), Changed: true, Came: &was}
	kept := plugins.Own(&m)
	for _, b := range [][]byte{was.Topic, was.Attrs, was.Payload, m.Topic, m.Payload} {
		clear(b)
	}
	was = abi.Message{}
	if a, _ := kept.Came.Attrs.Get("a"); !kept.Changed || string(kept.Payload) != "after" || string(kept.Came.Topic) != "came" || string(kept.Came.Payload) != "before" || string(a) != "1" {
		t.Errorf("%+v of %+v", kept, kept.Came)
	}
}
