package plugins_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// compilesOf tells how many plugins were compiled, and how many took what was there.
func compilesOf(env *plugins.Env) (compiled, shared uint64) {
	c, shared := env.Compiled()
	return c.Child + c.Process + c.Cache, shared
}

// TestGenerationsShareAProgram: a binary is compiled once, whatever it is loaded with;
// with another bound of its memory it is another program.
func TestGenerationsShareAProgram(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	guest := renames(0)
	a := load(t, env, guest, plugins.Spec{})
	b := load(t, env, guest, plugins.Spec{Config: []byte(`{"a":1}`)})
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	batch := messages("x")
	newChain(t, b).Messages(batch)
	if got := batch.Outcomes[0].Verdict; got == abi.VerdictDrop {
		t.Errorf("the second is gone with the first: %v", got)
	}
	load(t, env, guest, plugins.Spec{Memory: 8 << 20})
	if compiled, shared := compilesOf(env); compiled != 2 || shared != 1 {
		t.Errorf("%d compiled, %d shared", compiled, shared)
	}
	if b.SHA256() != a.SHA256() || b.Metering() != a.Metering() {
		t.Error("the same binary is described differently")
	}
}

// TestWhatIsSharedHasItsOwnFunctions: two plugins of one binary have each their own
// grants, at the same time and on the same runtime.
func TestWhatIsSharedHasItsOwnFunctions(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	guest := calls(
		hostCall{name: "kv_get", sig: "iiii:I", args: i(textAt, 3, 0, 0)},
		hostCall{name: "kv_set", sig: "iiiiI:i", args: []any{int32(textAt), int32(3), int32(textAt + 4), int32(5), int64(0)}},
	)
	answers := func(namespace string) int64 {
		t.Helper()
		p := load(t, env, guest, plugins.Spec{Name: namespace, Grants: hostfuncs.Grants{KV: &hostfuncs.KVGrant{Namespace: namespace, Size: 4096}}, CPU: plugins.MaxCPU})
		c, b := newChain(t, p), messages("x")
		c.Messages(b)
		if len(b.Outcomes[0].Out) != 16 {
			t.Fatalf("%s: %+v", namespace, b.Outcomes[0])
		}
		return int64(binary.LittleEndian.Uint64(b.Outcomes[0].Out))
	}
	first, other, again := answers("one"), answers("two"), answers("one")
	if first != other || again == first {
		t.Errorf("a key that another namespace has: %d, before %d; that this one has: %d", other, first, again)
	}
	if _, shared := compilesOf(env); shared != 2 {
		t.Errorf("%d shared", shared)
	}
	// What one is granted is not granted to the next.
	if _, err := env.Load(t.Context(), plugins.Spec{Name: "none", Wasm: guest.Bytes()}); err == nil {
		t.Error("a plugin without kv has it of another one")
	}
}

// TestIdleProgramsAreBounded: of binaries that nobody uses, a few are kept.
func TestIdleProgramsAreBounded(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	guest := func(n int) *wasmtest.Module { return renames(0).Custom("n", fmt.Appendf(nil, "%d", n)) }
	for n := range 20 {
		if err := load(t, env, guest(n), plugins.Spec{}).Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	load(t, env, guest(19), plugins.Spec{})
	load(t, env, guest(0), plugins.Spec{})
	if compiled, shared := compilesOf(env); compiled != 21 || shared != 1 {
		t.Errorf("%d compiled, %d shared", compiled, shared)
	}
}

// TestProgramsAtOnce: who loads, runs and closes does not wait for others, and nobody
// closes what somebody has.
func TestProgramsAtOnce(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for k := range 15 {
				p, err := env.Load(t.Context(), plugins.Spec{Name: "guest", Wasm: renames(0).Custom("n", fmt.Appendf(nil, "%d", (n*k)%12)).Bytes()})
				if err != nil {
					t.Error(err)
					return
				}
				c, err := plugins.NewChain(t.Context(), nil, p)
				if err != nil {
					t.Error(err)
					return
				}
				b := messages("x")
				c.Messages(b)
				if b.Outcomes[0].Cause != plugins.CauseNone {
					t.Errorf("%+v", b.Outcomes[0])
				}
				c.Close(t.Context())
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
