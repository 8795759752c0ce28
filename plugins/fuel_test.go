package plugins_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// loops is a guest that loops for ever on messages that begin with an exclamation
// mark.
func loops() *wasmtest.Module { return onFirst('!', forEver()) }

func forEver() []byte { return wasmtest.Code(wasmtest.Loop(), []byte{}) }

// TestEndlessLoop: a message on which the plugin loops for ever costs that message.
func TestEndlessLoop(t *testing.T) {
	var lines syncBuffer
	env := newEnv(t, plugins.EnvConfig{Logger: logTo(&lines), FuelPerMicrosecond: 1000})
	p := load(t, env, loops(), plugins.Spec{OnFailure: plugins.FailQuarantine, CPU: time.Millisecond})
	chain := newChain(t, p)
	b := messages("a", "!", "b")
	chain.Messages(b)
	if o := b.Outcomes[1]; o.Cause != plugins.CauseFuel || o.Verdict != abi.VerdictRoute || string(o.Out) != "dead-letter" {
		t.Errorf("the poison: %+v", o)
	}
	for _, i := range []int{0, 2} {
		if o := b.Outcomes[i]; o.Cause != plugins.CauseNone || o.Verdict != abi.VerdictContinue {
			t.Errorf("message %d: %+v", i, o)
		}
	}
	s := p.Stats()
	if s.FuelTraps != 2 || s.Traps != 2 || s.Fuel < 2_000_000 || s.Fuel > 2_100_000 || s.FuelMost != 1_000_000 {
		t.Errorf("counted %+v", s)
	}
	for _, says := range []string{"plugin used up its CPU budget", "units of fuel, which are 1ms"} {
		if !strings.Contains(lines.String(), says) {
			t.Errorf("the log does not say %q:\n%s", says, &lines)
		}
	}
}

// TestFuelIsDeterministic: the same messages cost the same in every instance.
func TestFuelIsDeterministic(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{FuelPerMicrosecond: 1000})
	p := load(t, env, wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, 1))), plugins.Spec{})
	var each uint64
	for round := range 3 {
		before := p.Stats().Fuel
		newChain(t, p).Messages(messages("a", "b", "c"))
		spent := p.Stats().Fuel - before
		if spent == 0 || round > 0 && spent != each {
			t.Errorf("round %d: %d units, before %d", round, spent, each)
		}
		each = spent
	}
}

// TestHeavyMessages: a batch whose messages each stay within their budget, and
// together do not within that of a call, goes through in several calls.
func TestHeavyMessages(t *testing.T) {
	// A thousand turns of a loop that counts down.
	work := wasmtest.Code(wasmtest.I32(1000), wasmtest.Set(4), []byte{0x03, 0x40},
		wasmtest.Get(4), wasmtest.I32(-1), wasmtest.Add, []byte{0x22, 4, 0x0d, 0, 0x0b})
	guest := wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(work))
	env := newEnv(t, plugins.EnvConfig{FuelPerMicrosecond: 1000})
	p := load(t, env, guest, plugins.Spec{CPU: 50 * time.Microsecond})
	chain := newChain(t, p)
	for range 3 {
		b := ofSessions(messages(make([]string, 1000)...))
		chain.Messages(b)
		for i, o := range b.Outcomes {
			if o.Cause != plugins.CauseNone {
				t.Fatalf("message %d: %+v", i, o)
			}
		}
	}
	if s := p.Stats(); s.FuelTraps > 1 || s.Policy != 0 {
		t.Errorf("counted %+v", s)
	}
}

// TestCollectorWaitsNoLongerThanACall: while a guest loops for ever the garbage
// collector waits for the budget of one call, not for the guest.
func TestCollectorWaitsNoLongerThanACall(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	chain := newChain(t, load(t, env, loops(), plugins.Spec{CPU: time.Millisecond}))
	stop, stopped := make(chan struct{}), make(chan struct{})
	started := make(chan struct{}, 1)
	go func() {
		defer close(stopped)
		for n := uint64(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			b := messages("!")
			b.Messages[0].Session = n // each of its own: none rests
			chain.Messages(b)
			select {
			case started <- struct{}{}:
			default:
			}
		}
	}()
	<-started
	took := make([]time.Duration, 20)
	for i := range took {
		began := time.Now()
		runtime.GC()
		took[i] = time.Since(began)
	}
	close(stop)
	<-stopped
	slices.Sort(took)
	most, longest := took[len(took)-3], took[len(took)-1]
	t.Logf("18 of 20 collections took up to %v, the longest %v", most, longest)
	if most > 500*time.Millisecond || longest > 10*time.Second { // unmetered: for ever
		t.Errorf("18 of 20 collections took up to %v, the longest %v", most, longest)
	}
}

// TestFuelOfBuffers: what weft_buffer spends counts, once for each buffer.
func TestFuelOfBuffers(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{FuelPerMicrosecond: 1000})
	spend := func(loops int) (first, second uint64) {
		m := wasmtest.New().Hook(abi.ExportOnMessages)
		m.Buffer(wasmtest.Code(wasmtest.I32(int32(loops)), wasmtest.Set(0), []byte{0x03, 0x40},
			wasmtest.Get(0), wasmtest.I32(-1), wasmtest.Add, []byte{0x22, 0, 0x0d, 0, 0x0b}, wasmtest.I32(1024)))
		p := load(t, env, m, plugins.Spec{})
		chain := newChain(t, p)
		chain.Messages(messages("a"))
		first = p.Stats().Fuel
		chain.Messages(messages("a"))
		return first, p.Stats().Fuel - first
	}
	light, lightAgain := spend(1)
	heavy, heavyAgain := spend(1001)
	if heavy < light+1000 || heavyAgain != lightAgain || lightAgain == 0 {
		t.Errorf("%d and then %d units, with a buffer that takes a thousand more %d and then %d", light, lightAgain, heavy, heavyAgain)
	}
}

// TestFuelOfABufferThatIsNeverFound: what was spent before the trap counts too.
func TestFuelOfABufferThatIsNeverFound(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{FuelPerMicrosecond: 1000})
	m := wasmtest.New().Hook(abi.ExportOnMessages)
	m.Buffer(wasmtest.Code(forEver(), wasmtest.I32(1024)))
	p := load(t, env, m, plugins.Spec{})
	newChain(t, p).Messages(messages("a"))
	if s := p.Stats(); s.FuelTraps == 0 || s.Fuel < s.FuelTraps*1_000_000 {
		t.Errorf("counted %+v", s)
	}
}
