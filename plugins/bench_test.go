package plugins_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

func newEnv(tb testing.TB, cfg plugins.EnvConfig) *plugins.Env {
	tb.Helper()
	env, err := plugins.NewEnv(cfg)
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

// load loads a module that must be accepted.
func load(tb testing.TB, env *plugins.Env, m *wasmtest.Module, spec plugins.Spec) *plugins.Plugin {
	tb.Helper()
	spec.Wasm = m.Bytes()
	if spec.Name == "" {
		spec.Name = "guest"
	}
	p, err := env.Load(tb.Context(), spec)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func newChain(tb testing.TB, ps ...*plugins.Plugin) *plugins.Chain {
	tb.Helper()
	c, err := plugins.NewChain(tb.Context(), []string{"trucks", "lines"}, ps...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close(tb.Context()) })
	return c
}

// frames fills a batch with n messages whose payloads lie in one array with
// headers between them, as frames cut from a socket do.
func frames(b *plugins.Batch, array []byte, n, size int, topic []byte) {
	const header = 9
	for i := range n {
		at := i * (header + size)
		b.Messages = append(b.Messages, abi.Message{
			Session: 7, Seq: uint64(i), Topic: topic, Frame: array[at : at+header+size], Payload: array[at+header : at+header+size : at+header+size],
		})
	}
}

func BenchmarkHop(b *testing.B) {
	env := newEnv(b, plugins.EnvConfig{})
	none := wasmtest.New()
	none.Export(abi.ExportNeeds, wasmtest.Sig(":I"), wasmtest.I64(int64(abi.NeedHooks)))
	clocked := plugins.Spec{Grants: hostfuncs.Grants{Clock: &hostfuncs.ClockGrant{}}}
	for _, guest := range []struct {
		name   string
		module *wasmtest.Module
	}{
		{"empty", wasmtest.New()},
		{"needs-nothing", none},
		{"drops-all", wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, 1)))},
		{"payload-in-place", wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedPayload))))},
	} {
		p := load(b, env, guest.module, clocked)
		chain := newChain(b, p)
		for _, size := range []int{128, 1024} {
			for _, n := range []int{1, 16, 64, 512} {
				b.Run(fmt.Sprintf("%s/%dB/batch=%d", guest.name, size, n), func(b *testing.B) {
					array := bytes.Repeat([]byte{'x'}, (size+9)*n)
					topic := []byte("raw/trucks")
					var batch plugins.Batch
					frames(&batch, array, n, size, topic)
					messages := append([]abi.Message(nil), batch.Messages...)
					b.ReportAllocs()
					for b.Loop() {
						batch.Reset()
						batch.Messages = append(batch.Messages, messages...)
						chain.Messages(&batch)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
				})
			}
		}
	}
}

// BenchmarkRebuild is what replacing a failed instance costs.
func BenchmarkRebuild(b *testing.B) {
	env := newEnv(b, plugins.EnvConfig{})
	p := load(b, env, wasmtest.New(), plugins.Spec{})
	b.ReportAllocs()
	for b.Loop() {
		chain, err := plugins.NewChain(b.Context(), nil, p)
		if err != nil {
			b.Fatal(err)
		}
		var batch plugins.Batch
		batch.Messages = []abi.Message{{Session: 1, Payload: []byte("x")}}
		chain.Messages(&batch)
		chain.Close(b.Context())
	}
}
