package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// tagging is a guest that sets every message's priority, by which a test tells
// generations apart.
func tagging(priority int32) *wasmtest.Module {
	return wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(
		wasmtest.Put8(abi.RecordPriority, priority), wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedPriority))))
}

// counting is a guest with state: it adds step to a sum with each call and sets the
// sequence id to it.
func counting(step int32) *wasmtest.Module {
	m := wasmtest.New()
	sum := m.Global(0)
	const at = 64
	m.Hook(abi.ExportOnMessages, wasmtest.EachRecord(
		wasmtest.GlobalGet(sum), wasmtest.I32(step), wasmtest.Add, wasmtest.GlobalSet(sum),
		wasmtest.Get(2), wasmtest.GlobalGet(sum), wasmtest.Store32(abi.RecordSeq),
		wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedSeq))))
	m.Export(abi.ExportSnapshot, wasmtest.Sig(":I"), wasmtest.I32(at), wasmtest.GlobalGet(sum), wasmtest.Store32(0), wasmtest.I64(at<<32|4))
	m.Export(abi.ExportRestore, wasmtest.Sig("ii:I"), wasmtest.Get(0), wasmtest.Load32(0), wasmtest.GlobalSet(sum), wasmtest.I64(0))
	return m
}

func standbys(tb testing.TB, p *plugins.Plugin, n int) []*plugins.Standby {
	tb.Helper()
	var list []*plugins.Standby
	for range n {
		s, err := p.Standby(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func TestSwap(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	first, second := load(t, env, tagging(1), plugins.Spec{Generation: 1}), load(t, env, tagging(2), plugins.Spec{Generation: 2})
	between := load(t, env, wasmtest.New(), plugins.Spec{Name: "between"})
	chain := newChain(t, first, between, first)
	priority := func() uint8 {
		b := messages("a")
		chain.Messages(b)
		return b.Messages[0].Priority
	}
	if n := chain.Places(first); n != 2 {
		t.Fatalf("%d places", n)
	}
	if _, err := chain.Swap(first, standbys(t, second, 1)); !errors.Is(err, plugins.ErrPlaces) || second.Stats().Instances != 0 {
		t.Errorf("one instance for two places: %v, %+v", err, second.Stats())
	}
	swapped, err := chain.Swap(first, standbys(t, second, 2))
	if err != nil || priority() != 2 || chain.Plugin(0) != second {
		t.Fatalf("swapped: %v, priority %d", err, priority())
	}
	swapped.Undo()
	if priority() != 1 || second.Stats().Instances != 0 {
		t.Errorf("undone: priority %d, %+v", priority(), second.Stats())
	}
	swapped, err = chain.Swap(first, standbys(t, second, 2))
	if err != nil {
		t.Fatal(err)
	}
	swapped.Commit()
	if err := first.Close(t.Context()); err != nil || priority() != 2 || first.Stats().Instances != 0 {
		t.Errorf("committed: %v, priority %d, %+v", err, priority(), first.Stats())
	}
	if s := first.Stats(); s.Messages == 0 {
		t.Errorf("what it did is forgotten: %+v", s)
	}
}

func TestSwapHandsOverState(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	chain := func(p *plugins.Plugin) (*plugins.Chain, func() uint64) {
		c := newChain(t, p)
		return c, func() uint64 {
			b := messages("a")
			c.Messages(b)
			return b.Messages[0].Seq
		}
	}
	ones, tens := load(t, env, counting(1), plugins.Spec{}), load(t, env, counting(10), plugins.Spec{})
	c, next := chain(ones)
	for range 3 {
		next()
	}
	swapped, err := c.Swap(ones, standbys(t, tens, 1))
	if err != nil || next() != 13 {
		t.Fatalf("after 3: %v", err)
	}
	swapped.Commit()

	// Who refuses the state leaves everything as it was.
	refusing := counting(100)
	refusing.Remove(abi.ExportRestore)
	refusing.Data(200, []byte("too old")).Export(abi.ExportRestore, wasmtest.Sig("ii:I"), wasmtest.I64(200<<32|7))
	refuses := load(t, env, refusing, plugins.Spec{Name: "refuses"})
	if _, err := c.Swap(tens, standbys(t, refuses, 1)); !errors.Is(err, plugins.ErrRestore) || !strings.Contains(err.Error(), "too old") {
		t.Errorf("got %v", err)
	}
	if n := next(); n != 23 || refuses.Stats().Instances != 0 {
		t.Errorf("the former one went on with %d; %+v", n, refuses.Stats())
	}
	// Who has no place for state begins anew.
	stateless := load(t, env, tagging(1), plugins.Spec{Name: "stateless"})
	swapped, err = c.Swap(tens, standbys(t, stateless, 1))
	if err != nil {
		t.Fatal(err)
	}
	swapped.Commit()
}

// TestCanary: the candidate serves its share of the sessions, always the same, and
// those of a smaller share are among those of a larger.
func TestCanary(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	live, candidate := load(t, env, tagging(1), plugins.Spec{Generation: 1}), load(t, env, tagging(2), plugins.Spec{Generation: 2})
	chain := newChain(t, live)
	const sessions = 10000
	share := func() map[uint64]bool {
		on := map[uint64]bool{}
		for range 2 { // twice: sticky
			b := &plugins.Batch{}
			for i := range uint64(sessions) {
				// as connection ids are: a counter, and the loop above it
				b.Messages = append(b.Messages, abi.Message{Session: i%2<<56 | i/2 + 1, Seq: i})
			}
			chain.Messages(b)
			again := map[uint64]bool{}
			for i, m := range b.Messages {
				if m.Seq != uint64(i) {
					t.Fatalf("message %d stands at %d", m.Seq, i)
				}
				if m.Priority == 2 {
					again[m.Session] = true
				}
			}
			if len(on) > 0 && fmt.Sprint(on) != fmt.Sprint(again) {
				t.Error("a session changed its generation")
			}
			on = again
		}
		return on
	}
	if err := chain.Canary(live, standbys(t, candidate, 1), 10); err != nil {
		t.Fatal(err)
	}
	ten := share()
	if err := chain.Canary(live, nil, 50); err != nil {
		t.Fatal(err)
	}
	fifty := share()
	if len(ten) < sessions*8/100 || len(ten) > sessions*12/100 || len(fifty) < sessions*47/100 || len(fifty) > sessions*53/100 {
		t.Errorf("%d and %d of %d sessions", len(ten), len(fifty), sessions)
	}
	for s := range ten {
		if !fifty[s] {
			t.Fatalf("session %d has left the canary as it grew", s)
		}
	}
	if _, err := chain.Swap(live, standbys(t, candidate, 1)); !errors.Is(err, plugins.ErrPlaces) {
		t.Errorf("a swap beside a canary: %v", err)
	}
	if err := chain.Shadow(live, nil, 5); !errors.Is(err, plugins.ErrPlaces) {
		t.Errorf("a canary made a shadow: %v", err)
	}
	swapped, err := chain.Promote(live)
	if err != nil || len(share()) != sessions {
		t.Fatalf("promoted: %v", err)
	}
	swapped.Commit()
	if live.Stats().Instances != 0 {
		t.Errorf("the former one lives: %+v", live.Stats())
	}
	if err := chain.Canary(candidate, standbys(t, live, 1), 100); err != nil {
		t.Fatal(err)
	}
	chain.Withdraw(candidate)
	if len(share()) != sessions || live.Stats().Instances != 0 {
		t.Errorf("withdrawn: %+v", live.Stats())
	}
}

// TestCanaryKeepsOrder: what both generations emit stands behind the message that
// caused it.
func TestCanaryKeepsOrder(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	emitting := func() *wasmtest.Module {
		return wasmtest.New().Data(textAt, []byte("a")).Data(effectAt, effect(abi.EffectEmit, textAt, textAt, 1, 1)).
			Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.PutSpan(abi.RecordEffects, effectAt, 1)))
	}
	spec := plugins.Spec{Grants: effectGrants("a")}
	live, candidate := load(t, env, emitting(), spec), load(t, env, emitting(), spec)
	chain := newChain(t, live)
	if err := chain.Canary(live, standbys(t, candidate, 1), 50); err != nil {
		t.Fatal(err)
	}
	b := ofSessions(messages(make([]string, 100)...))
	chain.Messages(b)
	if len(b.Messages) != 200 || candidate.Stats().Emitted == 0 || live.Stats().Emitted == 0 {
		t.Fatalf("%d messages", len(b.Messages))
	}
	for i := 0; i < 200; i += 2 {
		if b.Outcomes[i].Emitted || !b.Outcomes[i+1].Emitted || b.Messages[i].Session != b.Messages[i+1].Session {
			t.Fatalf("place %d: %+v, %+v", i, b.Outcomes[i], b.Outcomes[i+1])
		}
	}
}

// TestShadow: a shadow changes nothing, and what it would have done otherwise is
// counted and sampled.
func TestShadow(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	live := load(t, env, wasmtest.New(), plugins.Spec{Generation: 1})
	guest := wasmtest.New().Data(textAt, []byte("other")).Hook(abi.ExportOnMessages, wasmtest.EachRecord(
		wasmtest.WhenFirstByte('d', wasmtest.Put32(abi.RecordVerdict, int32(abi.VerdictDrop))),
		wasmtest.WhenFirstByte('t', wasmtest.PutSpan(abi.RecordTopic, textAt, 5), wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedTopic))),
		wasmtest.WhenFirstByte('p', wasmtest.PutSpan(abi.RecordPayload, textAt, 5), wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedPayload))),
		wasmtest.WhenFirstByte('!', wasmtest.Unreachable),
	))
	shadow := load(t, env, guest, plugins.Spec{Generation: 2, Shadow: true})
	chain := newChain(t, live)
	if err := chain.Shadow(live, standbys(t, shadow, 1), 100); err != nil {
		t.Fatal(err)
	}
	b := ofSessions(messages("same", "drop", "topic", "payload", "!", "same"))
	chain.Messages(b)
	for i, m := range b.Messages {
		if o := b.Outcomes[i]; o.Verdict != abi.VerdictContinue || o.Changes != 0 || o.Cause != plugins.CauseNone || string(m.Topic) != "raw/trucks" {
			t.Errorf("message %d: %+v %+v", i, m, o)
		}
	}
	d := shadow.Drift()
	if d.Compared != 5 || d.Differed != 3 || d.Verdict != 1 || d.Topic != 1 || d.Payload != 1 || d.Attributes+d.Header+d.Effects != 0 {
		t.Errorf("counted %+v", d)
	}
	if len(d.Samples) != 1 || d.Samples[0].Fields[0] != "verdict" || string(d.Samples[0].Payload) != "drop" || d.Samples[0].Shadow.Verdict != "drop" || d.Samples[0].Live.Verdict != "continue" {
		t.Errorf("samples %+v", d.Samples)
	}
	if s := shadow.Stats(); s.Traps != 2 || s.Messages != 6 {
		t.Errorf("the shadow: %+v", s)
	}
	if s := live.Stats(); s.Traps != 0 || s.Messages != 6 || s.Drops != 0 {
		t.Errorf("the live one: %+v", s)
	}
	if _, err := chain.Promote(live); !errors.Is(err, plugins.ErrPlaces) {
		t.Errorf("a shadow was promoted: %v", err)
	}
	chain.Withdraw(live)
	if shadow.Stats().Instances != 0 {
		t.Error("the shadow lives on")
	}
}

// TestShadowSubscriptions: a message whose session the two subscribe to different
// patterns differs as any other does, and only that one.
func TestShadowSubscriptions(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	guest := func(first byte) *wasmtest.Module {
		return wasmtest.New().Data(textAt, []byte("pattern")).Data(textAt+64, effect(abi.EffectSubscribe, textAt, 0, 7, 0)).
			Hook(abi.ExportOnMessages, wasmtest.EachRecord(
				wasmtest.WhenFirstByte(first, wasmtest.PutSpan(abi.RecordEffects, textAt+64, 1)),
				wasmtest.WhenFirstByte('!', wasmtest.PutSpan(abi.RecordEffects, textAt+64, 1)),
			))
	}
	live := load(t, env, guest('a'), plugins.Spec{Generation: 1, Grants: effectGrants("#")})
	shadow := load(t, env, guest('b'), plugins.Spec{Generation: 2, Grants: effectGrants("#"), Shadow: true})
	chain := newChain(t, live)
	if err := chain.Shadow(live, standbys(t, shadow, 1), 100); err != nil {
		t.Fatal(err)
	}
	b := ofSessions(messages("!", "a", "x", "b", "!"))
	chain.Messages(b)
	if d := shadow.Drift(); d.Compared != 5 || d.Differed != 2 || d.Effects != 2 || len(b.Subscriptions) != 3 {
		t.Errorf("counted %+v; subscribed %+v", d, b.Subscriptions)
	}
	chain.Withdraw(live)
	for name, begin := range map[string]func(*plugins.Plugin) error{
		"shadow": func(p *plugins.Plugin) error { return chain.Shadow(live, standbys(t, p, 1), 100) },
		"canary": func(p *plugins.Plugin) error { return chain.Canary(live, standbys(t, p, 1), 100) },
		"swap": func(p *plugins.Plugin) error {
			_, err := chain.Swap(live, standbys(t, p, 1))
			return err
		},
	} {
		wrong := shadow
		if name == "shadow" {
			wrong = live
		}
		if err := begin(wrong); !errors.Is(err, plugins.ErrPlaces) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHopWithCandidateAllocates nothing in steady state.
func TestCandidateAllocations(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	live, candidate := load(t, env, wasmtest.New(), plugins.Spec{}), load(t, env, wasmtest.New(), plugins.Spec{})
	shadow := load(t, env, wasmtest.New(), plugins.Spec{Shadow: true})
	for name, begin := range map[string]func(*plugins.Chain, *plugins.Plugin, []*plugins.Standby, int) error{
		"canary": (*plugins.Chain).Canary, "shadow": (*plugins.Chain).Shadow,
	} {
		chain, next := newChain(t, live), candidate
		if name == "shadow" {
			next = shadow
		}
		if err := begin(chain, live, standbys(t, next, 1), 50); err != nil {
			t.Fatal(err)
		}
		var b plugins.Batch
		source := ofSessions(messages(make([]string, 64)...)).Messages
		run := func() {
			b.Reset()
			b.Messages = append(b.Messages, source...)
			chain.Messages(&b)
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		chain.Close(context.Background())
	}
}
