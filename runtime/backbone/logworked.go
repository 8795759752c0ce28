package backbone

import "time"

// answered counts a record off; with the last one the message is acknowledged.
func (w *Worker) answered(h *held, place int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	if h.done[place] {
		return nil
	}
	h.done[place] = true
	if h.left--; h.left > 0 {
		return nil
	}
	return w.release(h)
}

func (w *Worker) release(h *held) error {
	w.forget(h)
	return known(h.msg.Ack())
}

func (w *Worker) forget(h *held) {
	if w.held[h.seq] == h {
		delete(w.held, h.seq)
		w.bytes -= h.bytes
	}
}

// retry has a record come again: through the server if it is alone in its message,
// from here if it is not.
func (w *Worker) retry(e *Entry, delay time.Duration) error {
	h := e.work
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	if h.done[e.at] {
		return nil
	}
	if len(h.done) == 1 {
		h.done[e.at] = true
		w.forget(h)
		return known(h.msg.NakWithDelay(delay))
	}
	h.again[e.at]++
	entry := *e
	entry.Tries = h.tries + h.again[e.at]
	entry.Last, entry.Skipped = w.last(entry.Tries), 0
	w.later = append(w.later, retried{at: time.Now().Add(delay), entry: entry})
	w.wake()
	return nil
}

// signs tells the server that what is held is in good hands.
func (w *Worker) signs() {
	defer w.ended.Done()
	tick := time.NewTicker(w.o.Wait / 3)
	defer tick.Stop()
	for {
		select {
		case <-w.closing:
			return
		case <-tick.C:
		}
		w.mu.Lock()
		for _, h := range w.held {
			// One that fails goes with the connection: the next will do.
			_ = h.msg.InProgress()
		}
		w.mu.Unlock()
	}
}

// Close leaves the work, which goes on on the other nodes: entries that were not
// answered go to them at once, with their groups. Any goroutine may call it.
func (w *Worker) Close() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.closed = true
	close(w.closing)
	it := w.it
	w.mu.Unlock()
	// What is here already is handed back with the rest.
	it.Drain()
	w.ended.Wait()
	it.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.held {
		// A server that does not hear of it waits for as long as WorkOptions.Wait.
		_ = h.msg.Nak()
	}
	clear(w.held)
	w.ready, w.later = nil, nil
}
