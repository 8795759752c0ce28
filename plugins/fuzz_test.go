package plugins_test

import (
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// FuzzAnswers lets a guest answer any bytes in its record and its effects. The
// host must neither panic nor let anything through that breaks the contract.
func FuzzAnswers(f *testing.F) {
	env := newEnv(f, plugins.EnvConfig{Clock: newClock()})
	memoryCopy := []byte{0xfc, 0x0a, 0, 0}
	memoryInit := func(dst, local int) []byte { // copies the payload's bytes [local 4, local 5) to dst
		return wasmtest.Code(wasmtest.Get(dst), wasmtest.Get(4), wasmtest.Get(local), memoryCopy)
	}
	guest := wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(
		// The first 96 bytes of the payload are the record's from topic on, all of it lies at effectAt as well.
		wasmtest.Get(2), wasmtest.Load32(abi.RecordPayload), wasmtest.Set(4),
		wasmtest.I32(effectAt), wasmtest.Get(4), wasmtest.Get(2), wasmtest.Load32(abi.RecordPayload+4), memoryCopy,
		wasmtest.I32(96), wasmtest.Set(5),
		wasmtest.Get(2), wasmtest.I32(abi.RecordTopic), wasmtest.Add, wasmtest.Set(2),
		memoryInit(2, 5),
		wasmtest.Get(2), wasmtest.I32(abi.RecordTopic), wasmtest.Sub, wasmtest.Set(2)))
	p, err := env.Load(f.Context(), plugins.Spec{Name: "fuzz", Wasm: guest.Bytes(), Grants: effectGrants("#")})
	if err != nil {
		f.Fatal(err)
	}
	next, err := env.Load(f.Context(), plugins.Spec{Name: "next", Wasm: wasmtest.New().Bytes()})
	if err != nil {
		f.Fatal(err)
	}
	seed := make([]byte, 96+128)
	f.Add(seed)
	drop := append([]byte(nil), seed...)
	drop[abi.RecordVerdict-32] = 1
	f.Add(drop)
	emits := append([]byte(nil), seed...)
	emits[abi.RecordEffects-32], emits[abi.RecordEffects-32+1], emits[abi.RecordEffects-32+4] = 96, 8, 1 // effectAt + 96
	emits[96], emits[96+16], emits[96+17], emits[96+20] = 1, 0, 8, 1
	emits[0] = 'a'
	f.Add(emits)
	changes := append([]byte(nil), seed...)
	changes[abi.RecordChanges-32] = 0xff
	f.Add(changes)
	f.Fuzz(func(t *testing.T, answer []byte) {
		if len(answer) < 96 || len(answer) > 4096 {
			return
		}
		chain, err := plugins.NewChain(t.Context(), nil, p, next)
		if err != nil {
			t.Fatal(err)
		}
		defer chain.Close(t.Context())
		b := &plugins.Batch{Messages: []abi.Message{{Session: 1, Topic: []byte("a"), Payload: answer}}}
		chain.Messages(b)
		for i := range b.Messages {
			m, o := &b.Messages[i], &b.Outcomes[i]
			if len(m.Topic) == 0 || len(m.Topic) > abi.MaxTopic || m.Priority > abi.MaxPriority || m.QoS > abi.MaxQoS || m.Type > abi.TypeHeartbeat ||
				m.Attrs.Validate(abi.MaxAttrs) != nil || m.Context.Validate(abi.MaxContext) != nil || len(m.Payload) > abi.MaxPayload || m.Flags&^abi.FlagsKnown != 0 {
				t.Fatalf("message %d: %+v", i, m)
			}
			if o.Verdict > abi.VerdictClose || o.Changes&^abi.ChangesKnown != 0 {
				t.Fatalf("outcome %d: %+v", i, o)
			}
		}
		if len(b.Messages) > 1+abi.MaxEffects || len(b.Subscriptions) > abi.MaxEffects {
			t.Fatalf("%d messages, %d subscriptions", len(b.Messages), len(b.Subscriptions))
		}
	})
}
