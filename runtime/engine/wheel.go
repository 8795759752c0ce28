package engine

const wheelSlots = 512

// wheel is a hashed timing wheel of connections: each is in it at most once, at
// the earliest moment at which something may be due. A deadline that moves on
// costs nothing: the connection is looked at when the old one has come, and put
// where the new one is.
type wheel struct {
	slots [wheelSlots]*Conn
	tick  int64 // ms a slot
	done  int64 // the last tick that was looked at
}

// set puts c where due (ms) belongs, moving it if it was elsewhere.
func (w *wheel) set(c *Conn, due int64) {
	w.unset(c)
	at := max((due+w.tick-1)/w.tick, w.done+1)
	c.due = at * w.tick
	head := &w.slots[at%wheelSlots]
	c.next, c.prev = *head, nil
	if c.next != nil {
		c.next.prev = c
	}
	*head = c
}

func (w *wheel) unset(c *Conn) {
	if c.due == 0 {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		w.slots[c.due/w.tick%wheelSlots] = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.next, c.prev, c.due = nil, nil, 0
}

// expire takes out every connection whose time has come, at most now, and appends
// it to dst.
func (w *wheel) expire(now int64, dst []*Conn) []*Conn {
	last := now / w.tick
	if last-w.done > wheelSlots { // a long sleep: each slot once is enough
		w.done = last - wheelSlots
	}
	for w.done < last {
		w.done++
		for c := w.slots[w.done%wheelSlots]; c != nil; {
			next := c.next
			if c.due <= now {
				w.unset(c)
				dst = append(dst, c)
			}
			c = next
		}
	}
	return dst
}
