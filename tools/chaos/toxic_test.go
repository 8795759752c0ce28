package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// TestProxy sends bytes there and back through every fault: what comes is always
// the beginning of what was sent, and all of it where the fault only delays.
func TestProxy(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p, err := newProxy(echo.Addr().String(), rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 500)
	var all sync.WaitGroup
	for range 25 {
		c, err := net.Dial("tcp", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() { _, _ = c.Write(sent) })
		all.Go(func() {
			defer c.Close()
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			got := make([]byte, len(sent))
			n, err := io.ReadFull(c, got)
			if !bytes.Equal(got[:n], sent[:n]) {
				t.Error("other bytes than were sent")
			}
			if idle(err) {
				t.Errorf("%d bytes after 20 s", n)
			}
		})
	}
	all.Wait()
	p.heal()
	if name, _, _ := p.draw(); name != "none" {
		t.Errorf("%s after healing", name)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if len(p.counts) != 5 {
		t.Errorf("faults drawn: %v", p.counts)
	}
}
