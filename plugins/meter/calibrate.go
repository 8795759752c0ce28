package meter

import (
	"context"
	_ "embed" // the guest that is timed
	"fmt"
	"math"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

//go:generate guests/build

//go:embed guests/mix.wasm
var mix []byte

// kernels are the kinds of code in guests/mix.c.
var kernels = [...]string{"arithmetic", "parse", "sift", "calls", "floats"}

const (
	calibrateRounds = 7
	calibrateFor    = 200 * time.Microsecond // of one kernel in one round
)

// Calibrate measures how much fuel ordinary code uses in a microsecond on this
// machine. It runs a metered guest with five kinds of code, about 20 ms in all
// with compiling, and answers for the kind whose units take longest: a budget of
// time that is turned into fuel by it is rather too small than too large. Other
// work on the machine makes the answer smaller; so the best of several rounds
// counts. Call it once in a process.
func Calibrate(ctx context.Context) (fuelPerMicrosecond float64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("calibrating fuel: %w", err)
		}
	}()
	wasm, _, err := Rewrite(mix, Options{})
	if err != nil {
		return 0, err
	}
	rt := wazero.NewRuntime(ctx)
	defer func() {
		if closed := rt.Close(context.WithoutCancel(ctx)); err == nil {
			err = closed
		}
	}()
	guest, err := rt.Instantiate(ctx, wasm)
	if err != nil {
		return 0, err
	}
	fuel := guest.ExportedGlobal(ExportFuel).(api.MutableGlobal)
	slowest := math.Inf(1)
	for _, name := range kernels {
		best, err := calibrate(ctx, guest.ExportedFunction(name), fuel)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		slowest = min(slowest, best)
	}
	return slowest, nil
}

// calibrate gives the most fuel that a kernel used in a microsecond.
func calibrate(ctx context.Context, f api.Function, fuel api.MutableGlobal) (best float64, err error) {
	n := uint64(1)
	for round := 0; round < calibrateRounds; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		fuel.Set(MaxFuel)
		begun := time.Now()
		if _, err := f.Call(ctx, n); err != nil {
			return 0, err
		}
		took := time.Since(begun)
		if took < calibrateFor && n < 1<<20 {
			n *= 2
			continue
		}
		spent := MaxFuel - int64(fuel.Get())
		best = max(best, float64(spent)/(float64(max(took, 1))/float64(time.Microsecond)))
		round++
	}
	return best, nil
}
