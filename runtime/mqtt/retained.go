package mqtt

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
)

// RetainedLimits bounds the retained messages of the process; zero fields have
// the defaults.
type RetainedLimits struct {
	Messages int   // 100,000
	Bytes    int64 // with what a message costs beside its own bytes; 256 MiB
}

// The defaults of RetainedLimits.
const (
	DefaultRetained      = 100_000
	DefaultRetainedBytes = 256 << 20
)

// retainedCost is what a retained message takes beside its bytes.
const retainedCost = 256

// ErrRetainedFull is the error when there is no room for a retained message:
// PUBACK 0x97, quota exceeded. The former one of the topic stays.
var ErrRetainedFull = errors.New("as many retained messages as there may be")

// Retained holds the last message of each topic that was published to be
// retained. Any goroutine may use it. The messages it gives out are immutable
// and stay valid.
type Retained struct {
	mu     sync.RWMutex
	sorted sorted
	expiry heap[*retained]
	bytes  int64
	limits RetainedLimits

	refused, expired atomic.Uint64
}

// retained is one topic's message.
type retained struct {
	key     string // the topic in the order of levels: see keyOf
	message Message
	place   int32 // in the heap, under the lock; -1 if it never expires
}

func (r *retained) cost() int64 {
	return retainedCost + int64(len(r.key)+len(r.message.buf))
}

// NewRetained returns an empty store.
func NewRetained(limits RetainedLimits) *Retained {
	if limits.Messages <= 0 {
		limits.Messages = DefaultRetained
	}
	if limits.Bytes <= 0 {
		limits.Bytes = DefaultRetainedBytes
	}
	return &Retained{limits: limits, expiry: heap[*retained]{
		less:  func(a, b *retained) bool { return a.message.Expires < b.message.Expires },
		moved: func(r *retained, place int) { r.place = int32(place) },
	}}
}

// keyOf is a topic as it is sorted: with a zero byte for each '/', so that all
// topics below a level stand together, right behind that level. Topics have no
// zero byte of their own.
func keyOf(topic string) string { return strings.ReplaceAll(topic, "/", "\x00") }

// Set makes a copy of m the retained message of its topic; one with an empty
// payload takes the topic's away (MQTT-3.3.1-6). expires is in nanoseconds since
// 1970-01-01 UTC, 0 is never. The topic must be valid. The error is
// ErrRetainedFull, counted; nothing is changed then.
//
// Set the message before it is delivered to subscribers: who subscribes between
// the two gets it twice, and never not at all.
func (t *Retained) Set(m *abi.Message, expires int64) error {
	if len(m.Payload) == 0 {
		t.Delete(string(m.Topic))
		return nil
	}
	r := &retained{key: keyOf(string(m.Topic)), place: -1}
	r.message.set(m, expires, make([]byte, len(m.Topic)+len(m.Attrs)+len(m.Payload)))
	t.mu.Lock()
	defer t.mu.Unlock()
	block, i, found := t.sorted.find(r.key)
	bytes, n := t.bytes+r.cost(), t.sorted.n+1
	if found {
		bytes, n = bytes-t.sorted.at(block, i).cost(), n-1
	}
	if n > t.limits.Messages || bytes > t.limits.Bytes {
		t.refused.Add(1)
		return fmt.Errorf("%w: %d messages of %d, %d bytes of %d; raise the limits, or let them expire",
			ErrRetainedFull, t.sorted.n, t.limits.Messages, t.bytes, t.limits.Bytes)
	}
	if found {
		t.unschedule(t.sorted.at(block, i))
		t.sorted.blocks[block][i] = r
	} else {
		t.sorted.insert(block, i, r)
	}
	t.bytes = bytes
	if expires != 0 {
		t.expiry.push(r)
	}
	return nil
}

// Delete takes the topic's message away; false if there is none.
func (t *Retained) Delete(topic string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	block, i, found := t.sorted.find(keyOf(topic))
	if !found {
		return false
	}
	t.remove(block, i)
	return true
}

func (t *Retained) remove(block, i int) {
	r := t.sorted.at(block, i)
	t.unschedule(r)
	t.bytes -= r.cost()
	t.sorted.remove(block, i)
}

func (t *Retained) unschedule(r *retained) {
	if r.place >= 0 {
		t.expiry.remove(int(r.place))
	}
}

// maxExpired is how many messages one call of Expire takes away, so that
// nobody waits long for the lock.
const maxExpired = 256

// Expire takes away what has expired, at most 256 messages a call, and says how
// many. With nothing due it costs one comparison. Match passes over what has
// expired by itself.
func (t *Retained) Expire(now int64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < maxExpired && len(t.expiry.values) > 0 && t.expiry.values[0].message.Expires <= now {
		block, i, _ := t.sorted.find(t.expiry.values[0].key)
		t.remove(block, i)
		n++
	}
	t.expired.Add(uint64(n))
	return n
}

// Get returns the topic's message, nil if there is none.
func (t *Retained) Get(topic string, now int64) *Message {
	t.mu.RLock()
	defer t.mu.RUnlock()
	block, i, found := t.sorted.find(keyOf(topic))
	if !found {
		return nil
	}
	if m := &t.sorted.at(block, i).message; !m.expired(now) {
		return m
	}
	return nil
}

// RetainedStats is how much there is, and what was not kept.
type RetainedStats struct {
	Messages         int
	Bytes            int64
	Refused, Expired uint64
}

// Stats returns how much there is.
func (t *Retained) Stats() RetainedStats {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return RetainedStats{Messages: t.sorted.n, Bytes: t.bytes, Refused: t.refused.Load(), Expired: t.expired.Load()}
}

// Cursor is how far a Match has come. The zero value is the beginning, and
// Done says that there is nothing more.
type Cursor struct {
	after string // key
	again bool   // that key too
	Done  bool
}

// minSteps is how many topics a page may look at beside those that it returns,
// so that a filter that matches little holds the lock no longer than others.
const minSteps = 1024

// Match appends to dst the messages whose topics match the filter, in the order
// of topics, behind the cursor and at most n of them, and returns the cursor for
// the next page. A page may be short or empty and not be the last: look at
// Cursor.Done. It holds the lock for one page, and looks at the messages as they
// are then: what was retained anew since the first page is found anew, never a
// former value. The filter must be valid; "$" topics match no filter that begins
// with a wildcard (MQTT-4.7.2-1).
func (t *Retained) Match(filter string, from Cursor, n int, now int64, dst []*Message) ([]*Message, Cursor) {
	return t.match(filter, from, room{n: n, bytes: math.MaxInt}, now, dst)
}

// room is what a page may hold: so many messages, and of so many bytes with what
// each counts in a session. alone lets one pass that is larger than that.
type room struct {
	n, bytes int
	alone    bool
}

func (t *Retained) match(filter string, from Cursor, left room, now int64, dst []*Message) ([]*Message, Cursor) {
	if from.Done {
		return dst, from
	}
	w := newMatcher(filter)
	t.mu.RLock()
	defer t.mu.RUnlock()
	key := from.after
	steps := left.n + minSteps
	block, i, same := t.sorted.find(max(key, w.first))
	if same && key >= w.first && !from.again {
		block, i = t.sorted.next(block, i)
	}
	for ; block < len(t.sorted.blocks); steps-- {
		r := t.sorted.at(block, i)
		if left.n == 0 || steps == 0 {
			return dst, Cursor{after: key}
		}
		key = r.key
		seek, matched := w.step(r.key)
		if matched && !r.message.expired(now) {
			size := entrySize + len(r.message.buf)
			if size > left.bytes && !left.alone {
				return dst, Cursor{after: key, again: true}
			}
			dst = append(dst, &r.message)
			left = room{n: left.n - 1, bytes: left.bytes - size}
		}
		switch seek {
		case "":
			block, i = t.sorted.next(block, i)
		case atEnd:
			return dst, Cursor{Done: true}
		default:
			block, i, _ = t.sorted.find(seek)
		}
	}
	return dst, Cursor{Done: true}
}

// atEnd is a key behind all keys: UTF-8 has no byte 0xFF.
var atEnd = string([]byte{math.MaxUint8})
