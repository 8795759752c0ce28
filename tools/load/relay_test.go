package load_test

import (
	"bufio"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/tools/load"
)

// relay is a small NATS-like server: it hands each PUB on as MSG to every
// connection that subscribed to the subject. Probes it just hands on, when probe, if set,
// has returned: nobody knows how many there are. copies, if set, says how often a message is delivered, by its number
// on the publisher's connection from 0; hold delivers it after the next one; stall keeps
// it for a while. pong is called when a connection answers a ping.
type relay struct {
	ln     net.Listener
	mu     sync.Mutex
	subs   map[string][]*bufio.Writer
	conns  []net.Conn
	group  sync.WaitGroup
	copies func(n int, payload []byte) int
	hold   func(n int, payload []byte) bool
	stall  func(n int, payload []byte) time.Duration
	probe  func(payload []byte)
	pong   func()
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ln: ln, subs: map[string][]*bufio.Writer{}}
	r.group.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, conn)
			r.mu.Unlock()
			r.group.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(r.close)
	return r
}

func (r *relay) close() {
	_ = r.ln.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.group.Wait()
}

func (r *relay) addr() string { return r.ln.Addr().String() }

func (r *relay) serve(conn net.Conn) {
	in, out := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriterSize(conn, 64<<10)
	_, _ = out.WriteString("INFO {}\r\n")
	_ = out.Flush()
	var held []byte
	var heldOn string
	for n := 0; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		switch words[0] {
		case "PING":
			r.mu.Lock()
			_, _ = out.WriteString("PING\r\nPONG\r\n")
			_ = out.Flush()
			r.mu.Unlock()
		case "SUB":
			r.mu.Lock()
			r.subs[words[1]] = append(r.subs[words[1]], out)
			r.mu.Unlock()
		case "PONG":
			if r.pong != nil {
				r.pong()
			}
		case "PUB":
			size, _ := strconv.Atoi(words[2])
			body := make([]byte, size+2)
			for at := 0; at < len(body); {
				m, err := in.Read(body[at:])
				if err != nil {
					return
				}
				at += m
			}
			if load.IsProbe(body[:size]) {
				if r.probe != nil {
					r.probe(body[:size])
				}
				r.deliver(words[1], body)
				break
			}
			copies := 1
			if r.stall != nil {
				time.Sleep(r.stall(n, body[:size])) // the stall is the subject of the test
			}
			if r.copies != nil {
				copies = r.copies(n, body[:size])
			}
			if r.hold != nil && r.hold(n, body[:size]) {
				held, heldOn = body, words[1]
				n++
				continue
			}
			for range copies {
				r.deliver(words[1], body)
			}
			if held != nil {
				r.deliver(heldOn, held)
				held = nil
			}
			n++
		}
		if in.Buffered() == 0 {
			r.flush()
		}
	}
}

// ping asks the subscribers; one that answers has received what was delivered before.
func (r *relay) ping() {
	r.mu.Lock()
	for _, outs := range r.subs {
		for _, out := range outs {
			_, _ = out.WriteString("PING\r\n")
		}
	}
	r.mu.Unlock()
	r.flush()
}

func (r *relay) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, outs := range r.subs {
		for _, out := range outs {
			_ = out.Flush()
		}
	}
}

func (r *relay) deliver(subject string, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, out := range r.subs[subject] {
		_, _ = out.WriteString("MSG " + subject + " 1 " + strconv.Itoa(len(body)-2) + "\r\n")
		_, _ = out.Write(body)
	}
}
