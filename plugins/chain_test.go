package plugins_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// messages makes a batch of messages with these payloads, all of session 1.
func messages(payloads ...string) *plugins.Batch {
	b := &plugins.Batch{}
	for i, p := range payloads {
		b.Messages = append(b.Messages, abi.Message{Session: 1, Seq: uint64(i), Topic: []byte("raw/trucks"), Payload: []byte(p)})
	}
	return b
}

// effect is an effect record for a test's data segment.
func effect(kind abi.Effect, topic, payload int32, topicLen, payloadLen int) []byte {
	e := make([]byte, abi.EffectSize)
	e[abi.EffectKind] = byte(kind)
	put := func(at int, pointer int32, length int) {
		for i, v := range []uint32{uint32(pointer), uint32(length)} {
			for k := range 4 {
				e[at+4*i+k] = byte(v >> (8 * k))
			}
		}
	}
	put(abi.EffectTopic, topic, topicLen)
	put(abi.EffectPayload, payload, payloadLen)
	return e
}

const (
	textAt   = 1024 // where tests put text
	effectAt = 2048 // and effect records
)

func describe(b *plugins.Batch) string {
	var s strings.Builder
	for i, m := range b.Messages {
		o := b.Outcomes[i]
		fmt.Fprintf(&s, "%s %s %s out=%s origin=%d plugin=%d cause=%s\n", m.Topic, m.Payload, o.Verdict, o.Out, o.Origin, o.Plugin, o.Cause)
	}
	return s.String()
}

func TestVerdictsAndChanges(t *testing.T) {
	w := wasmtest.EachRecord(
		wasmtest.WhenFirstByte('d', wasmtest.Put32(abi.RecordVerdict, 1), wasmtest.PutSpan(abi.RecordOut, textAt, 3)),
		wasmtest.WhenFirstByte('r', wasmtest.Put32(abi.RecordVerdict, 2), wasmtest.PutSpan(abi.RecordOut, textAt, 3)),
		wasmtest.WhenFirstByte('q', wasmtest.Put32(abi.RecordVerdict, 3), wasmtest.PutSpan(abi.RecordOut, textAt+3, 18)),
		wasmtest.WhenFirstByte('c', wasmtest.Put32(abi.RecordVerdict, 4)),
		wasmtest.WhenFirstByte('x',
			wasmtest.Put32(abi.RecordChanges, int32(abi.ChangesKnown)),
			wasmtest.PutSpan(abi.RecordTopic, textAt, 3), wasmtest.PutSpan(abi.RecordPayload, textAt+3, 5),
			wasmtest.PutSpan(abi.RecordAttrs, textAt+32, 6), wasmtest.PutSpan(abi.RecordContext, textAt+32, 6),
			wasmtest.Get(2), wasmtest.I64(99), wasmtest.Store64(abi.RecordSeq),
			wasmtest.Put8(abi.RecordType, 2), wasmtest.Put8(abi.RecordPriority, 7), wasmtest.Put8(abi.RecordQoS, 2)),
	)
	guest := wasmtest.New().Hook(abi.ExportOnMessages, w).
		Data(textAt, []byte("yesqueue:ops\nnode:17\n")).
		Data(textAt+32, []byte{1, 0, 1, 0, 'a', 'b'})
	env := newEnv(t, plugins.EnvConfig{})
	p := load(t, env, guest, plugins.Spec{})
	chain := newChain(t, p)
	b := messages("keep", "drop", "reply", "queue", "close", "x")
	for range 2 { // the second run in the same batch's memory
		b.Messages[5].Frame = []byte("frame")
		chain.Messages(b)
		want := "raw/trucks keep continue out= origin=0 plugin=-1 cause=none\n" +
			"raw/trucks drop drop out=yes origin=1 plugin=0 cause=plugin\n" +
			"raw/trucks reply reply out=yes origin=2 plugin=0 cause=plugin\n" +
			"raw/trucks queue route out=queue:ops\nnode:17 origin=3 plugin=0 cause=plugin\n" +
			"raw/trucks close close out= origin=4 plugin=0 cause=plugin\n" +
			"yes queue continue out= origin=5 plugin=-1 cause=none\n"
		if got := describe(b); got != want {
			t.Fatalf("got\n%swant\n%s", got, want)
		}
		m, o := b.Messages[5], b.Outcomes[5]
		if m.Seq != 99 || m.Type != abi.TypeResponse || m.Priority != 7 || m.QoS != 2 || string(m.Frame) != "frame" || !m.FrameStale || o.Changes != abi.ChangesKnown {
			t.Fatalf("changed to %+v, %+v", m, o)
		}
		if v, _ := m.Attrs.Get("a"); string(v) != "b" {
			t.Fatalf("attributes %q", m.Attrs)
		}
		if len(b.Contexts) != 1 || b.Contexts[0].Session != 1 || !bytes.Equal(b.Contexts[0].Context, m.Context) {
			t.Fatalf("contexts %v", b.Contexts)
		}
		b.Reset()
		b.Messages = append(b.Messages, messages("keep", "drop", "reply", "queue", "close", "x").Messages...)
	}
	s := p.Stats()
	if s.Messages != 12 || s.Calls != 2 || s.Drops != 2 || s.Replies != 2 || s.Routes != 2 || s.Closes != 2 || s.Instances != 1 {
		t.Errorf("counted %+v", s)
	}
}

// TestFaults: each answer that breaks the contract costs its own message only;
// the neighbours are handled.
func TestFaults(t *testing.T) {
	size := int32(wasmtest.BufferAt + wasmtest.BufferSize)
	spans := func(at int, bit abi.Changes) []byte {
		return wasmtest.Code(wasmtest.PutSpan(at, size-4, 8), wasmtest.Put32(abi.RecordChanges, int32(bit)))
	}
	reserved := effect(abi.EffectEmit, textAt, textAt, 3, 3)
	reserved[63] = 1
	withFlags := effect(abi.EffectEmit, textAt, textAt, 3, 3)
	withFlags[abi.EffectFlags] = 1
	priority := effect(abi.EffectEmit, textAt, textAt, 3, 3)
	priority[abi.EffectPriority] = 8
	qos := effect(abi.EffectEmit, textAt, textAt, 3, 3)
	qos[abi.EffectQoS] = 3
	kind := effect(abi.EffectEmit, textAt, textAt, 3, 3)
	kind[abi.EffectType] = 5
	subscribe := effect(abi.EffectSubscribe, textAt, textAt, 3, 3)
	effects := [][]byte{
		effect(0, textAt, textAt, 3, 3), effect(4, textAt, textAt, 3, 3), reserved, withFlags, priority, qos, kind, subscribe,
		effect(abi.EffectEmit, size-1, textAt, 3, 3), effect(abi.EffectEmit, textAt, size-1, 3, 3), effect(abi.EffectEmit, textAt, textAt, 0, 3),
		effect(abi.EffectEmit, textAt+8, textAt, 3, 3), effect(abi.EffectSubscribe, size, textAt, 3, 0), effect(abi.EffectSubscribe, textAt+24, textAt, 3, 0),
		effect(abi.EffectUnsubscribe, textAt, textAt, 0, 0),
	}
	type bad struct {
		name string
		code []byte
	}
	verdict := func(v, pointer, length int32) []byte {
		return wasmtest.Code(wasmtest.Put32(abi.RecordVerdict, v), wasmtest.PutSpan(abi.RecordOut, pointer, length))
	}
	tests := []bad{
		{"trap", wasmtest.Unreachable},
		{"load outside", wasmtest.Code(wasmtest.I32(-1), wasmtest.Load32(0), wasmtest.Drop)},
		{"count", wasmtest.Code(wasmtest.Get(1), wasmtest.I32(1), wasmtest.Add, wasmtest.Set(1))},
		{"verdict", wasmtest.Put32(abi.RecordVerdict, 6)},
		{"pause", wasmtest.Put32(abi.RecordVerdict, 5)},
		{"changes", wasmtest.Put32(abi.RecordChanges, 1<<8)},
		{"reserved", wasmtest.Put32(abi.RecordReserved+4, 1)},
		{"out of continue", verdict(0, textAt, 1)},
		{"out of drop outside", verdict(1, size-1, 2)},
		{"out of drop at the end of the address space", verdict(1, -1, 2)},
		{"out of drop too long", verdict(1, textAt, 257)},
		{"out of reply outside", verdict(2, size, 1)},
		{"out of reply over the whole memory", verdict(2, 0, -1)},
		{"out of close outside", verdict(4, size, 1)},
		{"no destination", verdict(3, 0, 0)},
		{"destination outside", verdict(3, size, 2)},
		{"unknown destination", verdict(3, textAt, 3)},
		{"destination with wildcard", verdict(3, textAt+32, 9)},
		{"topic outside", spans(abi.RecordTopic, abi.ChangedTopic)},
		{"attributes outside", spans(abi.RecordAttrs, abi.ChangedAttrs)},
		{"context outside", spans(abi.RecordContext, abi.ChangedContext)},
		{"payload outside", spans(abi.RecordPayload, abi.ChangedPayload)},
		{"topic empty", wasmtest.Code(wasmtest.PutSpan(abi.RecordTopic, textAt, 0), wasmtest.Put32(abi.RecordChanges, 1))},
		{"topic too long", wasmtest.Code(wasmtest.PutSpan(abi.RecordTopic, textAt, abi.MaxTopic+1), wasmtest.Put32(abi.RecordChanges, 1))},
		{"topic with zero", wasmtest.Code(wasmtest.PutSpan(abi.RecordTopic, textAt+4, 3), wasmtest.Put32(abi.RecordChanges, 1))},
		{"topic with #", wasmtest.Code(wasmtest.PutSpan(abi.RecordTopic, textAt+8, 3), wasmtest.Put32(abi.RecordChanges, 1))},
		{"topic with + alone", wasmtest.Code(wasmtest.PutSpan(abi.RecordTopic, textAt+16, 1), wasmtest.Put32(abi.RecordChanges, 1))},
		{"attributes malformed", wasmtest.Code(wasmtest.PutSpan(abi.RecordAttrs, textAt, 3), wasmtest.Put32(abi.RecordChanges, 2))},
		{"attributes too long", wasmtest.Code(wasmtest.PutSpan(abi.RecordAttrs, textAt, abi.MaxAttrs+1), wasmtest.Put32(abi.RecordChanges, 2))},
		{"context too long", wasmtest.Code(wasmtest.PutSpan(abi.RecordContext, textAt, abi.MaxContext+1), wasmtest.Put32(abi.RecordChanges, 4))},
		{"type", wasmtest.Code(wasmtest.Put8(abi.RecordType, 5), wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedType)))},
		{"priority", wasmtest.Code(wasmtest.Put8(abi.RecordPriority, 8), wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedPriority)))},
		{"qos", wasmtest.Code(wasmtest.Put8(abi.RecordQoS, 3), wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedQoS)))},
		{"effects outside", wasmtest.PutSpan(abi.RecordEffects, size-abi.EffectSize+8, 1)},
		{"too many effects", wasmtest.PutSpan(abi.RecordEffects, effectAt, abi.MaxEffects+1)},
		{"effects past the address space", wasmtest.PutSpan(abi.RecordEffects, -64, 64)},
	}
	for i := range effects {
		tests = append(tests, bad{fmt.Sprintf("effect %d", i), wasmtest.PutSpan(abi.RecordEffects, int32(effectAt+i*abi.EffectSize), 1)})
	}
	env := newEnv(t, plugins.EnvConfig{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			guest := wasmtest.New().Data(effectAt, bytes.Join(effects, nil)).
				Data(textAt, []byte("yes\x00a\x00b\x00a/#\x00...\x00+\x00......a/#/b...topic:a/+")).
				Hook(abi.ExportOnMessages, wasmtest.EachRecord(
					wasmtest.WhenFirstByte('!', test.code),
					wasmtest.WhenFirstByte('d', wasmtest.Put32(abi.RecordVerdict, 1))))
			guest.Data(textAt+24, []byte("#/b")).Data(textAt+32, []byte("topic:a/+"))
			p := load(t, env, guest, plugins.Spec{})
			chain := newChain(t, p)
			b := messages("ok", "drop", "!", "ok", "drop")
			chain.Messages(b)
			cause := plugins.CauseFault
			if test.name == "trap" || test.name == "load outside" {
				cause = plugins.CauseTrap
			}
			for i, want := range []abi.Verdict{0, 1, 1, 0, 1} {
				o := b.Outcomes[i]
				if o.Verdict != want || (o.Cause == cause) != (i == 2) || o.Changes != 0 {
					t.Errorf("message %d: %+v", i, o)
				}
			}
			s := p.Stats()
			if s.Traps+s.Faults != 2 || s.Rebuilds != 2 || s.Policy != 1 || s.Messages != 5 || s.Drops != 2 || s.Instances != 1 {
				t.Errorf("counted %+v", s)
			}
			if len(b.Messages) != 5 || len(b.Subscriptions) != 0 || len(b.Contexts) != 0 {
				t.Errorf("something of the failed call stayed: %+v", b)
			}
		})
	}
}

func TestPolicies(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	guest := wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.WhenFirstByte('!', wasmtest.Unreachable))).
		Hook(abi.ExportOnOpen, wasmtest.Unreachable).Hook(abi.ExportOnClose, wasmtest.Unreachable)
	for policy, want := range map[plugins.Policy][2]abi.Verdict{
		plugins.FailClosed:     {abi.VerdictDrop, abi.VerdictDrop},
		plugins.FailOpen:       {abi.VerdictContinue, abi.VerdictContinue},
		plugins.FailQuarantine: {abi.VerdictRoute, abi.VerdictDrop},
	} {
		chain := newChain(t, load(t, env, guest, plugins.Spec{OnFailure: policy}))
		b := messages("ok", "!", "ok")
		chain.Messages(b)
		if o := b.Outcomes[1]; o.Verdict != want[0] || o.Cause != plugins.CauseTrap || o.Plugin != 0 {
			t.Errorf("%s: %+v", policy, o)
		}
		if o := b.Outcomes[1]; policy == plugins.FailQuarantine && string(o.Out) != "dead-letter" {
			t.Errorf("%s: out %q", policy, o.Out)
		}
		if b.Outcomes[0].Verdict != 0 || b.Outcomes[2].Verdict != 0 {
			t.Errorf("%s: neighbours %+v", policy, b.Outcomes)
		}
		b = messages("")
		chain.Open(b)
		if o := b.Outcomes[0]; o.Verdict != want[1] {
			t.Errorf("%s: open: %+v", policy, o)
		}
		b = messages("")
		chain.CloseSessions(b)
		if o := b.Outcomes[0]; o.Verdict != abi.VerdictContinue {
			t.Errorf("%s: close: %+v", policy, o)
		}
	}
}

// TestHookVerdicts: what is allowed on messages need not be on the other hooks.
func TestHookVerdicts(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	for verdict, allowed := range map[int32][2]bool{0: {true, true}, 1: {true, false}, 2: {true, false}, 3: {false, false}, 4: {true, false}, 5: {false, false}} {
		code := wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, verdict))
		if verdict == 3 {
			code = wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, verdict), wasmtest.PutSpan(abi.RecordOut, textAt, 3))
		}
		guest := wasmtest.New().Data(textAt, []byte("all")).Hook(abi.ExportOnOpen, code).Hook(abi.ExportOnClose, code).Hook(abi.ExportOnTick, code)
		p := load(t, env, guest, plugins.Spec{Tick: time.Second})
		chain := newChain(t, p)
		b := messages("")
		chain.Open(b)
		if o := b.Outcomes[0]; (o.Cause == plugins.CauseFault) == allowed[0] || allowed[0] && o.Verdict != abi.Verdict(verdict) {
			t.Errorf("verdict %d on open: %+v", verdict, o)
		}
		b = messages("")
		chain.CloseSessions(b)
		if o := b.Outcomes[0]; (o.Cause == plugins.CauseFault) == allowed[1] || o.Verdict != 0 {
			t.Errorf("verdict %d on close: %+v", verdict, o)
		}
		before := p.Stats().Faults
		b.Reset()
		now := time.Unix(1000, 0)
		chain.Tick(b, now, 0)
		chain.Tick(b, now.Add(time.Second), 0)
		if faults := p.Stats().Faults - before; (faults == 0) != allowed[1] || len(b.Messages) != 0 {
			t.Errorf("verdict %d on tick: %d faults", verdict, faults)
		}
	}
}

// TestEmit: emitted messages stand behind the one that caused them and begin at
// the plugin that follows.
func TestEmit(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	emitter := func(payload string) *wasmtest.Module {
		two := append(effect(abi.EffectEmit, textAt, textAt+8, 5, len(payload)), effect(abi.EffectSubscribe, textAt, 0, 5, 0)...)
		two[abi.EffectSeq], two[abi.EffectPriority], two[abi.EffectFlags] = 5, 3, byte(abi.FlagRetain)
		return wasmtest.New().Data(textAt, []byte("alarm")).Data(textAt+8, []byte(payload)).Data(effectAt, two).
			Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.WhenFirstByte('e', wasmtest.PutSpan(abi.RecordEffects, effectAt, 2), wasmtest.Put32(abi.RecordVerdict, 1))))
	}
	first, second := load(t, env, emitter("e2"), plugins.Spec{Name: "first", Grants: effectGrants("alarm")}), load(t, env, emitter("last"), plugins.Spec{Name: "second", Grants: effectGrants("alarm")})
	chain := newChain(t, first, second)
	b := messages("a", "e1", "b", "e1", "c")
	for range 3 {
		chain.Messages(b)
		want := "raw/trucks a continue out= origin=0 plugin=-1 cause=none\n" +
			"raw/trucks e1 drop out= origin=1 plugin=0 cause=plugin\n" +
			"alarm e2 drop out= origin=1 plugin=1 cause=plugin\n" +
			"alarm last continue out= origin=1 plugin=-1 cause=none\n" +
			"raw/trucks b continue out= origin=2 plugin=-1 cause=none\n" +
			"raw/trucks e1 drop out= origin=3 plugin=0 cause=plugin\n" +
			"alarm e2 drop out= origin=3 plugin=1 cause=plugin\n" +
			"alarm last continue out= origin=3 plugin=-1 cause=none\n" +
			"raw/trucks c continue out= origin=4 plugin=-1 cause=none\n"
		if got := describe(b); got != want {
			t.Fatalf("got\n%swant\n%s", got, want)
		}
		if m, o := b.Messages[3], b.Outcomes[3]; m.Session != 1 || m.Seq != 5 || m.Priority != 3 || m.Flags != abi.FlagEmitted|abi.FlagRetain || !o.Emitted {
			t.Fatalf("emitted %+v", m)
		}
		if len(b.Subscriptions) != 4 || string(b.Subscriptions[0].Pattern) != "alarm" || b.Subscriptions[0].Session != 1 || b.Subscriptions[3].Plugin != 1 {
			t.Fatalf("subscriptions %+v", b.Subscriptions)
		}
		b.Reset()
		b.Messages = append(b.Messages, messages("a", "e1", "b", "e1", "c").Messages...)
	}
}

// TestTick: a tick belongs to no session, comes at its interval, and what it
// emits passes the plugins that follow.
func TestTick(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	ticker := wasmtest.New().Data(textAt, []byte("alarm!!")).
		Data(effectAt, append(effect(abi.EffectEmit, textAt, textAt+5, 5, 2), effect(abi.EffectSubscribe, textAt, 0, 5, 0)...)).
		Hook(abi.ExportOnTick, wasmtest.EachRecord(wasmtest.PutSpan(abi.RecordEffects, effectAt, 2)))
	dropper := wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.WhenFirstByte('!', wasmtest.Put32(abi.RecordVerdict, 1))))
	p := load(t, env, ticker, plugins.Spec{Tick: time.Minute, Grants: effectGrants("alarm")})
	chain := newChain(t, p, load(t, env, dropper, plugins.Spec{Name: "dropper"}))
	now, b := time.Unix(1000, 0), &plugins.Batch{}
	calls := 0
	for range 301 {
		chain.Tick(b, now, 0)
		now = now.Add(time.Second)
		if len(b.Messages) == 0 {
			continue
		}
		calls++
		if got, want := describe(b), "alarm !! drop out= origin=-1 plugin=1 cause=plugin\n"; got != want || len(b.Subscriptions) != 0 {
			t.Fatalf("got %s", got)
		}
		b.Reset()
	}
	if calls != 5 {
		t.Errorf("%d ticks in five minutes", calls)
	}
}

// TestContext: a changed context holds from its message on, for the plugins that
// follow, and is reported.
func TestContext(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	setter := wasmtest.New().Data(textAt, []byte{1, 0, 1, 0, 'i', 'd'}).
		Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.WhenFirstByte('s', wasmtest.PutSpan(abi.RecordContext, textAt, 6), wasmtest.Put32(abi.RecordChanges, 4))))
	// The second plugin drops what has no context.
	needy := wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.Get(2), wasmtest.Load32(abi.RecordContext+4), wasmtest.Eqz, wasmtest.If(wasmtest.Put32(abi.RecordVerdict, 1))))
	chain := newChain(t, load(t, env, setter, plugins.Spec{}), load(t, env, needy, plugins.Spec{Name: "needy"}))
	b := messages("a", "b", "set", "c", "d", "set", "e")
	for i, session := range []uint64{1, 2, 1, 2, 1, 0, 0} {
		b.Messages[i].Session = session
	}
	chain.Messages(b)
	for i, want := range []abi.Verdict{1, 1, 0, 1, 0, 0, 1} {
		if b.Outcomes[i].Verdict != want {
			t.Errorf("message %d of session %d: %s", i, b.Messages[i].Session, b.Outcomes[i].Verdict)
		}
	}
	if len(b.Contexts) != 1 || b.Contexts[0].Session != 1 {
		t.Errorf("contexts %v", b.Contexts)
	}
}

// TestRecords: what a guest sees is what the message holds, as far as it asked.
func TestRecords(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	// The guest answers with its own record, and the span it names, as the reply.
	mirror := func(needs abi.Needs, span int) *wasmtest.Module {
		code := wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, 2),
			wasmtest.Get(2), wasmtest.Get(2), wasmtest.Store32(abi.RecordOut), wasmtest.Put32(abi.RecordOut+4, 76))
		if span > 0 {
			code = wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, 2),
				wasmtest.Get(2), wasmtest.Get(2), wasmtest.Load64(span), wasmtest.Store64(abi.RecordOut))
		}
		return wasmtest.New().Export(abi.ExportNeeds, wasmtest.Sig(":I"), wasmtest.I64(int64(needs))).Hook(abi.ExportOnMessages, code)
	}
	array := []byte("....topic/aATTR....payload-one....payload-two....")
	attrs := abi.Attributes(nil).AppendString("k", "v")
	context := abi.Attributes(nil).AppendString("identity", "truck-7")
	fill := func() *plugins.Batch {
		return &plugins.Batch{Messages: []abi.Message{
			{Session: 1, Topic: array[4:11], Attrs: attrs, Context: context, Payload: array[19:30], Listener: 1},
			{Session: 2, Topic: array[4:11], Attrs: attrs, Payload: array[34:45], Listener: 1},
			{Session: 3, Topic: []byte("other"), Payload: []byte("elsewhere"), Listener: 9},
			{Session: 4},
		}}
	}
	for span, want := range map[int][4]string{
		abi.RecordTopic:    {"topic/a", "topic/a", "other", ""},
		abi.RecordAttrs:    {string(attrs), string(attrs), "", ""},
		abi.RecordContext:  {string(context), "", "", ""},
		abi.RecordPayload:  {"payload-one", "payload-two", "elsewhere", ""},
		abi.RecordListener: {"lines", "lines", "", "trucks"},
	} {
		for needs, seen := range map[abi.Needs]bool{abi.NeedsAll: true, abi.NeedHooks: false} {
			chain := newChain(t, load(t, env, mirror(needs, span), plugins.Spec{}))
			b := fill()
			chain.Messages(b)
			for i, o := range b.Outcomes {
				if w := want[i]; o.Verdict != abi.VerdictReply || seen && string(o.Out) != w || !seen && len(o.Out) != 0 {
					t.Errorf("span %d of message %d: %q (cause %s)", span, i, o.Out, o.Cause)
				}
			}
		}
	}
	prefix := newChain(t, load(t, env, mirror(abi.NeedHooks|7, abi.RecordPayload), plugins.Spec{}))
	b := fill()
	prefix.Messages(b)
	if string(b.Outcomes[0].Out) != "payload" || string(b.Outcomes[2].Out) != "elsewhe" {
		t.Errorf("prefix: %s", describe(b))
	}
	for granted, grants := range map[bool]hostfuncs.Grants{true: {Clock: &hostfuncs.ClockGrant{}}, false: {}} {
		head := newChain(t, load(t, env, mirror(abi.NeedsAll&^abi.PayloadAll|7, 0), plugins.Spec{Grants: grants}))
		b = fill()
		b.Messages[0] = abi.Message{Session: 0x0102030405060708, Seq: 9, Time: 77, Type: 1, Priority: 6, QoS: 2, Flags: abi.FlagRetain | 1<<9, Payload: []byte("12345678")}
		head.Messages(b)
		r := b.Outcomes[0].Out
		stamp := byte(0)
		if granted {
			stamp = 77
		}
		if !bytes.Equal(r[:32], []byte{1, 1, 6, 2, 3, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, stamp, 0, 0, 0, 0, 0, 0, 0}) || r[64] != 8 || r[60] != 7 {
			t.Errorf("clock granted %t: record %x", granted, r)
		}
	}
}

// TestHooksWanted: a hook is called if it is exported and weft_needs asks for it.
func TestHooksWanted(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	drop := wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, 1))
	onlyMessages := abi.NeedsAll &^ (1 << (abi.NeedHookShift + abi.Needs(abi.HookOpen)))
	guest := wasmtest.New().Hook(abi.ExportOnMessages, drop).Hook(abi.ExportOnOpen, drop).
		Export(abi.ExportNeeds, wasmtest.Sig(":I"), wasmtest.I64(int64(onlyMessages)))
	chain := newChain(t, load(t, env, guest, plugins.Spec{}))
	b := messages("a")
	chain.Open(b)
	if b.Outcomes[0].Verdict != 0 {
		t.Error("open was called")
	}
	chain.Messages(b)
	if b.Outcomes[0].Verdict != 1 {
		t.Error("messages was not called")
	}
}

// TestSplit: batches over the bounds are split, and nothing is mixed up.
func TestSplit(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	echo := wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, 2),
		wasmtest.Get(2), wasmtest.Get(2), wasmtest.Load64(abi.RecordPayload), wasmtest.Store64(abi.RecordOut)))
	p := load(t, env, echo, plugins.Spec{})
	chain := newChain(t, p)
	for _, test := range []struct{ count, size, calls int }{{2000, 16, 4}, {300, 9000, 3}, {3, 3 << 20, 3}, {1, 4<<20 - 1024, 1}} {
		b := &plugins.Batch{}
		for i := range test.count {
			payload := bytes.Repeat([]byte{byte(i)}, test.size)
			payload[0], payload[1] = byte(i), byte(i>>8)
			b.Messages = append(b.Messages, abi.Message{Session: 1, Payload: payload})
		}
		before := p.Stats().Calls
		chain.Messages(b)
		for i, o := range b.Outcomes {
			if !bytes.Equal(o.Out, b.Messages[i].Payload) {
				t.Fatalf("%d messages of %d bytes: message %d came back wrong (%s, %s)", test.count, test.size, i, o.Verdict, o.Cause)
			}
		}
		if calls := p.Stats().Calls - before; calls != uint64(test.calls) {
			t.Errorf("%d messages of %d bytes: %d calls", test.count, test.size, calls)
		}
	}
}

// TestSmallBuffer: a guest with a small buffer gets small batches; a message
// that does not fit meets the policy, and the instance stays.
func TestSmallBuffer(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	small := wasmtest.New().Buffer(wasmtest.I32(20000), wasmtest.Get(0), wasmtest.LtU, wasmtest.If(wasmtest.I32(0), wasmtest.Return), wasmtest.I32(wasmtest.BufferAt)).
		Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, 4)))
	p := load(t, env, small, plugins.Spec{})
	chain := newChain(t, p)
	b := &plugins.Batch{}
	for i := range 100 {
		size := 1000
		if i == 50 {
			size = 30000
		}
		b.Messages = append(b.Messages, abi.Message{Session: 1, Payload: make([]byte, size)})
	}
	chain.Messages(b)
	for i, o := range b.Outcomes {
		if (o.Cause == plugins.CauseBuffer) != (i == 50) || o.Verdict != abi.VerdictClose && i != 50 {
			t.Errorf("message %d: %+v", i, o)
		}
	}
	if s := p.Stats(); s.Traps+s.Faults+s.Rebuilds != 0 || s.Policy != 1 {
		t.Errorf("counted %+v", s)
	}
}

// TestNoPlugins: an empty chain lets everything through.
func TestNoPlugins(t *testing.T) {
	b := messages("a", "b")
	newChain(t).Messages(b)
	if got := describe(b); !strings.Contains(got, "a continue out= origin=0 plugin=-1 cause=none") || len(b.Outcomes) != 2 {
		t.Error(got)
	}
}
