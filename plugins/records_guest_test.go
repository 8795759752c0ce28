package plugins_test

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/abi/vectors"
	"github.com/weftrun/weft/hostfuncs"
)

// TestRecordsAnswered: every conformance guest answers the golden records as they
// say. The guests are called as somebody would call them who has no weft.
func TestRecordsAnswered(t *testing.T) {
	all := records(t)
	eachBareGuest(t, func(t *testing.T, instance func(*testing.T) *bareGuest) {
		for _, r := range all {
			t.Run(r.Name, func(t *testing.T) {
				g := instance(t)
				g.init(string(r.Config))
				if needs := g.call(abi.ExportNeeds); needs != uint64(r.Needs) {
					t.Errorf("weft_needs answered 0x%x, expected 0x%x", needs, uint64(r.Needs))
				}
				g.compare(r)
			})
		}
	})
}

// TestSnapshot: state goes from one instance to the next, and state that is none
// is refused with a text.
func TestSnapshot(t *testing.T) {
	eachBareGuest(t, func(t *testing.T, instance func(*testing.T) *bareGuest) {
		counting := `{"messages":"count"}`
		g := instance(t)
		g.init(counting)
		if state := g.unpack(g.call(abi.ExportSnapshot)); state != "0" {
			t.Errorf("a new instance's state is %q", state)
		}
		if failure := g.restore("41"); failure != "" {
			t.Fatal(failure)
		}
		one := vectors.Record{
			Input: vectors.Image{At: 1 << 16, Records: []vectors.Bytes{make([]byte, abi.RecordSize)}},
		}
		one.Input.Records[0][abi.RecordHook] = byte(abi.HookMessages)
		if got := g.answers(one); got[0] != `reply "count 42\n" changes 0` {
			t.Errorf("after restoring: %s", got[0])
		}
		if state := g.unpack(g.call(abi.ExportSnapshot)); state != "42" {
			t.Errorf("the state is %q", state)
		}
		for _, state := range []string{"", "x", "1 ", "-1", "1234567890123456789"} {
			g := instance(t)
			g.init(counting)
			if failure := g.restore(state); failure != "not a count" {
				t.Errorf("state %q: %q", state, failure)
			}
		}
	})
}

// eachBareGuest runs test with a maker of instances of each guest.
func eachBareGuest(t *testing.T, test func(*testing.T, func(*testing.T) *bareGuest)) {
	t.Helper()
	guests, err := vectors.Guests()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range guests {
		t.Run(g.Version+"/"+g.Language, func(t *testing.T) {
			ctx := hostfuncs.WithStdio(t.Context())
			rt := wazero.NewRuntime(ctx)
			t.Cleanup(func() { rt.Close(context.WithoutCancel(ctx)) })
			grants := allGrants("n")
			grants.Filter = &hostfuncs.FilterGrant{}
			host, err := hostfuncs.New(hostfuncs.Config{Plugin: "guest", Grants: grants, KV: hostfuncs.NewKV(nil), HTTP: hostfuncs.NewHTTPTransport(), Filter: hostfuncs.NewFilter(nil, nil)})
			if err != nil {
				t.Fatal(err)
			}
			functions, err := host.Register(ctx, rt)
			if err != nil {
				t.Fatal(err)
			}
			ctx = functions.With(ctx)
			code, err := rt.CompileModule(ctx, g.Wasm)
			if err != nil {
				t.Fatal(err)
			}
			test(t, func(t *testing.T) *bareGuest {
				m, err := rt.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithName("").WithStartFunctions(abi.ExportInitialize))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { m.Close(context.WithoutCancel(ctx)) })
				return &bareGuest{t, ctx, m}
			})
		})
	}
}

// bareGuest is an instance without a host around it.
type bareGuest struct {
	*testing.T
	ctx    context.Context
	module api.Module
}

func (g *bareGuest) call(name string, args ...uint64) uint64 {
	g.Helper()
	f := g.module.ExportedFunction(name)
	if f == nil {
		g.Fatalf("%s is not exported", name)
	}
	out, err := f.Call(g.ctx, args...)
	if err != nil {
		g.Fatalf("%s: %v", name, err)
	}
	return out[0]
}

// put writes bytes into a buffer of the guest's.
func (g *bareGuest) put(b []byte) uint32 {
	g.Helper()
	at := uint32(g.call(abi.ExportBuffer, uint64(max(len(b), 8))))
	if at == 0 || at%8 != 0 || !g.module.Memory().Write(at, b) {
		g.Fatalf("weft_buffer(%d) answered 0x%x", len(b), at)
	}
	return at
}

func (g *bareGuest) init(config string) {
	g.Helper()
	if config == "" {
		config = "{}"
	}
	at := g.put([]byte(config))
	if failure := g.unpack(g.call(abi.ExportInit, uint64(at), uint64(len(config)))); failure != "" {
		g.Fatal(failure)
	}
}

func (g *bareGuest) restore(state string) string {
	g.Helper()
	at := g.put([]byte(state))
	return g.unpack(g.call(abi.ExportRestore, uint64(at), uint64(len(state))))
}

// unpack is what a packed span points to.
func (g *bareGuest) unpack(span uint64) string {
	g.Helper()
	b, ok := g.module.Memory().Read(uint32(span>>32), uint32(span))
	if !ok {
		g.Fatalf("the packed span 0x%x lies outside", span)
	}
	return string(b)
}

// answers hands the record's input to the guest, at the place that the guest
// gives for it, and describes what it answered.
func (g *bareGuest) answers(r vectors.Record) []string {
	g.Helper()
	input := inputImage(r)
	count := len(r.Input.Records)
	at := uint32(g.call(abi.ExportBuffer, uint64(len(input.bytes))))
	for i := range count {
		record := input.bytes[i*abi.RecordSize:]
		for _, offset := range []int{abi.RecordTopic, abi.RecordAttrs, abi.RecordContext, abi.RecordPayload, abi.RecordListener, abi.RecordAnswer} {
			if le.Uint32(record[offset+4:]) > 0 {
				le.PutUint32(record[offset:], le.Uint32(record[offset:])-r.Input.At+at)
			}
		}
	}
	if !g.module.Memory().Write(at, input.bytes) {
		g.Fatalf("weft_buffer(%d) answered 0x%x", len(input.bytes), at)
	}
	if n := g.call(abi.HookExport(hookOf(r)), uint64(at), uint64(count)); uint32(n) != uint32(count) {
		g.Fatalf("%d records of %d were answered", uint32(n), count)
	}
	memory, _ := g.module.Memory().Read(0, g.module.Memory().Size())
	var described []string
	for i := range count {
		described = append(described, image{0, memory}.answer(memory[at+uint32(i)*abi.RecordSize:][:abi.RecordSize]))
	}
	return described
}

// compare compares what the guest answers with what the golden record says.
func (g *bareGuest) compare(r vectors.Record) {
	g.Helper()
	for i, got := range g.answers(r) {
		want := goldenAnswer(r, r.Answer.Records[i])
		if got != want {
			g.Errorf("record %d:\n     got %s\nexpected %s", i, got, want)
		}
	}
}

// goldenAnswer describes an answer of the file: its spans point to the answer's
// bytes.
func goldenAnswer(r vectors.Record, record []byte) string {
	return image{r.Answer.At, r.Answer.Bytes}.answer(record)
}
