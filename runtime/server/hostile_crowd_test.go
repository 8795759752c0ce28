package server_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd is many clients who each send a few lines now and then, and wait for the answers.
type crowd struct {
	t           *testing.T
	stop        chan struct{}
	clients     sync.WaitGroup
	sent, heard atomic.Uint64

	mu    sync.Mutex
	waits []time.Duration // since the last call of p99
}

const (
	crowdEvery = 250 * time.Millisecond // a client's pause
	crowdLines = 3                      // at once
)

func newCrowd(t *testing.T, f *fixture, listener string, n int) *crowd {
	c := &crowd{t: t, stop: make(chan struct{})}
	for id := range n {
		conn := f.dial(listener)
		c.clients.Go(func() { c.client(conn.Conn, id) })
	}
	t.Cleanup(c.end)
	return c
}

// end lets every client finish its turn, and waits.
func (c *crowd) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.clients.Wait()
}

func (c *crowd) client(conn net.Conn, id int) {
	in := bufio.NewReader(conn)
	pause := time.NewTimer(rand.N(crowdEvery))
	for round := 0; ; round++ {
		select {
		case <-c.stop:
			return
		case <-pause.C:
		}
		pause.Reset(crowdEvery)
		if err := c.exchange(conn, in, id, round); err != nil {
			c.t.Errorf("client %d, round %d: %v", id, round, err)
			return
		}
	}
}

func (c *crowd) exchange(conn net.Conn, in *bufio.Reader, id, round int) error {
	var lines []byte
	for n := range crowdLines {
		lines = fmt.Appendf(lines, "unset %d.%d.%d\n", id, round, n)
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	began := time.Now()
	c.sent.Add(crowdLines)
	if _, err := conn.Write(lines); err != nil {
		return err
	}
	for n := range crowdLines {
		got, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if want := fmt.Sprintf("ACK: unset %d.%d.%d\n", id, round, n); got != want {
			return fmt.Errorf("got %q, expected %q", got, want)
		}
		c.heard.Add(1)
	}
	c.mu.Lock()
	c.waits = append(c.waits, time.Since(began))
	c.mu.Unlock()
	return nil
}

// p99 is that of the exchanges while feed ran.
func (c *crowd) p99(feed func()) time.Duration {
	c.mu.Lock()
	c.waits = c.waits[:0]
	c.mu.Unlock()
	began := time.Now()
	feed()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waits) == 0 {
		return time.Since(began) // the machine stood still, or the loop: then it does so in other rounds too
	}
	slices.Sort(c.waits)
	return c.waits[len(c.waits)*99/100]
}

// What a guest is fed: from so many connections at a time, each of which lives for a
// while only, because a session that brings poison over and over rests by itself.
const (
	feeders   = 4
	feedEvery = 10 * time.Millisecond
	feedLives = 5 // writes of a connection
)

// feed sends lines to a listener, every tenth of them poison to whoever is hostile.
func feed(t *testing.T, f *fixture, listener string, d time.Duration) func() {
	address := ""
	for _, a := range f.Addresses() {
		if a.Name == listener {
			address = a.Addr.String()
		}
	}
	return func() {
		var all sync.WaitGroup
		until := time.Now().Add(d)
		for range feeders {
			all.Go(func() {
				for time.Now().Before(until) {
					if err := feedOnce(address, until); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	}
}

// feedOnce is the life of one connection. It may be closed by the guest.
func feedOnce(address string, until time.Time) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, conn)
	}()
	pace := time.NewTicker(feedEvery)
	defer pace.Stop()
	for n := 0; n < feedLives && time.Now().Before(until); n++ {
		lines := "unset a\nunset b\nunset c\nunset d\n!\nunset e\nunset f\nunset g\nunset h\nunset i\n"
		if _, err := io.WriteString(conn, lines); err != nil {
			break
		}
		<-pace.C
	}
	_ = conn.Close()
	<-drained
	return nil
}
