package plugins_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// clock is a clock that a test moves.
type clock struct{ now atomic.Int64 }

func (c *clock) Wall() int64             { return c.now.Load() }
func (c *clock) Monotonic() int64        { return c.now.Load() }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }
func newClock() *clock                   { c := &clock{}; c.now.Store(1e12); return c }
func poison() *wasmtest.Module           { return poisonOn('!') }
func poisonOn(c byte) *wasmtest.Module   { return onFirst(c, wasmtest.Unreachable) }
func onFirst(c byte, code ...[]byte) *wasmtest.Module {
	return wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.WhenFirstByte(c, code...)))
}

// syncBuffer collects log lines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func logTo(s *syncBuffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestBackOff: a plugin that traps on every message is rebuilt three times, then
// rests, longer each time; its policy answers meanwhile.
func TestBackOff(t *testing.T) {
	c := newClock()
	var lines syncBuffer
	env := newEnv(t, plugins.EnvConfig{Clock: c, Logger: logTo(&lines)})
	p := load(t, env, poison(), plugins.Spec{Name: "sick"})
	chain := newChain(t, p)
	b := ofSessions(messages(strings.Split(strings.Repeat("! ", 200)+"fine", " ")...))
	chain.Messages(b)
	causes := map[plugins.Cause]int{}
	for _, o := range b.Outcomes {
		causes[o.Cause]++
		if o.Verdict != abi.VerdictDrop {
			t.Fatalf("outcome %+v", o)
		}
	}
	if causes[plugins.CauseTrap] != 3 || causes[plugins.CauseBackOff] != 198 {
		t.Errorf("causes %v", causes)
	}
	s := p.Stats()
	if s.Rebuilds != 3 || s.Traps != 4 || s.BackOffs != 1 || s.Resting != 1 || s.Instances != 0 || s.Policy != 201 {
		t.Errorf("counted %+v", s)
	}
	session := uint64(1000)
	one := func(payload string) plugins.Outcome {
		b := messages(payload)
		session++
		b.Messages[0].Session = session
		chain.Messages(b)
		return b.Outcomes[0]
	}
	c.advance(99 * time.Millisecond)
	if o := one("fine"); o.Cause != plugins.CauseBackOff {
		t.Errorf("while it rests: %+v", o)
	}
	c.advance(time.Millisecond)
	if o := one("fine"); o.Verdict != abi.VerdictContinue || o.Cause != plugins.CauseNone || p.Stats().Resting != 0 {
		t.Errorf("after the rest: %+v", o)
	}
	for range 3 {
		one("!")
	}
	c.advance(199 * time.Millisecond)
	if o := one("fine"); o.Cause != plugins.CauseBackOff {
		t.Errorf("the second rest is not longer: %+v", o)
	}
	for _, says := range []string{"plugin=sick", "hook=messages", "session=1", "topic=raw/trucks", `cause="in weft_on_messages: wasm error: unreachable, at $`, "rests", "policy=closed"} {
		if !strings.Contains(lines.String(), says) {
			t.Errorf("the log does not say %q:\n%s", says, &lines)
		}
	}
}

// ofSessions gives each message a session of its own.
func ofSessions(b *plugins.Batch) *plugins.Batch {
	for i := range b.Messages {
		b.Messages[i].Session = uint64(i + 1)
	}
	return b
}

// TestOneSessionsPoison: a session whose messages a plugin fails on one after
// another is put to rest by itself; the plugin goes on for the others.
func TestOneSessionsPoison(t *testing.T) {
	c := newClock()
	var lines syncBuffer
	env := newEnv(t, plugins.EnvConfig{Clock: c, Logger: logTo(&lines)})
	p := load(t, env, poison(), plugins.Spec{})
	chain := newChain(t, p)
	b := messages("!", "!", "!", "!", "fine", "fine")
	b.Messages[5].Session = 2
	chain.Messages(b)
	for i, want := range []plugins.Cause{plugins.CauseTrap, plugins.CauseTrap, plugins.CauseTrap, plugins.CauseBackOff, plugins.CauseBackOff, plugins.CauseNone} {
		if o := b.Outcomes[i]; o.Cause != want {
			t.Errorf("message %d: %+v, expected %v", i, o, want)
		}
	}
	if s := p.Stats(); s.BackOffs != 0 || s.Resting != 0 {
		t.Errorf("the plugin rests: %+v", s)
	}
	c.advance(101 * time.Millisecond)
	b = messages("fine")
	chain.Messages(b)
	if o := b.Outcomes[0]; o.Cause != plugins.CauseNone {
		t.Errorf("after its rest: %+v", o)
	}
	if !strings.Contains(lines.String(), "one session after another message of it") {
		t.Errorf("log: %s", &lines)
	}
}

// TestRarePoison: a plugin that traps on one message of a thousand never rests.
func TestRarePoison(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{Clock: newClock()}) // no time passes at all
	p := load(t, env, poison(), plugins.Spec{})
	chain := newChain(t, p)
	b := &plugins.Batch{}
	next := 0
	for range 1000 {
		b.Reset()
		for range 100 {
			payload := []byte("fine")
			if next++; next%1000 == 0 {
				payload = []byte("!")
			}
			b.Messages = append(b.Messages, abi.Message{Session: 1, Seq: uint64(next), Payload: payload})
		}
		chain.Messages(b)
		for i, o := range b.Outcomes {
			m := &b.Messages[i]
			if bad := m.Seq%1000 == 0; bad != (o.Cause == plugins.CauseTrap) || bad != (o.Verdict == abi.VerdictDrop) {
				t.Fatalf("message %d: %+v", m.Seq, o)
			}
		}
	}
	if s := p.Stats(); s.Policy != 100 || s.BackOffs != 0 || s.Messages != 100000 || s.Rebuilds != 199 { // the last is made when it is needed
		t.Errorf("counted %+v", s)
	}
}

// TestInitFailsLater: an instance that cannot be made again puts the plugin to
// rest.
func TestInitFailsLater(t *testing.T) {
	c := newClock()
	var lines syncBuffer
	env := newEnv(t, plugins.EnvConfig{Clock: c, Logger: logTo(&lines)})
	// weft_init counts in the store and fails from the third instance on: the
	// first is Load's trial, the second the chain's.
	guest := &wasmtest.Module{MemoryMin: 8}
	add := guest.Import("weft", "kv_add", "iiII:I")
	guest.Export(abi.Current.Export(), abi.Signature{}).Buffer(wasmtest.I32(wasmtest.BufferAt)).Data(textAt, []byte("knot")).
		Export(abi.ExportInit, wasmtest.Sig("ii:I"),
			wasmtest.I32(textAt), wasmtest.I32(1), wasmtest.I64(1), wasmtest.I64(0), wasmtest.Call(add), wasmtest.Wrap, wasmtest.I32(3), wasmtest.LtU,
			wasmtest.If(wasmtest.I64(0), wasmtest.Return), wasmtest.I64((textAt+1)<<32|3)).
		Hook(abi.ExportOnMessages, wasmtest.Unreachable)
	p := load(t, env, guest, plugins.Spec{OnFailure: plugins.FailOpen, Grants: hostfuncs.Grants{KV: &hostfuncs.KVGrant{Namespace: "n"}}})
	chain := newChain(t, p)
	b := messages("a", "b")
	chain.Messages(b)
	if o := b.Outcomes[1]; o.Cause != plugins.CauseBackOff || o.Verdict != abi.VerdictContinue || p.Stats().Instances != 0 {
		t.Errorf("outcome %+v", o)
	}
	if !strings.Contains(lines.String(), "cannot be instantiated again") || !strings.Contains(lines.String(), "not") {
		t.Errorf("log: %s", &lines)
	}
}

// TestMemoryCap: memory ends at the cap, whatever the module declares, and what
// a guest had grown is gone with its instance.
func TestMemoryCap(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	guest := wasmtest.New()
	guest.MemoryMax = 65536
	guest.Hook(abi.ExportOnMessages, wasmtest.EachRecord(
		wasmtest.WhenFirstByte('g', // grows by a page; traps when it cannot
			wasmtest.I32(1), wasmtest.MemoryGrow, wasmtest.I32(-1), wasmtest.Eq, wasmtest.If(wasmtest.Unreachable)),
		wasmtest.WhenFirstByte('s', wasmtest.MemorySize, wasmtest.I32(65), wasmtest.Eq, wasmtest.If(wasmtest.Put32(abi.RecordVerdict, 1)))))
	p := load(t, env, guest, plugins.Spec{Memory: 70 << 16})
	chain := newChain(t, p)
	for i := range 5 {
		b := messages("g")
		chain.Messages(b)
		if o := b.Outcomes[0]; o.Cause != plugins.CauseNone {
			t.Fatalf("growing to page %d: %+v", 66+i, o)
		}
	}
	b := messages("g", "s")
	chain.Messages(b) // the instance dies, the next has room
	if b.Outcomes[0].Cause != plugins.CauseNone || p.Stats().Traps != 1 {
		t.Errorf("past the cap: %+v, %+v", b.Outcomes[0], p.Stats())
	}
	b = messages("s")
	chain.Messages(b)
	if b.Outcomes[0].Verdict != abi.VerdictContinue {
		t.Error("the replay did not run in the new instance")
	}
}

// TestDeepRecursion: a guest that runs out of stack is a trap like others.
func TestDeepRecursion(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	guest := wasmtest.New()
	self := guest.Func(abi.Signature{}, wasmtest.Call(3)) // 0 version, 1 buffer, 2 hook
	if self != 3 {
		t.Fatalf("the function is %d", self)
	}
	guest.Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.WhenFirstByte('!', wasmtest.Call(self))))
	chain := newChain(t, load(t, env, guest, plugins.Spec{CPU: time.Millisecond}))
	b := messages("a", "!", "b")
	chain.Messages(b)
	if b.Outcomes[1].Cause != plugins.CauseDepth || b.Outcomes[0].Verdict+b.Outcomes[2].Verdict != 0 {
		t.Errorf("outcomes %+v", b.Outcomes)
	}
}

// TestOverlappingAnswers: a guest cannot make the host copy its memory over and
// over.
func TestOverlappingAnswers(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{Clock: newClock()})
	guest := wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedPayload)), wasmtest.PutSpan(abi.RecordPayload, 0, 4<<20)))
	p := load(t, env, guest, plugins.Spec{})
	chain := newChain(t, p)
	b := ofSessions(messages(make([]string, 512)...))
	chain.Messages(b)
	kept := 0
	for i := range b.Messages {
		kept += len(b.Messages[i].Payload)
	}
	if s := p.Stats(); s.BackOffs != 1 || kept > abi.MaxBuffer {
		t.Errorf("%d bytes were kept; counted %+v", kept, s)
	}
}

// TestEmitBomb: plugins that each emit 64 messages for one cannot fill the host.
func TestEmitBomb(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	guest := wasmtest.New().Data(textAt, []byte("a")).Data(effectAt, bytes.Repeat(effect(abi.EffectEmit, textAt, textAt, 1, 1), abi.MaxEffects)).
		Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.PutSpan(abi.RecordEffects, effectAt, abi.MaxEffects)))
	var chained []*plugins.Plugin
	for i := range 6 {
		chained = append(chained, load(t, env, guest, plugins.Spec{Name: fmt.Sprint("bomb", i), Grants: effectGrants("a")}))
	}
	b := messages("x")
	newChain(t, chained...).Messages(b)
	if len(b.Messages) > 16384 || chained[5].Stats().Discarded == 0 {
		t.Errorf("%d messages, %+v", len(b.Messages), chained[5].Stats())
	}
}

// TestHostPanic: a host function that panics costs the guest its instance.
func TestHostPanic(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{Metrics: panicking{}})
	guest := &wasmtest.Module{MemoryMin: 8}
	metric := guest.Import("weft", "metric", "iii:i")
	guest.Export(abi.Current.Export(), abi.Signature{}).Buffer(wasmtest.I32(wasmtest.BufferAt)).Data(textAt, []byte("a")).
		Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.WhenFirstByte('!', wasmtest.I32(0), wasmtest.I32(textAt), wasmtest.I32(1), wasmtest.Call(metric), wasmtest.Drop)))
	chain := newChain(t, load(t, env, guest, plugins.Spec{Grants: hostfuncs.Grants{Metrics: &hostfuncs.MetricsGrant{}}}))
	b := messages("a", "!", "b")
	chain.Messages(b)
	if b.Outcomes[1].Cause != plugins.CauseTrap || b.Outcomes[2].Cause != plugins.CauseNone {
		t.Errorf("outcomes %+v", b.Outcomes)
	}
}

type panicking struct{}

func (panicking) Metric(string, string, abi.MetricKind) (hostfuncs.Metric, error) { panic("a bug") }

// TestClosing: a plugin that is closed makes no instances, and its memory goes
// with the last chain.
func TestClosing(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	p := load(t, env, wasmtest.New(), plugins.Spec{})
	chain := newChain(t, p)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := messages("a")
	chain.Messages(b)
	if b.Outcomes[0].Cause != plugins.CauseNone {
		t.Errorf("the living chain: %+v", b.Outcomes[0])
	}
	if _, err := plugins.NewChain(t.Context(), nil, p); err == nil {
		t.Error("a closed plugin was instantiated")
	}
	for range 2 {
		if err := chain.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if s := p.Stats(); s.Instances != 0 || s.Messages != 1 {
		t.Errorf("counted %+v", s)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := env.Load(cancelled, plugins.Spec{Name: "late", Wasm: wasmtest.New().Bytes()}); err == nil {
		t.Error("loaded under a context that had ended")
	}
	other, err := plugins.NewEnv(plugins.EnvConfig{})
	if err != nil || other.Close(t.Context()) != nil {
		t.Fatal(err)
	}
	if _, err := other.Load(t.Context(), plugins.Spec{Name: "late", Wasm: wasmtest.New().Bytes()}); err == nil {
		t.Error("loaded into a closed environment")
	}
}

// TestLoadCyclesStayFlat: loading, running and closing leaves nothing behind.
func TestLoadCyclesStayFlat(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	cycle := func(i int) {
		guest := wasmtest.New().Data(textAt, fmt.Append(nil, i)) // other bytes each time
		p, err := env.Load(t.Context(), plugins.Spec{Name: "guest", Wasm: guest.Bytes()})
		if err != nil {
			t.Fatal(err)
		}
		chain, err := plugins.NewChain(t.Context(), nil, p)
		if err != nil {
			t.Fatal(err)
		}
		b := messages("a")
		chain.Messages(b)
		chain.Close(t.Context())
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		cycle(i)
	}
	before, mapped := settled(time.Second, 0, 0)
	n := 1000
	if testing.Short() {
		n = 200
	}
	for i := range n {
		cycle(100 + i)
	}
	after, mappedAfter := settled(time.Minute, before+1<<20, mapped+50)
	if grown := int64(after) - int64(before); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes in %d cycles", grown, n)
	}
	if grown := mappedAfter - mapped; grown > 50 {
		t.Errorf("%d more ranges are mapped after %d cycles", grown, n)
	}
}

// settled is the live heap, and how many ranges are mapped, once both are no more than
// that, or when the time is up. Compiled code is unmapped by finalizers, which take a
// moment.
func settled(within time.Duration, heapMost uint64, mappedMost int) (heap uint64, mapped int) {
	for deadline := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap, mapped = m.HeapAlloc, mappings()
		if heap <= heapMost && mapped <= mappedMost || time.Now().After(deadline) {
			return heap, mapped
		}
	}
}

// TestConcurrentChains: chains of one plugin run on several goroutines at once,
// while others come and go.
func TestConcurrentChains(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	p := load(t, env, poison(), plugins.Spec{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				chain, err := plugins.NewChain(context.Background(), nil, p)
				if err != nil {
					t.Error(err)
					return
				}
				b := &plugins.Batch{}
				for i := range 200 {
					b.Reset()
					payloads := []string{"a", "b", "c"}
					if i%100 == 50 {
						payloads[1] = "!"
					}
					b.Messages = append(b.Messages, messages(payloads...).Messages...)
					chain.Messages(b)
				}
				chain.Close(context.Background())
			}
		})
	}
	wg.Go(func() {
		for i := range 10 {
			q, err := env.Load(context.Background(), plugins.Spec{Name: "other", Wasm: wasmtest.New().Data(textAt, []byte{byte(i)}).Bytes()})
			if err != nil {
				t.Error(err)
				return
			}
			p.Stats()
			if err := q.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if s := p.Stats(); s.Instances != 0 || s.Messages != 4*5*600 || s.Policy != 4*5*2 {
		t.Errorf("counted %+v", s)
	}
}

// TestNoAllocations: running messages in steady state allocates nothing, changed
// ones included.
func TestNoAllocations(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	guest := wasmtest.New().Data(textAt, []byte("topic")).Data(effectAt, effect(abi.EffectEmit, textAt, textAt, 5, 5)).
		Hook(abi.ExportOnMessages, wasmtest.EachRecord(
			wasmtest.WhenFirstByte('c', wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedPayload|abi.ChangedTopic)), wasmtest.PutSpan(abi.RecordTopic, textAt, 5)),
			wasmtest.WhenFirstByte('d', wasmtest.Put32(abi.RecordVerdict, 1), wasmtest.PutSpan(abi.RecordOut, textAt, 5)),
			wasmtest.WhenFirstByte('e', wasmtest.PutSpan(abi.RecordEffects, effectAt, 1)),
			wasmtest.WhenFirstByte('x', wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedContext)), wasmtest.PutSpan(abi.RecordContext, 0, 0))))
	chain := newChain(t, load(t, env, guest, plugins.Spec{Grants: effectGrants("topic")}), load(t, env, wasmtest.New(), plugins.Spec{Name: "second"}))
	original := messages("a", "c", "d", "e", "x", "b").Messages
	b := &plugins.Batch{}
	run := func() {
		b.Reset()
		b.Messages = append(b.Messages, original...)
		chain.Messages(b)
	}
	for range 10 {
		run()
	}
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations a run", n)
	}
	idle := &plugins.Batch{}
	if n := testing.AllocsPerRun(100, func() { idle.Reset(); chain.Tick(idle, time.Unix(1, 0), 0) }); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}
