package plugins_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// effectGrants lets a plugin emit to the topics and subscribe to them.
func effectGrants(topics ...string) hostfuncs.Grants {
	return hostfuncs.Grants{Publish: &hostfuncs.PublishGrant{Topics: topics}, Subscribe: &hostfuncs.SubscribeGrant{Topics: topics}}
}

// effectGuest answers every record of a hook with one effect on the topic.
func effectGuest(hook string, kind abi.Effect, topic string) *wasmtest.Module {
	return wasmtest.New().Data(textAt, []byte(topic)).Data(effectAt, effect(kind, textAt, textAt, len(topic), 0)).
		Hook(hook, wasmtest.EachRecord(wasmtest.PutSpan(abi.RecordEffects, effectAt, 1)))
}

// TestEffectsWithinGrants: what lies outside the grant is not carried out, is
// counted, and is no fault; publish and subscribe do not stand in for each other.
func TestEffectsWithinGrants(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	publish := func(topics ...string) hostfuncs.Grants {
		return hostfuncs.Grants{Publish: &hostfuncs.PublishGrant{Topics: topics}}
	}
	subscribe := func(topics ...string) hostfuncs.Grants {
		return hostfuncs.Grants{Subscribe: &hostfuncs.SubscribeGrant{Topics: topics}}
	}
	const emit, sub, unsub = abi.EffectEmit, abi.EffectSubscribe, abi.EffectUnsubscribe
	for i, c := range []struct {
		kind   abi.Effect
		topic  string
		grants hostfuncs.Grants
		want   bool
	}{
		{emit, "alarm/7", hostfuncs.Grants{}, false},
		{emit, "alarm/7", publish("alarm/7"), true},
		{emit, "alarm/7", publish("alarm/+"), true},
		{emit, "alarm/7", publish("site/#", "alarm/*"), true},
		{emit, "alarm", publish("alarm/#"), true},
		{emit, "alarm/7/high", publish("alarm/+"), false},
		{emit, "alarms", publish("alarm/#"), false},
		{emit, "$SYS/x", publish("#"), false},
		{emit, "$SYS/x", publish("$SYS/#"), true},
		{emit, "alarm/7", subscribe("#"), false},
		{sub, "alarm/7", hostfuncs.Grants{}, false},
		{sub, "alarm/7", subscribe("alarm/#"), true},
		{sub, "alarm/#", subscribe("alarm/#"), true},
		{sub, "alarm/+", subscribe("alarm/#"), true},
		{sub, "alarm/#", subscribe("alarm/+"), false},
		{sub, "#", subscribe("alarm/#"), false},
		{sub, "+/7", subscribe("alarm/7"), false},
		{sub, "queue:ops", subscribe("#"), false},
		{sub, "queue:ops", subscribe("queue:ops"), true},
		{sub, "alarm/7", publish("#"), false},
		{unsub, "alarm/7", subscribe("alarm/+"), true},
		{unsub, "truck/7", subscribe("alarm/+"), false},
	} {
		p := load(t, env, effectGuest(abi.ExportOnMessages, c.kind, c.topic), plugins.Spec{Name: fmt.Sprint("case", i), Grants: c.grants})
		b := messages("x")
		newChain(t, p).Messages(b)
		stats, done := p.Stats(), len(b.Messages)-1+len(b.Subscriptions)
		if want := map[bool]int{true: 1}[c.want]; done != want || stats.Denied != uint64(1-want) || stats.Faults+stats.Traps > 0 {
			t.Errorf("effect %d on %s with %+v %+v: %d carried out, %+v", c.kind, c.topic, c.grants.Publish, c.grants.Subscribe, done, stats)
		}
		if b.Outcomes[0].Verdict != abi.VerdictContinue {
			t.Errorf("the message itself: %+v", b.Outcomes[0])
		}
	}
}

// TestEveryHookIsBound: the messages of open, close and tick need the grant like
// those of messages.
func TestEveryHookIsBound(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	for hook, call := range map[string]func(*plugins.Chain, *plugins.Batch){
		abi.ExportOnMessages:          func(c *plugins.Chain, b *plugins.Batch) { c.Messages(b) },
		abi.HookExport(abi.HookOpen):  func(c *plugins.Chain, b *plugins.Batch) { c.Open(b) },
		abi.HookExport(abi.HookClose): func(c *plugins.Chain, b *plugins.Batch) { c.CloseSessions(b) },
		abi.ExportOnTick: func(c *plugins.Chain, b *plugins.Batch) {
			b.Reset()
			c.Tick(b, time.Unix(1000, 0), 0)
			c.Tick(b, time.Unix(2000, 0), 0)
		},
	} {
		for granted, want := range map[string]int{"alarm": 1, "truck/#": 0} {
			p := load(t, env, effectGuest(hook, abi.EffectEmit, "alarm"), plugins.Spec{Grants: effectGrants(granted)})
			b := messages("x")
			call(newChain(t, p), b)
			emitted := 0
			for i := range b.Messages {
				if string(b.Messages[i].Topic) == "alarm" {
					emitted++
				}
			}
			if s := p.Stats(); emitted != want || s.Emitted != uint64(want) || s.Denied != uint64(1-want) {
				t.Errorf("%s with %s: %d emitted, %+v", hook, granted, emitted, s)
			}
		}
	}
}

// TestRoutingNeedsNoGrant: a changed topic and the verdict route are what a plugin
// in the chain is for.
func TestRoutingNeedsNoGrant(t *testing.T) {
	const where = "topic:b/c"
	guest := wasmtest.New().Data(textAt, []byte(where)).Hook(abi.ExportOnMessages, wasmtest.EachRecord(
		wasmtest.PutSpan(abi.RecordTopic, textAt+6, 3), wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedTopic)),
		wasmtest.Put32(abi.RecordVerdict, int32(abi.VerdictRoute)), wasmtest.PutSpan(abi.RecordOut, textAt, int32(len(where)))))
	p := load(t, newEnv(t, plugins.EnvConfig{}), guest, plugins.Spec{})
	b := messages("x")
	newChain(t, p).Messages(b)
	if got := string(b.Outcomes[0].Out); got != where || string(b.Messages[0].Topic) != "b/c" || p.Stats().Denied > 0 {
		t.Errorf("got %q, topic %q, %+v", got, b.Messages[0].Topic, p.Stats())
	}
}

// TestDenialIsLogged: once in a while, with the line that would allow it.
func TestDenialIsLogged(t *testing.T) {
	var lines syncBuffer
	c := newClock()
	env := newEnv(t, plugins.EnvConfig{Logger: logTo(&lines), Clock: c})
	load1 := func(kind abi.Effect, grants hostfuncs.Grants) *plugins.Chain {
		return newChain(t, load(t, env, effectGuest(abi.ExportOnMessages, kind, "alarm/7"), plugins.Spec{Name: "route", Grants: grants}))
	}
	chain := load1(abi.EffectEmit, hostfuncs.Grants{})
	for range 1000 {
		chain.Messages(messages("x"))
	}
	said := lines.String()
	for _, want := range []string{"plugin=route", "effect=emit", "topic=alarm/7", "add `publish: {topics: [\\\"alarm/7\\\"]}` under plugins.route.grants"} {
		if strings.Count(said, want) != 1 {
			t.Errorf("%q is not said once:\n%s", want, said)
		}
	}
	c.advance(11e9)
	chain.Messages(messages("x"))
	if !strings.Contains(lines.String(), "unsaid=999") {
		t.Errorf("nothing says how many were left out:\n%s", lines.String())
	}
	load1(abi.EffectUnsubscribe, effectGrants("truck/#")).Messages(messages("x"))
	if want := `add \"alarm/7\" to plugins.route.grants.subscribe.topics`; !strings.Contains(lines.String(), want) {
		t.Errorf("%q is not in:\n%s", want, lines.String())
	}
}

// TestEffectsDoNotAllocate: neither an effect that is carried out nor one that is
// denied costs an allocation.
func TestEffectsDoNotAllocate(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{Clock: newClock()})
	for _, grants := range []hostfuncs.Grants{effectGrants("truck/#", "alarm/+"), effectGrants("truck/#")} {
		chain := newChain(t, load(t, env, effectGuest(abi.ExportOnMessages, abi.EffectEmit, "alarm/7"), plugins.Spec{Grants: grants}))
		b := &plugins.Batch{}
		message := messages("x").Messages[0]
		run := func() {
			b.Reset()
			b.Messages = append(b.Messages, message)
			chain.Messages(b)
		}
		for range 10 {
			run()
		}
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%+v: %v allocations", grants.Publish, n)
		}
	}
}
