package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
)

// interrupts are the signals that ask this process to end. The first one asks for an
// orderly end. The second one ends the process at once, as a program does that does not
// catch it, unless the command has said that it wants to hear of it; then the third one
// does.
type interrupts struct {
	second  chan struct{} // closed when the second one has come
	claimed atomic.Bool
}

// catch begins to catch signals. The context that it returns ends with the first one, or
// with release, which gives everything back.
func catch(parent context.Context) (ctx context.Context, i *interrupts, release func()) {
	ctx, cancel := context.WithCancel(parent)
	i = &interrupts{second: make(chan struct{})}
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() {
		defer signal.Stop(caught)
		select {
		case <-caught:
		case <-done:
			return
		}
		cancel()
		if !i.claimed.Load() {
			return
		}
		select {
		case <-caught:
			close(i.second)
		case <-done:
		}
	})
	return ctx, i, func() {
		cancel()
		close(done)
		listening.Wait()
	}
}

// again is closed when a second signal has come. Who calls it must do so before the
// first one may come, and ends then.
func (i *interrupts) again() <-chan struct{} {
	if i == nil { // a test without signals
		return nil
	}
	i.claimed.Store(true)
	return i.second
}
