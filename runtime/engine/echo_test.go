package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/weftrun/weft/runtime/engine"
)

// TestEchoSplits sends frames of all sizes in random pieces over connections that
// come and go: each comes back once, in order.
func TestEchoSplits(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		for _, loops := range []int{1, 3} {
			t.Run(fmt.Sprint(loops), func(t *testing.T) {
				r := start(t, engine.Config{Driver: driver, Loops: loops, TurnBytes: 128 << 10}, engine.Listener{}, echo)
				var clients sync.WaitGroup
				for i := range 40 {
					clients.Go(func() {
						if err := echoClient(r, rand.New(rand.NewPCG(uint64(i), 7))); err != nil {
							t.Errorf("client %d: %v", i, err)
						}
					})
				}
				clients.Wait()
			})
		}
	})
}

func echoClient(r *running, rnd *rand.Rand) error {
	for range 2 {
		c, err := net.Dial("tcp", r.Addrs()[0].String())
		if err != nil {
			return err
		}
		if err := echoOnce(c, rnd); err != nil {
			return errors.Join(err, c.Close())
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

func echoOnce(c net.Conn, rnd *rand.Rand) error {
	var stream []byte
	var want [][]byte
	for i := range 60 {
		n := rnd.IntN(200)
		if i%20 == 7 {
			n = rnd.IntN(300_000)
		}
		p := bytes.Repeat([]byte{byte(i)}, n)
		want = append(want, p)
		stream = append(stream, frame(p)...)
	}
	sent := make(chan error, 1)
	go func() {
		for len(stream) > 0 {
			n := min(1+rnd.IntN(1+rnd.IntN(20_000)), len(stream))
			if _, err := c.Write(stream[:n]); err != nil {
				sent <- err
				return
			}
			stream = stream[n:]
		}
		sent <- nil
	}()
	in := buffered(c)
	for i, w := range want {
		got, err := readFrame(in)
		if err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		if !bytes.Equal(got, w) {
			return fmt.Errorf("frame %d: %d bytes of %v, want %d", i, len(got), got[:min(len(got), 4)], len(w))
		}
	}
	return <-sent
}

// TestLargeUnit sends one frame of 16 MiB and expects it whole.
func TestLargeUnit(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := start(t, engine.Config{Driver: driver}, engine.Listener{MaxUnit: 17 << 20}, echo)
		c := r.dial()
		want := make([]byte, 16<<20)
		for i := range want {
			want[i] = byte(i * i >> 3)
		}
		go func() { _, _ = c.Write(frame(want)) }()
		got, err := readFrame(buffered(c))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}
