package meter_test

import (
	"context"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"

	. "github.com/weftrun/weft/plugins/internal/wasmtest"
)

// FuzzRewrite: whatever the bytes are, the rewriter does not panic, and what it
// lets pass is valid exactly if it was valid before.
func FuzzRewrite(f *testing.F) {
	for seed := range uint64(6) {
		f.Add(generate(seed).plain)
	}
	f.Add(New().Bytes())
	for _, file := range []string{"guests/mix.wasm"} {
		wasm, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wasm)
	}
	// The interpreter checks the same and compiles less.
	r := wazero.NewRuntimeWithConfig(context.Background(), wazero.NewRuntimeConfigInterpreter())
	f.Cleanup(func() { r.Close(context.Background()) })
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if _, err := agree(t.Context(), r, wasm); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzGenerated is TestGenerated with seeds that the fuzzer chooses.
func FuzzGenerated(f *testing.F) {
	f.Add(uint64(1 << 40))
	r, err := newHost(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.Close(context.Background()) })
	f.Fuzz(func(t *testing.T, seed uint64) {
		var sum tally
		if err := compare(t.Context(), r, generate(seed), &sum); err != nil {
			t.Fatal(err)
		}
	})
}
