package hostile_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/hostile"
)

// clock is a clock that the test moves.
type clock struct{ now atomic.Int64 }

func (c *clock) Wall() int64      { return c.now.Load() }
func (c *clock) Monotonic() int64 { return c.now.Load() }

// overrun is how many times its budget a guest may take. Fuel is calibrated for ordinary
// code; what is dear by its nature, as reads from all over a large memory are, takes
// longer. The bound is loose: what it is there to find are floods that take a hundred
// times their budget.
const overrun = 12

// TestBudgetsHold: whatever a guest does until its fuel is used up, the call takes
// about the time that it was granted, host functions included.
func TestBudgetsHold(t *testing.T) {
	const budget = time.Millisecond
	for _, g := range hostile.Running() {
		if g.Fate == hostile.Harmless || g.On != hostile.Messages || g.After > 0 {
			continue
		}
		t.Run(g.Name, func(t *testing.T) {
			c := &clock{}
			c.now.Store(1e15)
			env, err := plugins.NewEnv(plugins.EnvConfig{Clock: c, CallBudget: budget})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = env.Close(t.Context()) }()
			p, err := env.Load(t.Context(), plugins.Spec{Name: "hostile", Wasm: g.Wasm(), Grants: g.Grants, Memory: g.Memory, CPU: budget})
			if err != nil {
				t.Fatal(err)
			}
			chain, err := plugins.NewChain(t.Context(), []string{"listener"}, p)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = chain.Close(t.Context()) }()
			s := &stage{T: t, guest: g, plugin: p, chain: chain}
			least := time.Hour
			// Other work on the machine makes a turn longer, never shorter; where all were
			// long they are taken again.
			for turn := 0; turn < 12 || turn < 36 && least > overrun*2*budget; turn++ {
				c.now.Add(int64(time.Hour))
				b := s.batch("!")
				began := time.Now()
				chain.Messages(b)
				least = min(least, time.Since(began))
			}
			// A turn is the call, a new instance, the call again, and a new instance when
			// the next turn needs one.
			t.Logf("%5.2f times its budget: %v", float64(least)/float64(2*budget), least)
			if least > overrun*2*budget {
				t.Errorf("two calls of %v took %v", budget, least)
			}
		})
	}
}
