package engine

import "time"

// Waker is implemented by a Handler that uses Conn.WakeAt.
type Waker interface {
	// Wake tells that the time has come, or that c is read from again after a Hold.
	Wake(c *Conn)
}

// WakeAt calls the handler's Wake for c at a time, to the millisecond and not before
// it. There is one such time for each connection: it replaces the former one. The
// zero time is none.
func (c *Conn) WakeAt(at time.Time) {
	if at.IsZero() {
		c.wants = 0
		return
	}
	c.wakeAt(int64((at.Sub(c.loop.engine.start)+time.Millisecond-1)/time.Millisecond) + 1)
}

func (c *Conn) wakeAt(due int64) {
	if c.state == stateClosed {
		return
	}
	c.wants = max(due, 1)
	if h := &c.loop.wakes; c.wakeSlot == 0 {
		h.push(c)
	} else if c.wants < c.wakeDue {
		c.wakeDue = c.wants
		h.up(int(c.wakeSlot) - 1)
	}
}

// wakeHeap is the connections that want to be woken, the earliest first. A time that
// moves on costs nothing: the connection is looked at when the old one has come.
type wakeHeap []*Conn

func (h *wakeHeap) push(c *Conn) {
	c.wakeDue = c.wants
	*h = append(*h, c)
	c.wakeSlot = uint32(len(*h))
	h.up(len(*h) - 1)
}

func (h wakeHeap) set(i int, c *Conn) { h[i], c.wakeSlot = c, uint32(i)+1 }

func (h wakeHeap) up(i int) {
	c := h[i]
	for i > 0 && h[(i-1)/2].wakeDue > c.wakeDue {
		h.set(i, h[(i-1)/2])
		i = (i - 1) / 2
	}
	h.set(i, c)
}

func (h wakeHeap) down(i int) {
	c := h[i]
	for {
		k := 2*i + 1
		if k+1 < len(h) && h[k+1].wakeDue < h[k].wakeDue {
			k++
		}
		if k >= len(h) || h[k].wakeDue >= c.wakeDue {
			break
		}
		h.set(i, h[k])
		i = k
	}
	h.set(i, c)
}

func (h *wakeHeap) remove(c *Conn) {
	i := int(c.wakeSlot) - 1
	if i < 0 {
		return
	}
	last := len(*h) - 1
	moved := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	c.wakeSlot, c.wants, c.wakeDue = 0, 0, 0
	if i < last {
		h.set(i, moved)
		h.up(i)
		h.down(int(moved.wakeSlot) - 1)
	}
}

// wakeDue tells those whose time has come. Who is woken may want to be woken again: it
// is not before the next turn.
func (l *Loop) wakeDue() {
	for n := len(l.wakes); n > 0 && len(l.wakes) > 0 && l.wakes[0].wakeDue <= l.now; n-- {
		c := l.wakes[0]
		if c.wants > l.now { // it has moved on
			c.wakeDue = c.wants
			l.wakes.down(0)
			continue
		}
		due := c.wants > 0
		l.wakes.remove(c)
		if w, ok := l.handler.(Waker); ok && due {
			l.callWake(w, c)
		}
	}
}

// nextWake is how long the loop may sleep for its wakes, at most timeout.
func (l *Loop) nextWake(timeout int64) int64 {
	if len(l.wakes) > 0 {
		return min(timeout, l.wakes[0].wakeDue-l.now)
	}
	return timeout
}
