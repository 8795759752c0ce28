package meter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/weftrun/weft/plugins/meter"
	"github.com/weftrun/weft/plugins/module"
)

// valid asks wazero.
func valid(ctx context.Context, r wazero.Runtime, wasm []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	code, err := r.CompileModule(ctx, wasm)
	if err == nil {
		code.Close(ctx)
	}
	return err
}

// stricter are errors about numbers that wazero takes although the specification
// does not: with a wrong last bit, or written in more bytes than there may be.
var stricter = []string{"a number of more than", "unusual way", "expected one"}

// agree checks that what is invalid stays invalid and what is valid stays valid,
// and that the rewriter refuses no code that wazero takes.
func agree(ctx context.Context, r wazero.Runtime, wasm []byte) (accepted bool, err error) {
	out, report, err := meter.Rewrite(wasm, meter.Options{})
	switch {
	case err == nil && report.NamesLeft:
		return false, nil // wazero refuses damaged names, and believes their counts
	case err == nil:
		// The rewriter has looked at every count: wazero cannot be made to
		// allocate gigabytes.
		before, after := valid(ctx, r, wasm), valid(ctx, r, out)
		if before != nil && strings.HasPrefix(before.Error(), "failed to read custom section") {
			return false, nil // wazero stumbles over an empty one at the very end
		}
		if (before == nil) != (after == nil) {
			return false, fmt.Errorf("the module: %q; rewritten: %q", firstLine(before), firstLine(after))
		}
		return before == nil, nil
	case errors.Is(err, meter.ErrUnsupported), errors.Is(err, meter.ErrTooComplex):
		return false, nil
	case !errors.Is(err, meter.ErrMalformed):
		return false, fmt.Errorf("an error that wraps nothing: %w", err)
	case !strings.Contains(err.Error(), ": code,"):
		return false, nil // wazero may believe a count
	}
	for _, strict := range stricter {
		if strings.Contains(err.Error(), strict) {
			return false, nil
		}
	}
	if valid(ctx, r, wasm) == nil {
		return false, fmt.Errorf("wazero takes what the rewriter refuses: %w", err)
	}
	return false, nil
}

// TestMutated: damaged modules are refused as before, or stay what they were.
func TestMutated(t *testing.T) {
	var tried, accepted atomic.Int64
	both(t, modules(t)/4, func(ctx context.Context, r wazero.Runtime, seed uint64) error {
		rnd := rand.New(rand.NewPCG(seed, 2))
		wasm := generate(seed).plain
		m, err := module.Parse(wasm)
		if err != nil {
			return err
		}
		for range 12 {
			damaged := slices.Clone(wasm)
			for range 1 + rnd.IntN(2) {
				body := m.Bodies[rnd.IntN(len(m.Bodies))]
				at := body.Start + rnd.IntN(body.End-body.Start)
				if rnd.IntN(6) == 0 {
					at = 8 + rnd.IntN(len(wasm)-8)
				}
				switch rnd.IntN(3) {
				case 0:
					damaged[at] ^= 1 << rnd.IntN(8)
				case 1:
					damaged[at] = byte(rnd.Uint32())
				case 2:
					damaged[at] = byte(rnd.IntN(24))
				}
			}
			ok, err := agree(ctx, r, damaged)
			if err != nil {
				return err
			}
			tried.Add(1)
			if ok {
				accepted.Add(1)
			}
		}
		return nil
	})
	t.Logf("%d damaged modules, %d of them valid", tried.Load(), accepted.Load())
	if accepted.Load() == 0 || accepted.Load() == tried.Load() {
		t.Error("the damage is too great or too small to test anything")
	}
}
