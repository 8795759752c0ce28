package mqtt

// entry is one message's place in one session: 16 bytes without a pointer, so
// that millions of them cost the collector nothing.
type entry struct {
	message uint32 // in Store.messages
	ids     uint32 // subscription identifiers: none (0), the one, or a set (idSet)
	group   uint32 // of the shared subscription; 0 is none
	qos     uint8
	retain  bool
}

// chunkLen makes a chunk one of Go's size classes, 256 bytes.
const chunkLen = 15

// chunkCost is what a chunk takes of the budget.
const chunkCost = 256

type chunk struct {
	next    *chunk
	entries [chunkLen]entry
}

// queue is a session's messages behind its window: first in, first out. An
// empty one has no chunk.
type queue struct {
	head, tail *chunk
	first, end uint8 // in head, behind the last in tail
	n          int32
}

// push appends the entry; false if the budget has no room for another chunk.
func (q *queue) push(t *Store, e entry) bool {
	if q.tail == nil || q.end == chunkLen {
		c := t.chunk()
		if c == nil {
			return false
		}
		if q.tail == nil {
			q.head, q.first = c, 0
		} else {
			q.tail.next = c
		}
		q.tail, q.end = c, 0
	}
	q.tail.entries[q.end] = e
	q.end++
	q.n++
	return true
}

// front is the entry that pop takes; there must be one.
func (q *queue) front() *entry { return &q.head.entries[q.first] }

func (q *queue) pop(t *Store) entry {
	e := q.head.entries[q.first]
	q.first++
	q.n--
	if q.n == 0 || q.first == chunkLen {
		c := q.head
		q.head, q.first = c.next, 0
		if q.n == 0 {
			q.head, q.tail, q.end = nil, nil, 0
		}
		t.unchunk(c)
	}
	return e
}

// filter keeps, in order, the entries for which keep is true. It needs no memory.
func (q *queue) filter(t *Store, keep func(*entry) bool) {
	if q.n == 0 {
		return
	}
	to, put := q.head, q.first
	from, get := q.head, q.first
	kept := int32(0)
	for range q.n {
		if get == chunkLen {
			from, get = from.next, 0
		}
		e := &from.entries[get]
		get++
		if !keep(e) {
			continue
		}
		if put == chunkLen {
			to, put = to.next, 0
		}
		to.entries[put] = *e
		put++
		kept++
	}
	q.n = kept
	if kept == 0 {
		to = nil
	}
	q.cut(t, to, put)
}

// cut makes last the queue's last chunk, nil for an empty queue, and gives the
// ones behind it back.
func (q *queue) cut(t *Store, last *chunk, end uint8) {
	c := q.head
	if last != nil {
		c, last.next = last.next, nil
	} else {
		q.head, q.first = nil, 0
	}
	q.tail, q.end = last, end
	if last == nil {
		q.end = 0
	}
	for c != nil {
		next := c.next
		t.unchunk(c)
		c = next
	}
}

// maxChunks is how many chunks that are not in use are kept for later.
const maxChunks = 1024

func (t *Store) chunk() *chunk {
	if !t.budget.Take(chunkCost) {
		return nil
	}
	c := t.chunks
	if c == nil {
		return new(chunk)
	}
	t.chunks, c.next = c.next, nil
	t.nChunks--
	return c
}

func (t *Store) unchunk(c *chunk) {
	t.budget.Give(chunkCost)
	c.next = nil
	if t.nChunks < maxChunks {
		c.next, t.chunks = t.chunks, c
		t.nChunks++
	}
}
