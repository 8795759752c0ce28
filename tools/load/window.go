package load

import (
	"sync/atomic"
)

// window bounds the deliveries in flight over all publishers. Publishers add
// what they send, subscribers what they received.
type window struct {
	limit    int64
	sent     atomic.Int64
	received atomic.Int64
	waiting  atomic.Int32
	wake     []chan struct{} // one a publisher, capacity 1
}

func newWindow(limit, publishers int) *window {
	w := &window{limit: int64(limit), wake: make([]chan struct{}, publishers)}
	for i := range w.wake {
		w.wake[i] = make(chan struct{}, 1)
	}
	return w
}

// free is how many deliveries may be sent now.
func (w *window) free() int64 { return w.limit - (w.sent.Load() - w.received.Load()) }

// wait blocks publisher i until a quarter of the window is free, or done.
func (w *window) wait(i int, done <-chan struct{}) {
	w.waiting.Add(1)
	defer w.waiting.Add(-1)
	for w.free() <= w.limit/4 {
		select {
		case <-w.wake[i]:
		case <-done:
			return
		}
	}
}

// arrived counts deliveries and wakes publishers once half the window is free.
func (w *window) arrived(n int) {
	w.received.Add(int64(n))
	if w.waiting.Load() > 0 && w.free() > w.limit/2 {
		w.wakeAll()
	}
}

func (w *window) wakeAll() {
	for _, c := range w.wake {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
