package plugins_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// TestLayouts: wherever a batch's bytes lie, close together or apart, clipped or
// not, overlapping or in no order, a guest sees each message's own.
func TestLayouts(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	echo := func(span int, needs abi.Needs) *plugins.Chain {
		guest := wasmtest.New().Export(abi.ExportNeeds, wasmtest.Sig(":I"), wasmtest.I64(int64(needs))).
			Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, 2),
				wasmtest.Get(2), wasmtest.Get(2), wasmtest.Load64(span), wasmtest.Store64(abi.RecordOut)))
		return newChain(t, load(t, env, guest, plugins.Spec{}))
	}
	payloads, prefixes, topics := echo(abi.RecordPayload, abi.NeedsAll), echo(abi.RecordPayload, abi.NeedHooks|10), echo(abi.RecordTopic, abi.NeedsAll)
	arrays := [3][]byte{}
	for i := range arrays {
		arrays[i] = make([]byte, 6000)
		for k := range arrays[i] {
			arrays[i][k] = byte(k*7 + k/256 + 31*i)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		b := &plugins.Batch{}
		at, array := 0, 0
		for range rapid.IntRange(1, 40).Draw(t, "messages") {
			if rapid.IntRange(0, 5).Draw(t, "jump") == 0 {
				array, at = rapid.IntRange(0, 2).Draw(t, "array"), rapid.IntRange(0, 4000).Draw(t, "at")
			}
			whole := arrays[array]
			header, n := rapid.IntRange(0, 12).Draw(t, "header"), rapid.IntRange(0, 100).Draw(t, "size")
			if at+header+n > len(whole) {
				at = 0
			}
			m := abi.Message{Session: 1, Payload: whole[at+header : at+header+n]}
			switch rapid.IntRange(0, 2).Draw(t, "shape") {
			case 0:
				m.Payload = m.Payload[:n:n]
				m.Frame = whole[at : at+header+n]
			case 1:
				m.Payload = m.Payload[:n:n]
			}
			m.Topic = whole[at : at+header]
			b.Messages = append(b.Messages, m)
			at += header + n
		}
		for _, run := range []struct {
			chain *plugins.Chain
			want  func(m *abi.Message) []byte
		}{
			{payloads, func(m *abi.Message) []byte { return m.Payload }},
			{prefixes, func(m *abi.Message) []byte { return m.Payload[:min(10, len(m.Payload))] }},
			{topics, func(m *abi.Message) []byte { return m.Topic }},
		} {
			run.chain.Messages(b)
			for i := range b.Messages {
				if o := b.Outcomes[i]; o.Verdict != abi.VerdictReply || !bytes.Equal(o.Out, run.want(&b.Messages[i])) {
					t.Fatalf("message %d of %d: %x, expected %x (%s)", i, len(b.Messages), o.Out, run.want(&b.Messages[i]), o.Cause)
				}
			}
		}
	})
}
