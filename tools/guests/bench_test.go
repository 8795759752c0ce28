package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

// BenchmarkGuest is a hop through plugins that do next to nothing, written on each
// SDK, in batches of 64 messages of 128 bytes: pass leaves the message alone,
// hello writes another topic.
func BenchmarkGuest(b *testing.B) {
	for _, plugin := range []string{"pass", "hello"} {
		for _, language := range []string{"rust", "assemblyscript"} {
			name := plugin + "-" + language
			b.Run(name, func(b *testing.B) { benchmarkGuest(b, name) })
		}
	}
}

func benchmarkGuest(b *testing.B, name string) {
	const size = 64
	wasm, err := os.ReadFile(filepath.Join("testdata", name, name+".wasm"))
	if err != nil {
		b.Fatal(err)
	}
	chain := newChain(b, load(b, wasm, "{}", 1<<20))
	messages := make([]abi.Message, size)
	payloads := make([]byte, size*128)
	for i := range messages {
		messages[i] = abi.Message{
			Session: uint64(i%5 + 1), Topic: []byte("trucks/7/telemetry"), Payload: payloads[i*128 : (i+1)*128],
		}
	}
	batch := &plugins.Batch{}
	run := func() {
		batch.Reset()
		batch.Messages = append(batch.Messages, messages...)
		chain.Messages(batch)
	}
	for range 10 {
		run()
	}
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/message")
	if s := chain.Plugin(0).Stats(); s.Traps+s.Faults > 0 {
		b.Fatalf("%+v", s)
	}
}
