package server_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// TestSwapsUnderTraffic swaps all the while messages pass: each arrives once and in
// its connection's order.
func TestSwapsUnderTraffic(t *testing.T) {
	const senders, swaps = 8, 8
	for _, mode := range []weftv1.RolloutMode{weftv1.RolloutMode_ROLLOUT_MODE_AT_ONCE, weftv1.RolloutMode_ROLLOUT_MODE_CANARY} {
		t.Run(mode.String(), func(t *testing.T) {
			s := open(t, "auto", `"reply one"`, "continue", "frame: mcp-seq, topic: t, chain: [guest], subscribe: [\"t\"]", "frame: mcp-seq, topic: t, chain: [guest]",
				"plugins:\n", "  - {name: out, address: \"127.0.0.1:0\", frame: mcp-seq, topic: u, subscribe: [t], outbox: {size: 16MiB}, heartbeat: {every: 0s, close_after: 0s}}\nplugins:\n",
				"mode: at-once", "mode: at-once, rollback: {latency: 0}")
			out := s.dial("out")
			s.await("weft_subscriptions", 1)
			type result struct {
				count int
				err   error
			}
			window := make(chan struct{}, 500) // of messages under way
			received := make(chan result, 1)
			go func() {
				count, err := out.inOrder(senders, window)
				received <- result{count, err}
			}()
			enough := make(chan struct{})
			var sending sync.WaitGroup
			for id := range senders {
				c := s.dial("seq")
				sending.Go(func() { c.numbered(id, window, enough) })
			}
			for i := range swaps {
				s.swap(&weftv1.PluginsSwapRequest{Wasm: module(t, [2]string{inAssemblyScript, inRust}[i%2]), Mode: mode})
				if mode == weftv1.RolloutMode_ROLLOUT_MODE_CANARY {
					s.must(s.Rollouts().SetWeight(t.Context(), "guest", 50))
					s.must(s.Rollouts().Promote(t.Context(), "guest"))
				}
			}
			close(enough)
			sending.Wait()
			got := <-received
			if got.err != nil {
				t.Fatalf("%v\n%s", got.err, s.log)
			}
			t.Logf("%d messages", got.count)
			if n := s.Metric("weft_plugin_messages_total"); n < float64(got.count) {
				t.Errorf("the plugin is said to have had %v of %d messages", n, got.count)
			}
			if live := s.Metric("weft_plugin_instances"); live != 4 {
				t.Errorf("%v instances live", live)
			}
			if p := s.plugin(); p.Live.Number != swaps+1 || p.Live.Stats.Failed != 0 {
				t.Errorf("it is %v", p)
			}
		})
	}
}

// numbered sends numbered messages until it is enough, and then one that says so.
func (c *client) numbered(id int, window chan<- struct{}, enough <-chan struct{}) {
	for n := 0; n >= 0; n++ {
		select {
		case <-enough:
			n = -2 // the last one: the loop ends behind it
		case window <- struct{}{}:
		}
		b, err := c.format.Append(nil, &abi.Message{Type: abi.TypeEvent, Payload: fmt.Appendf(nil, "%d.%d", id, n)})
		if err == nil {
			_, err = c.Write(b)
		}
		if err != nil {
			c.t.Error(err)
			return
		}
	}
}

// inOrder reads the messages of all senders until each has said that it is enough.
func (c *client) inOrder(senders int, window <-chan struct{}) (count int, err error) {
	next := make([]int, senders)
	for ended := 0; ended < senders; count++ {
		m, err := c.next()
		if err != nil {
			return count, fmt.Errorf("after %v: %w", next, err)
		}
		if m.Type == abi.TypeHeartbeat { // the machine is slow, and weft asks who is there
			count--
			continue
		}
		var id, n int
		if _, err := fmt.Sscanf(string(m.Payload), "%d.%d", &id, &n); err != nil {
			return count, fmt.Errorf("%q: %w", m.Payload, err)
		}
		if n < 0 {
			ended++
			continue
		}
		if n != next[id] {
			return count, fmt.Errorf("%q came, %d of it was expected", m.Payload, next[id])
		}
		next[id]++
		<-window
	}
	return count, nil
}

// TestAnEndDuringSwaps ends the server while generations come and go.
func TestAnEndDuringSwaps(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		for range 3 {
			s := open(t, driver)
			begun := make(chan struct{}, 4)
			var asking sync.WaitGroup
			for k := range 2 {
				asking.Go(func() {
					for i := 0; ; i++ {
						w := module(t, [2]string{inAssemblyScript, inRust}[(i+k)%2])
						mode := weftv1.RolloutMode(1 + i%3)
						_, err := s.Rollouts().Swap(t.Context(), &weftv1.PluginsSwapRequest{Name: "guest", Wasm: w, Mode: mode})
						switch {
						case errors.Is(err, admin.ErrDraining):
							return
						case err != nil:
							t.Errorf("%v", err)
							return
						}
						select {
						case begun <- struct{}{}:
						default:
						}
					}
				})
			}
			for range cap(begun) {
				<-begun
			}
			s.end()
			asking.Wait()
		}
	})
}
