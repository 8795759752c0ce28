package meter_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"

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
