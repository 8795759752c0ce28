package clients

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay passes connections on, until it cuts them.
type relay struct {
	ln    net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ln: ln}
	go func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, from, there)
			r.mu.Unlock()
			go pass(from, there)
			go pass(there, from)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		r.cut()
	})
	return r
}

func pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	_ = from.Close()
	_ = to.Close()
}

func (r *relay) address() string { return r.ln.Addr().String() }

// cut ends every connection in the middle of what it carries.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}
