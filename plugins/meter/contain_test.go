package meter_test

import (
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	. "github.com/weftrun/weft/plugins/internal/wasmtest"
	"github.com/weftrun/weft/plugins/meter"
)

// guest is an instance of a rewritten module.
type guest struct {
	api.Module
	fuel, depth api.MutableGlobal
}

func start(t testing.TB, wasm []byte, o meter.Options) (*guest, error) {
	t.Helper()
	out, _, err := meter.Rewrite(wasm, o)
	if err != nil {
		t.Fatal(err)
	}
	r := wazero.NewRuntime(t.Context())
	t.Cleanup(func() { r.Close(t.Context()) })
	code, err := r.CompileModule(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.InstantiateModule(t.Context(), code, wazero.NewModuleConfig())
	if err != nil {
		return nil, err
	}
	return &guest{m, m.ExportedGlobal(meter.ExportFuel).(api.MutableGlobal), m.ExportedGlobal(meter.ExportDepth).(api.MutableGlobal)}, nil
}

// call runs an export with that much fuel.
func (g *guest) call(t testing.TB, name string, fuel int64, args ...uint64) (results []uint64, cause meter.Cause, left int64, err error) {
	t.Helper()
	g.fuel.Set(uint64(fuel))
	g.depth.Set(meter.DefaultDepth)
	results, err = g.ExportedFunction(name).Call(t.Context(), args...)
	cause, left = meter.After(int64(g.fuel.Get()), int64(g.depth.Get()))
	return results, cause, left, err
}

// TestCauses: what ends a call is told apart.
func TestCauses(t *testing.T) {
	m := &Module{MemoryMin: 1, NoMemoryExport: true}
	m.Export("loop", Sig(":"), Loop())
	m.Export("trap", Sig(":"), Unreachable)
	m.Export("divide", Sig(":"), I32(1), I32(0), []byte{0x6d}, Drop)
	m.Export("outside", Sig(":"), I32(-1), Load8(0), Drop)
	m.Export("ready", Sig(":i"), I32(7))
	deep := m.Func(Sig(":"), Call(5))
	m.ExportAs("deep", 0, deep)
	// Calls itself twice, n deep: 2^n calls without a loop.
	m.Export("tree", Sig("i:"), Get(0), Eqz, If(Return), Get(0), I32(1), Sub, Call(6), Get(0), I32(1), Sub, Call(6))
	// Traps by itself with less fuel than nothing.
	m.Export("both", Sig(":"), I32(1), If(Code(repeat(300, Code(I32(3), I32(5), Mul, Drop))...), Unreachable))
	for _, c := range []struct {
		name  string
		args  []uint64
		fuel  int64
		fails bool
		cause meter.Cause
	}{
		{"loop", nil, 1_000_000, true, meter.CauseFuel},
		{"loop", nil, 0, true, meter.CauseFuel},
		{"trap", nil, 1000, true, meter.CauseGuest},
		{"divide", nil, 1000, true, meter.CauseGuest},
		{"outside", nil, 1000, true, meter.CauseGuest},
		{"ready", nil, 1000, false, meter.CauseGuest},
		{"deep", nil, 1 << 40, true, meter.CauseDepth},
		{"deep", nil, 10_000, true, meter.CauseFuel},
		{"tree", []uint64{40}, 1_000_000, true, meter.CauseFuel},
		{"tree", []uint64{5}, 1_000_000, false, meter.CauseGuest},
		{"both", nil, 100, true, meter.CauseGuest},
	} {
		g, err := start(t, m.Bytes(), meter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, cause, left, err := g.call(t, c.name, c.fuel, c.args...)
		if (err != nil) != c.fails || cause != c.cause {
			t.Errorf("%s with %d: error %v, cause %d: expected %v, %d", c.name, c.fuel, err, cause, c.fails, c.cause)
		}
		if left > c.fuel || c.cause == meter.CauseFuel && left >= 0 || left < -100_000 {
			t.Errorf("%s with %d: %d are left", c.name, c.fuel, left)
		}
	}
}

func repeat(n int, code []byte) (all [][]byte) {
	for range n {
		all = append(all, code)
	}
	return all
}

// TestCalibrate: the figure is of a plausible size.
func TestCalibrate(t *testing.T) {
	f, err := meter.Calibrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f units a microsecond, %.3f ns a unit", f, 1000/f)
	if f < 50 || f > 100_000 {
		t.Errorf("%.0f units a microsecond", f)
	}
}
