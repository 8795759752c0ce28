package meter_test

import (
	"context"
	"fmt"
	"hash/maphash"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/plugins/meter"
)

// modules is how many generated modules a run of the tests looks at:
// WEFT_MODULES, or fewer by default.
func modules(t testing.TB) uint64 {
	if s := os.Getenv("WEFT_MODULES"); s != "" {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			t.Fatalf("WEFT_MODULES=%s: %v", s, err)
		}
		return n
	}
	if testing.Short() {
		return 200
	}
	return 1000
}

// both runs a check for every seed on two goroutines, each with a runtime; the
// first failure stops.
func both(t *testing.T, n uint64, check func(ctx context.Context, r wazero.Runtime, seed uint64) error) {
	var next atomic.Uint64
	var failed atomic.Bool
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			r, err := newHost(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close(context.Background())
			for !failed.Load() {
				seed := next.Add(1) - 1
				if seed >= n {
					return
				}
				if err := check(t.Context(), r, seed); err != nil {
					failed.Store(true)
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	wait.Wait()
}

// tally is what the generated modules did, so that a generator that makes nothing
// but traps is noticed.
type tally struct{ calls, traps, starts, exact, spent atomic.Int64 }

// TestGenerated: generated modules do the same metered and bare, and what they pay
// is never less than the exact cost of what they ran.
//
//	WEFT_MODULES=10000 go test ./plugins/meter -run TestGenerated -v
func TestGenerated(t *testing.T) {
	var sum tally
	n := modules(t)
	both(t, n, func(ctx context.Context, r wazero.Runtime, seed uint64) error {
		return compare(ctx, r, generate(seed), &sum)
	})
	calls, traps, exact, spent := sum.calls.Load(), sum.traps.Load(), sum.exact.Load()/2, sum.spent.Load()
	t.Logf("%d modules, %d calls, %d traps, %d units paid for %d: %.3f times", n, calls, traps, spent, exact, float64(spent)/float64(exact))
	if calls < int64(n)*3/2 || traps > calls*3/4 {
		t.Errorf("%d of %d calls trap in %d modules: the generator has lost its way", traps, calls, n)
	}
	if float64(spent) > 1.5*float64(exact) {
		t.Errorf("%d units were paid for %d", spent, exact)
	}
}

// side is one form of a module that runs.
type side struct {
	api.Module
	code wazero.CompiledModule
	err  error
}

func (s side) close(ctx context.Context) {
	if s.Module != nil {
		s.Close(ctx)
	}
	s.code.Close(ctx)
}

func startSide(ctx context.Context, r wazero.Runtime, wasm []byte) (side, error) {
	code, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return side{}, err
	}
	m, err := r.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithName(""))
	return side{m, code, err}, nil
}

func newHost(ctx context.Context) (wazero.Runtime, error) {
	r := wazero.NewRuntime(ctx)
	_, err := r.NewHostModuleBuilder("host").NewFunctionBuilder().
		WithFunc(func(x uint32) uint32 { return x*7 + 1 }).Export("f").Instantiate(ctx)
	return r, err
}

const plenty = int64(1) << 40

func compare(ctx context.Context, r wazero.Runtime, g generated, sum *tally) error {
	rewritten, _, err := meter.Rewrite(g.plain, meter.Options{StartFuel: plenty})
	if err != nil {
		return fmt.Errorf("rewrite: %w", err)
	}
	var sides [3]side
	for i, wasm := range [][]byte{g.plain, rewritten, g.counted} {
		if sides[i], err = startSide(ctx, r, wasm); err != nil {
			return fmt.Errorf("form %d: %w", i, err)
		}
		defer sides[i].close(ctx)
	}
	bare, metered, counted := sides[0], sides[1], sides[2]
	if firstLine(bare.err) != firstLine(metered.err) || firstLine(bare.err) != firstLine(counted.err) {
		return fmt.Errorf("bare starts with %q, metered with %q, counted with %q", firstLine(bare.err), firstLine(metered.err), firstLine(counted.err))
	}
	if bare.err != nil {
		sum.starts.Add(1)
		return nil
	}
	if err := same(bare, metered); err != nil {
		return fmt.Errorf("after the start: %w", err)
	}
	for round := range 2 {
		for _, name := range g.calls {
			if err := compareCall(ctx, name, bare, metered, counted, sum); err != nil {
				return fmt.Errorf("round %d, %s: %w", round, name, err)
			}
		}
	}
	return nil
}

func compareCall(ctx context.Context, name string, bare, metered, counted side, sum *tally) error {
	for _, s := range []side{bare, metered, counted} {
		s.ExportedGlobal("g0").(api.MutableGlobal).Set(0)
	}
	fuel := metered.ExportedGlobal(meter.ExportFuel).(api.MutableGlobal)
	depth := metered.ExportedGlobal(meter.ExportDepth).(api.MutableGlobal)
	exact := counted.ExportedGlobal(exportCount).(api.MutableGlobal)
	fuel.Set(uint64(plenty))
	depth.Set(meter.DefaultDepth)
	exact.Set(0)
	a, errA := bare.ExportedFunction(name).Call(ctx)
	b, errB := metered.ExportedFunction(name).Call(ctx)
	_, errC := counted.ExportedFunction(name).Call(ctx)
	if firstLine(errA) != firstLine(errB) || firstLine(errA) != firstLine(errC) {
		return fmt.Errorf("bare ends with %q, metered with %q, counted with %q", firstLine(errA), firstLine(errB), firstLine(errC))
	}
	if fmt.Sprint(a) != fmt.Sprint(b) {
		return fmt.Errorf("bare gives %v, metered %v", a, b)
	}
	if err := same(bare, metered); err != nil {
		return err
	}
	cause, left := meter.After(int64(fuel.Get()), int64(depth.Get()))
	spent, cost := plenty-left, int64(exact.Get())
	if cause != meter.CauseGuest {
		return fmt.Errorf("cause %d", cause)
	}
	if 2*spent < cost {
		return fmt.Errorf("%d units were paid, the exact cost is %.1f", spent, float64(cost)/2)
	}
	sum.calls.Add(1)
	if errA != nil {
		sum.traps.Add(1)
		return nil
	}
	if d := int64(depth.Get()); d != meter.DefaultDepth {
		return fmt.Errorf("the depth is %d after the call", d)
	}
	if cost < 1_000_000 { // beyond, a bulk instruction's length outweighs all others
		sum.spent.Add(spent)
		sum.exact.Add(cost)
	}
	return nil
}

var hashSeed = maphash.MakeSeed()

// same compares memories and globals.
func same(a, b side) error {
	x, _ := a.Memory().Read(0, a.Memory().Size())
	y, _ := b.Memory().Read(0, b.Memory().Size())
	if len(x) != len(y) || maphash.Bytes(hashSeed, x) != maphash.Bytes(hashSeed, y) {
		at := 0
		for at < min(len(x), len(y)) && x[at] == y[at] {
			at++
		}
		return fmt.Errorf("memories differ: %d and %d bytes, from %d on", len(x), len(y), at)
	}
	for i := range 8 {
		name := "g" + strconv.Itoa(i)
		g, h := a.ExportedGlobal(name), b.ExportedGlobal(name)
		if g != nil && g.Get() != h.Get() {
			return fmt.Errorf("global %d is %x bare, %x metered", i, g.Get(), h.Get())
		}
	}
	return nil
}

func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
