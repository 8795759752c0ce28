package plugins_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// TestLargestMemory: a guest that takes all memory there is gets its messages as
// before; it has one page less than there are numbers for.
func TestLargestMemory(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{FuelPerMicrosecond: 8000})
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
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		runtime.GC() // code is unmapped by finalizers
		if left = executable(); left < before+most {
			return
		}
	}
	t.Errorf("%d bytes of code are left", left-before)
}

// TestReadingStopsWhereFuelDoes: a guest whose answers cannot be paid for does not
// have all of them checked first. The fault in the last one is not reached.
func TestReadingStopsWhereFuelDoes(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{FuelPerMicrosecond: 5000})
	const block, at = 65530, 1 << 19
	guest := wasmtest.New()
	guest.MemoryMin = 20
	guest.Data(at, bytes.Repeat([]byte("\x01\x00\x00\x00a"), block/5)).Hook(abi.ExportOnMessages, wasmtest.EachRecord(
		wasmtest.PutSpan(abi.RecordAttrs, at, block), wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedAttrs)),
		wasmtest.WhenFirstByte('!', wasmtest.Put32(abi.RecordVerdict, 99)),
	))
	p := load(t, env, guest, plugins.Spec{})
	c := newChain(t, p)
	list := slices.Repeat([]string{"x"}, 300)
	list[299] = "!"
	b := ofSessions(messages(list...))
	c.Messages(b)
	// The batch fails for its fuel; run again one by one, the last message is at fault.
	if s := p.Stats(); s.FuelTraps != 1 || s.Faults != 1 || b.Outcomes[298].Cause != plugins.CauseNone || b.Outcomes[299].Cause != plugins.CauseFault {
		t.Errorf("%+v; %v, %v", s, b.Outcomes[298].Cause, b.Outcomes[299].Cause)
	}
}
