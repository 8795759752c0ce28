package server_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/datagram"
	"github.com/weftrun/weft/runtime/frame"
)

// BenchmarkDatagrams relays events from one client to another, over TCP in frames of
// length32 and as reliable datagrams; clients and server share the process.
func BenchmarkDatagrams(b *testing.B) {
	for _, size := range []int{128, 1024} {
		for _, proto := range []string{"length32", "mcp-dgram"} {
			b.Run(fmt.Sprintf("%s/%d", proto, size), func(b *testing.B) { benchRelay(b, proto, size) })
		}
	}
}

func benchRelay(b *testing.B, proto string, size int) {
	f := start(b, "auto", fmt.Sprintf(`
loops: 1
listeners:
  - {name: in, address: 127.0.0.1:0, frame: %s, topic: t}
  - {name: out, address: 127.0.0.1:0, frame: %s, subscribe: [t]}
`, proto, proto))
	var in, out net.Conn
	var unit []byte
	if proto == "mcp-dgram" {
		out, in = dialDgram(b, f.address("out"), datagram.Config{}), dialDgram(b, f.address("in"), datagram.Config{})
		unit = datagram.AppendRecord(nil, datagram.Message{Kind: datagram.Event, Payload: make([]byte, size)})
	} else {
		out, in = dialBench(b, f.address("out")), dialBench(b, f.address("in"))
		format, _ := frame.Preset(proto)
		unit, _ = format.Append(nil, &abi.Message{Payload: make([]byte, size)})
	}
	batch := max(32<<10/len(unit), 1)
	var units []byte
	for range batch {
		units = append(units, unit...)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for left := b.N; left > 0; left -= batch {
			if _, err := in.Write(units[:min(left, batch)*len(unit)]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 256<<10)
	for left := b.N * len(unit); left > 0; {
		n, err := out.Read(buf[:min(left, len(buf))])
		if err != nil {
			b.Fatal(err)
		}
		left -= n
	}
	b.StopTimer()
}

func dialBench(b *testing.B, address string) net.Conn {
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return c
}
