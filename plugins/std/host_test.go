package std_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/std"
)

// now is what the clock of every test says, in seconds since 1970.
const now = 1_700_000_000

// compiled is where the tests share what they have compiled.
var compiled string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weft-std-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	compiled = dir
	return m.Run()
}

// stage is one plugin, or several, on the real host.
type stage struct {
	tb    testing.TB
	env   *plugins.Env
	chain *plugins.Chain
	batch plugins.Batch
}

// still is a clock that stands: messages have the time that plugins read from the host.
type still struct{}

func (still) Wall() int64      { return now * 1e9 }
func (still) Monotonic() int64 { return now * 1e9 }

// use is a plugin of a stage.
type use struct {
	name, config string
	noClock      bool
}

func newStage(tb testing.TB, uses ...use) *stage {
	tb.Helper()
	s := &stage{tb: tb, env: newEnv(tb)}
	var loaded []*plugins.Plugin
	for _, u := range uses {
		p, err := load(tb, s.env, u)
		if err != nil {
			tb.Fatal(err)
		}
		loaded = append(loaded, p)
	}
	s.chain = newChain(tb, loaded)
	return s
}

func newChain(tb testing.TB, loaded []*plugins.Plugin) *plugins.Chain {
	tb.Helper()
	chain, err := plugins.NewChain(tb.Context(), []string{"trucks", "lines"}, loaded...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { chain.Close(tb.Context()) })
	return chain
}

// again is another chain of the same plugins, as another loop has it.
func (s *stage) again() *stage {
	s.tb.Helper()
	var loaded []*plugins.Plugin
	for i := range s.chain.Len() {
		loaded = append(loaded, s.chain.Plugin(i))
	}
	return &stage{tb: s.tb, env: s.env, chain: newChain(s.tb, loaded)}
}

func newEnv(tb testing.TB) *plugins.Env {
	tb.Helper()
	env, err := plugins.NewEnv(plugins.EnvConfig{CacheDir: compiled, Clock: still{}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := env.Close(tb.Context()); err != nil {
			tb.Error(err)
		}
	})
	return env
}

func load(tb testing.TB, env *plugins.Env, u use) (*plugins.Plugin, error) {
	tb.Helper()
	wasm, err := std.Open(u.name)
	if err != nil {
		tb.Fatal(err)
	}
	// What a message may cost the cases say; here it is about answers.
	spec := plugins.Spec{Name: u.name, Wasm: wasm, Config: json.RawMessage(u.config), CPU: 10 * time.Millisecond}
	spec.Grants.Publish = &hostfuncs.PublishGrant{Topics: []string{"#"}}
	spec.Grants.Subscribe = &hostfuncs.SubscribeGrant{Topics: []string{"#"}}
	if !u.noClock {
		spec.Grants.Clock = &hostfuncs.ClockGrant{}
	}
	if u.name == "rate-limit" || u.name == "modbus-registers" {
		spec.Grants.KV = &hostfuncs.KVGrant{Namespace: u.name}
	}
	return env.Load(tb.Context(), spec)
}

// run passes messages as one batch. A plugin that trapped or broke the contract
// fails the test.
func (s *stage) run(messages ...abi.Message) *plugins.Batch {
	s.tb.Helper()
	s.batch.Reset()
	for _, m := range messages {
		if m.Time == 0 {
			m.Time = now * 1e9
		}
		s.batch.Messages = append(s.batch.Messages, m)
	}
	s.chain.Messages(&s.batch)
	for i := range s.chain.Len() {
		if st := s.chain.Plugin(i).Stats(); st.Traps+st.Faults > 0 {
			s.tb.Fatalf("%s failed: %+v", s.chain.Plugin(i).Name(), st)
		}
	}
	return &s.batch
}

// attrs makes a block of names and values.
func attrs(pairs ...string) abi.Attributes {
	var a abi.Attributes
	for i := 0; i < len(pairs); i += 2 {
		a = a.AppendString(pairs[i], pairs[i+1])
	}
	return a
}

// pairsOf lists a block's names and values.
func pairsOf(a abi.Attributes) map[string]string {
	pairs := map[string]string{}
	for name, value := range a.All() {
		pairs[string(name)] = string(value)
	}
	return pairs
}
