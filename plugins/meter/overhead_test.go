package meter_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	. "github.com/weftrun/weft/plugins/internal/wasmtest"
	"github.com/weftrun/weft/plugins/meter"
)

var (
	overhead = flag.Bool("overhead", false, "measure what metering costs (TestOverheadTable); takes half a minute")
	only     = flag.String("kinds", "", "measure only kinds whose names contain this")
)

// The goals for a guest's time, metered against bare.
const (
	goalMean = 1.15
	goalMost = 1.5
	goalTick = 1.7 // a loop of one instruction
)

// measured is one export of one guest in its three forms.
type measured struct {
	name                   string
	bare, metered, guarded api.Function
	fuel                   api.MutableGlobal
	n                      uint64
}

// TestOverheadTable prints what metering costs, beside wazero's own remedy, for
// each kind of code:
//
//	go test ./plugins/meter -run TestOverheadTable -v -overhead
func TestOverheadTable(t *testing.T) {
	if !*overhead {
		t.Skip("with -overhead it measures")
	}
	var kinds []measured
	for _, file := range []string{"guests/kinds.wasm", "guests/std.wasm"} {
		kinds = append(kinds, load(t, file)...)
	}
	kinds = append(kinds, ticks(t)...)
	const rounds = 21
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-14s %10s %8s %9s %12s\n", "kind", "bare us", "metered", "close", "ns a unit")
	var logMetered, logGuarded float64
	count := 0
	var tickBare, tickMetered float64
	for _, k := range kinds {
		if !strings.Contains(k.name, *only) {
			continue
		}
		k.n = 1
		for run(t, k.bare, k.n) < 400*time.Microsecond {
			k.n *= 2
		}
		var bare, metered, ratios, guarded []float64
		for r := range rounds {
			k.fuel.Set(meter.MaxFuel)
			var one, two time.Duration
			if r%2 == 0 {
				one, two = run(t, k.bare, k.n), run(t, k.metered, k.n)
			} else {
				two, one = run(t, k.metered, k.n), run(t, k.bare, k.n)
			}
			bare, metered, ratios = append(bare, float64(one)), append(metered, float64(two)), append(ratios, float64(two)/float64(one))
			if r%5 == 0 {
				guarded = append(guarded, float64(run(t, k.guarded, k.n))/float64(one))
			}
		}
		if k.name == "tick" {
			tickBare, tickMetered = tickBare+median(bare)/float64(k.n), tickMetered+median(metered)/float64(k.n)
			continue
		}
		spent := float64(meter.MaxFuel - int64(k.fuel.Get()))
		x, g := median(ratios), median(guarded)
		logMetered, logGuarded, count = logMetered+math.Log(x), logGuarded+math.Log(g), count+1
		fmt.Fprintf(&b, "%-14s %10.1f %8.2f %9.1f %12.3f\n", k.name, median(bare)/1e3, x, g, median(bare)/spent)
		if x > goalMost {
			t.Errorf("%s: %.2f times bare: the goal is %.2f", k.name, x, goalMost)
		}
	}
	mean := math.Exp(logMetered / float64(count))
	fmt.Fprintf(&b, "%-14s %10s %8.3f %9.1f\n", "geometric mean", "", mean, math.Exp(logGuarded/float64(count)))
	if tickBare > 0 {
		fmt.Fprintf(&b, "%-14s %10.3f %8.2f    (ns a turn, over %d places in memory)\n", "one instruction", tickBare/places, tickMetered/tickBare, places)
		if tickMetered/tickBare > goalTick {
			t.Errorf("a loop of one instruction: %.2f times bare: the goal is %.2f", tickMetered/tickBare, goalTick)
		}
	}
	t.Log(b.String())
	if mean > goalMean {
		t.Errorf("%.3f times bare in the mean: the goal is %.2f", mean, goalMean)
	}
}

// places is how many places in memory the loop of one instruction is measured at:
// by itself it takes one cycle or two, as its bytes happen to lie.
const places = 24

// ticks makes a loop that counts down at different places.
func ticks(t testing.TB) (kinds []measured) {
	for pad := range places {
		m := &Module{MemoryMin: 1}
		m.Global(0)
		m.Export("tick", Sig("i:i"), Code(repeat(pad, Code(Get(0), GlobalSet(0)))...),
			Code([]byte{0x03, 0x40}, Get(0), I32(1), Sub, []byte{0x22, 0, 0x0d, 0, 0x0b}), Get(0))
		kinds = append(kinds, forms(t, m.Bytes())...)
	}
	return kinds
}

func run(t testing.TB, f api.Function, n uint64) time.Duration {
	begun := time.Now()
	if _, err := f.Call(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return time.Since(begun)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// load is forms of a file.
func load(t testing.TB, file string) (kinds []measured) {
	t.Helper()
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return forms(t, wasm)
}

// forms instantiates a guest three times.
func forms(t testing.TB, wasm []byte) (kinds []measured) {
	t.Helper()
	rewritten, _, err := meter.Rewrite(wasm, meter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	instance := func(wasm []byte, guarded bool) api.Module {
		ctx := context.Background()
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(guarded))
		t.Cleanup(func() { r.Close(ctx) })
		m, err := r.Instantiate(ctx, wasm)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	bare, metered, guarded := instance(wasm, false), instance(rewritten, false), instance(wasm, true)
	code, err := wazero.NewRuntime(t.Context()).CompileModule(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	for name := range code.ExportedFunctions() {
		kinds = append(kinds, measured{
			name: name,
			bare: bare.ExportedFunction(name), metered: metered.ExportedFunction(name), guarded: guarded.ExportedFunction(name),
			fuel: metered.ExportedGlobal(meter.ExportFuel).(api.MutableGlobal),
		})
	}
	slices.SortFunc(kinds, func(a, b measured) int { return strings.Compare(a.name, b.name) })
	return kinds
}
