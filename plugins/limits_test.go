package plugins_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// TestLargestMemory: a guest that takes all memory there is gets its messages as
// before; it has one page less than there are numbers for.
func TestLargestMemory(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	left := wasmtest.Code([]byte{0x3f, 0, 0x6b, 0x40, 0}) // memory.size, i32.sub, memory.grow
	for pages, refuse := range map[int32]bool{1 << 16: true, 1<<16 - 1: false} {
		grow := wasmtest.Code(wasmtest.I32(pages), left, wasmtest.I32(0), []byte{0x48}, // is it negative?
			[]byte{0x04, 0x40}, wasmtest.PutSpan(abi.RecordOut, 0, 1), wasmtest.Put32(abi.RecordVerdict, 1), []byte{0x0b})
		p := load(t, env, onFirst('!', grow), plugins.Spec{Memory: plugins.MaxMemory, CPU: 100e6})
		c := newChain(t, p)
		b := messages("!", "x")
		c.Messages(b)
		if s := p.Stats(); s.Traps+s.Faults > 0 {
			t.Errorf("%d pages: %+v", pages, s)
		}
		refused := b.Outcomes[0].Verdict == abi.VerdictDrop
		if refused != refuse || b.Outcomes[1].Verdict != abi.VerdictContinue {
			t.Errorf("%d pages: %s", pages, describe(b))
		}
	}
}

// TestRefusedLoadsLeaveNothing: the code of a plugin that compiles and then does not
// start is not kept, however often somebody tries.
func TestRefusedLoadsLeaveNothing(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	before := executable()
	for i := range 200 {
		guest := wasmtest.New().Export(abi.ExportInitialize, abi.Signature{}, wasmtest.Unreachable).Data(textAt, fmt.Append(nil, i))
		if _, err := env.Load(t.Context(), plugins.Spec{Name: "guest", Wasm: guest.Bytes()}); !errors.Is(err, plugins.ErrTrap) {
			t.Fatalf("%v", err)
		}
	}
	const most = 200 << 10 // of some MiB
	var left uint64
	for range 100 {
		runtime.GC() // code is unmapped by finalizers
		if left = executable(); left < before+most {
			return
		}
	}
	t.Errorf("%d bytes of code are left", left-before)
}
