package ports_test

import (
	"fmt"
	"net"
	"runtime"
	"testing"

	"github.com/weftrun/weft/runtime/ports"
)

// TestReserve: servers follow one another on a reserved port, and who asks for any port
// does not get it, whether to listen or to connect from.
func TestReserve(t *testing.T) {
	port, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	at := fmt.Sprintf("127.0.0.1:%d", port)
	for range 3 {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		_ = l.Close()
		if c, err := net.Dial("tcp", at); err == nil {
			_ = c.Close()
			t.Error("somebody accepts where nobody listens")
		}
	}
	release()
	release()
}

// TestReserved: of many reserved ports, none is given to anybody else.
func TestReserved(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("ports are held on Linux alone")
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	const many = 500
	mine := map[int]bool{}
	for range many {
		port, release, err := ports.Reserve()
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if mine[port] {
			t.Fatalf("port %d was reserved twice", port)
		}
		mine[port] = true
	}
	for range many {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if port := l.Addr().(*net.TCPAddr).Port; mine[port] {
			t.Errorf("port %d is reserved, and another listens on it", port)
		}
		c, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if port := c.LocalAddr().(*net.TCPAddr).Port; mine[port] {
			t.Errorf("port %d is reserved, and another connects from it", port)
		}
	}
}
