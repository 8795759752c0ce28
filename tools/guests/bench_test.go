package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/weftrun/weft/abi"
)

// BenchmarkGuest is what a message costs in the guest: batches of 64 messages of
// 128 bytes, with the call and without the host's copying. The records are made
// once; those that were changed are set back for every batch.
func BenchmarkGuest(b *testing.B) {
	for _, plugin := range []string{"pass", "hello"} {
		for _, language := range []string{"rust", "assemblyscript", "go"} {
			name := plugin + "-" + language
			b.Run(name, func(b *testing.B) { benchmarkGuest(b, name) })
		}
	}
}

func benchmarkGuest(b *testing.B, name string) {
	const batch, payload, topic = 64, 128, "trucks/7/telemetry"
	wasm, err := os.ReadFile(filepath.Join("testdata", name, name+".wasm"))
	if err != nil {
		b.Skip(err)
	}
	ctx := b.Context()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	m, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		b.Fatal(err)
	}
	call := func(f api.Function, args ...uint64) uint64 {
		out, err := f.Call(ctx, args...)
		if err != nil {
			b.Fatal(err)
		}
		return out[0]
	}
	size := uint32(batch * (abi.RecordSize + payload + len(topic)))
	at := uint32(call(m.ExportedFunction(abi.ExportBuffer), uint64(size)))
	m.Memory().Write(at, []byte("{}"))
	if e := call(m.ExportedFunction(abi.ExportInit), uint64(at), 2); e != 0 {
		b.Fatal("init failed")
	}
	at = uint32(call(m.ExportedFunction(abi.ExportBuffer), uint64(size)))
	records := make([]byte, size)
	free := uint32(batch * abi.RecordSize)
	span := func(record []byte, field int, length uint32) {
		binary.LittleEndian.PutUint32(record[field:], at+free)
		binary.LittleEndian.PutUint32(record[field+4:], length)
		free += length
	}
	for i := range batch {
		record := records[i*abi.RecordSize:]
		record[0] = byte(abi.HookMessages)
		record[abi.RecordSession] = byte(i%5 + 1)
		copy(records[free:], topic)
		span(record, abi.RecordTopic, uint32(len(topic)))
		span(record, abi.RecordPayload, payload)
	}
	f := m.ExportedFunction(abi.ExportOnMessages)
	stack := make([]uint64, 2)
	run := func() {
		m.Memory().Write(at, records)
		stack[0], stack[1] = uint64(at), batch
		if err := f.CallWithStack(ctx, stack); err != nil || stack[0] != batch {
			b.Fatal(err, stack[0])
		}
	}
	run()
	pages := m.Memory().Size()
	b.ReportAllocs()
	for range b.N {
		run()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/message")
	if grown := m.Memory().Size() - pages; grown > 4<<20 {
		b.Fatalf("the memory grew by %d bytes", grown)
	}
}
