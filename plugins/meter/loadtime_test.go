package meter_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/weftrun/weft/plugins/meter"
)

// The goals for loading, against compiling the bare module.
const (
	goalRewrite = 0.05
	goalCompile = 1.20
)

// TestLoadTable prints how long rewriting takes, and how much longer compiling:
//
//	go test ./plugins/meter -run TestLoadTable -v -overhead
func TestLoadTable(t *testing.T) {
	if !*overhead {
		t.Skip("with -overhead it measures")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-22s %8s %8s %11s %11s %9s %9s\n", "module", "bytes", "larger", "rewrite ms", "compile ms", "rewrite", "compile")
	var rewrite, bare, metered float64
	for _, file := range append(shipped(t), "guests/kinds.wasm", "guests/std.wasm") {
		wasm, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rewrites, compiles, others []float64 // the least counts: other work shares the machine
		var out []byte
		for range 7 {
			begun := time.Now()
			if out, _, err = meter.Rewrite(wasm, meter.Options{MaxPages: 256}); err != nil {
				t.Fatal(err)
			}
			rewrites = append(rewrites, time.Since(begun).Seconds()*1e3)
			compiles, others = append(compiles, compile(t, wasm)), append(others, compile(t, out))
		}
		r, c := slices.Min(rewrites), slices.Min(compiles)
		x := slices.Min(others) / c
		rewrite, bare, metered = rewrite+r, bare+c, metered+c*x
		fmt.Fprintf(&b, "%-22s %8d %8.2f %11.2f %11.1f %8.1f%% %9.2f\n", filepath.Base(file), len(wasm), float64(len(out))/float64(len(wasm)), r, c, 100*r/c, x)
	}
	fmt.Fprintf(&b, "%-22s %8s %8s %11.2f %11.1f %8.1f%% %9.2f\n", "all", "", "", rewrite, bare, 100*rewrite/bare, metered/bare)
	t.Log(b.String())
	if rewrite/bare > goalRewrite {
		t.Errorf("rewriting takes %.1f%% of the time of compiling: the goal is %.0f%%", 100*rewrite/bare, 100*goalRewrite)
	}
	if metered/bare > goalCompile {
		t.Errorf("compiling takes %.2f times as long: the goal is %.2f", metered/bare, goalCompile)
	}
}

// compile gives the milliseconds that compiling takes.
func compile(t testing.TB, wasm []byte) float64 {
	t.Helper()
	r := wazero.NewRuntime(t.Context())
	defer r.Close(t.Context())
	begun := time.Now()
	if _, err := r.CompileModule(t.Context(), wasm); err != nil {
		t.Fatal(err)
	}
	return time.Since(begun).Seconds() * 1e3
}
