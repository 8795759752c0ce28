package server_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/tracing/otlptest"
)

// tracedMQTT is a listener of MQTT with a chain of two plugins.
const tracedMQTT = `
loops: 1
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, chain: [guest, guest]}]
plugins: {guest: {file: ../../abi/vectors/v1.0/rust.wasm, config: {messages: continue}, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}}}}
api: {address: ""}
`

// BenchmarkTraces is BenchmarkMQTTSockets with two plugins, and with traces: off, with one
// message of a hundred, and with all, which a receiver in this process takes; and with
// nobody there who takes them, so that only what the loop does for them is left.
func BenchmarkTraces(b *testing.B) {
	for _, name := range []string{"off", "0%", "1%", "100%", "1% to nobody", "100% to nobody"} {
		b.Run(name, func(b *testing.B) {
			config := tracedMQTT
			if sample, nobody, _ := strings.Cut(name, " "); sample != "off" {
				r := otlptest.Start(b)
				if nobody != "" {
					r.Close()
				}
				config += fmt.Sprintf("tracing: {endpoint: %q, sample: %s, rate: 1000000/s}\n", r.URL, sample)
			}
			f := start(b, "auto", config)
			x := newMQTTExchange(f, packet.V5, 0)
			b.ReportAllocs()
			for n := 0; n < b.N; n += exchanged {
				x.round()
			}
			b.StopTimer()
			b.ReportMetric(f.Metric("weft_trace_spans_dropped_total")/float64(b.N), "dropped/op")
		})
	}
}

// Traces that are off, or that chance does not choose, cost no allocation.
func TestUntracedMessagesAllocateNothing(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	for _, sample := range []string{"off", "0%"} {
		config := tracedMQTT
		if sample != "off" {
			config += fmt.Sprintf("tracing: {endpoint: %q, sample: %s}\n", otlptest.Start(t).URL, sample)
		}
		f := start(t, "auto", config)
		x := newMQTTExchange(f, packet.V5, 0)
		for range 50 {
			x.round()
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const rounds = 100
		for range rounds {
			x.round()
		}
		runtime.ReadMemStats(&after)
		if each := float64(after.Mallocs-before.Mallocs) / (rounds * exchanged); each > 0.02 { // ticks and timers
			t.Errorf("%s: %.3f allocations a message", sample, each)
		}
	}
}
