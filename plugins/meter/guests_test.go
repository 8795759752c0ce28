package meter_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/plugins/meter"
)

// shipped are the compiled guests of the repository.
func shipped(t testing.TB) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"../std/*/*.wasm", "../../abi/vectors/*/*.wasm", "../../examples/*/*.wasm"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 5 {
		t.Fatalf("only %d guests found", len(files))
	}
	return files
}

// TestShippedGuestsCompile: what the repository ships is within the limits, and
// valid when rewritten.
func TestShippedGuestsCompile(t *testing.T) {
	r := wazero.NewRuntime(t.Context())
	defer r.Close(t.Context())
	for _, file := range shipped(t) {
		wasm, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out, report, err := meter.Rewrite(wasm, meter.Options{MaxPages: 256, StartFuel: 1 << 40})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		t.Logf("%s: %+v", file, report)
		if _, err := r.CompileModule(t.Context(), out); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// stubs are host functions for whatever the module imports: they do nothing and
// give zeros, the same each time.
func stubs(t testing.TB, r wazero.Runtime, code wazero.CompiledModule) {
	t.Helper()
	byModule := make(map[string]wazero.HostModuleBuilder)
	for _, f := range code.ImportedFunctions() {
		from, name, _ := f.Import()
		if byModule[from] == nil {
			byModule[from] = r.NewHostModuleBuilder(from)
		}
		results := len(f.ResultTypes())
		byModule[from].NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
			clear(stack[:results])
		}), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, b := range byModule {
		if _, err := b.Instantiate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestShippedGuestsEqual: every export of every guest of the repository does the
// same metered and bare, as raw calls with small numbers and with addresses.
func TestShippedGuestsEqual(t *testing.T) {
	for _, file := range append(shipped(t), "guests/kinds.wasm", "guests/std.wasm") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			wasm, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out, _, err := meter.Rewrite(wasm, meter.Options{StartFuel: plenty})
			if err != nil {
				t.Fatal(err)
			}
			r := wazero.NewRuntime(t.Context())
			defer r.Close(t.Context())
			var sides [2]side
			for i, b := range [][]byte{out, wasm} {
				if sides[i].code, err = r.CompileModule(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					stubs(t, r, sides[0].code)
				}
				sides[i].Module, sides[i].err = r.InstantiateModule(t.Context(), sides[i].code,
					wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
			}
			if firstLine(sides[0].err) != firstLine(sides[1].err) {
				t.Fatalf("metered starts with %v, bare with %v", sides[0].err, sides[1].err)
			}
			if sides[0].err != nil {
				t.Skipf("it does not start without a host: %v", sides[0].err)
			}
			compareExports(t, sides[0], sides[1])
		})
	}
}

func compareExports(t *testing.T, metered, bare side) {
	t.Helper()
	fuel := metered.ExportedGlobal(meter.ExportFuel).(api.MutableGlobal)
	calls, traps := 0, 0
	for _, name := range slices.Sorted(maps.Keys(bare.code.ExportedFunctions())) {
		for _, arg := range []uint64{0, 1, 3, 1024} {
			f := bare.ExportedFunction(name)
			args := slices.Repeat([]uint64{arg}, len(f.Definition().ParamTypes()))
			fuel.Set(1 << 32)
			a, errA := metered.ExportedFunction(name).Call(t.Context(), args...)
			if cause, _ := meter.After(int64(fuel.Get()), meter.DefaultDepth); cause == meter.CauseFuel {
				return // it would run for ever
			}
			b, errB := f.Call(t.Context(), args...)
			if firstLine(errA) != firstLine(errB) || !slices.Equal(a, b) {
				t.Fatalf("%s(%d) gives %v, %v metered and %v, %v bare", name, arg, a, errA, b, errB)
			}
			if err := same(metered, bare); err != nil {
				t.Fatalf("after %s(%d): %v", name, arg, err)
			}
			if calls++; errA != nil {
				traps++
			}
		}
	}
	t.Logf("%d calls, %d traps", calls, traps)
}
