//go:build !race

package engine_test

import (
	"testing"

	"github.com/weftrun/weft/runtime/engine"
)

// TestDatagramAllocations: an echo of datagrams does not allocate.
func TestDatagramAllocations(t *testing.T) {
	r := start(t, engine.Config{Driver: "epoll"}, udp(), echoPackets)
	c := r.dialUDP()
	buf := make([]byte, 2048)
	exchange := func() {
		_, _ = c.Write([]byte("in"))
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	exchange()
	if n := testing.AllocsPerRun(200, exchange); n > 0.5 {
		t.Errorf("%v allocations for each datagram there and back", n)
	}
}
