package engine_test

import (
	"net"
	"testing"

	"github.com/weftrun/weft/runtime/engine"
)

// TestGateLinks: the interface is told where that is wanted, beside datagrams that the
// kernel has put together.
func TestGateLinks(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip("SKIPPED: no interface is called lo: ", err)
	}
	g, handler := newGate()
	ln := udp()
	ln.Links = true
	r := start(t, engine.Config{Driver: "epoll"}, ln, handler)
	c := r.dialUDP()
	for range 20 {
		say(t, c, "in", "in")
	}
	if n := g.link.Load(); n != int64(lo.Index) {
		t.Errorf("interface %d, expected %d", n, lo.Index)
	}
}
