package server

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/mqtt"
)

// Sessions of frames. A client with a name has what MQTT's clients have, as far as frames
// go: what plugins know of it and what they subscribed it to outlive its connection for
// the listener's session.ttl. Where a backbone runs they outlive the process, and follow
// the client to another node, by the records and rules of MQTT's sessions:
//
//	lasting.go        who there is, and those whose client is away
//	lasting_path.go   a loop's part: a client has a name, changes, goes
//	lasting_moves.go  restored, claimed from another node, given to one
//
// A session is its listener's, its identity's and its name's: who has an identity gets
// nothing of one that had another, or none. What the listener's own templates subscribe
// to is not kept: they do it again.

// lasting is the server's sessions of frames that outlive their connections.
type lasting struct {
	server *Server
	most   int
	room   int64

	mu    sync.Mutex
	byKey map[string]*lastingSession
	away  awayHeap
	size  int64

	resumed, forgotten, unclaimed atomic.Uint64
}

// lastingSession is one of them. All but its key is under lasting.mu.
type lastingSession struct {
	key      string // as in the bucket
	listener uint32
	own      *keptOwn // of the key there
	session  uint64   // its connection's; 0 while its client is away
	state    lastingState
	ends     int64 // then: ns since 1970
	place    int   // in the heap; -1 for none
}

// lastingState is what outlives a connection.
type lastingState struct {
	context  abi.Attributes
	given    abi.Attributes // the names of what it introduced itself with
	patterns []string       // that plugins subscribed it to, queues as "queue:NAME"
}

// lastingCost is what a session takes beside its bytes, about.
const lastingCost = 256

func (s *lastingState) cost() int64 {
	n := lastingCost + len(s.context) + len(s.given)
	for _, p := range s.patterns {
		n += len(p) + 16
	}
	return int64(n)
}

// newLasting is nil where no listener keeps sessions of frames.
func newLasting(s *Server, cfg *config.Config) *lasting {
	for _, l := range s.setup().each {
		if l.ttl > 0 {
			return &lasting{server: s, most: cfg.Session.Count, room: int64(cfg.Session.Size), byKey: map[string]*lastingSession{}}
		}
	}
	return nil
}

// take makes the session of a key a connection's, if it is here: found. What it had is
// the caller's then, unless its former connection is still there: that hands it over.
func (t *lasting) take(key string, session uint64) (s *lastingSession, state lastingState, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s = t.byKey[key]; s == nil {
		return nil, state, false
	}
	s.session = session
	if s.place >= 0 {
		state = s.state
		t.back(s)
		t.resumed.Add(1)
	}
	return s, state, true
}

// back takes a session off those whose client is away.
func (t *lasting) back(s *lastingSession) {
	heap.Remove(&t.away, s.place)
	t.size -= s.state.cost()
	s.state = lastingState{}
}

// begin notes a session that is not here yet; false if it is.
func (t *lasting) begin(key string, listener uint32, session uint64, own *keptOwn) (s *lastingSession, begun bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s = t.byKey[key]; s != nil {
		return s, false
	}
	s = &lastingSession{key: key, listener: listener, own: own, session: session, place: -1}
	t.byKey[key] = s
	return s, true
}

// leave notes that a session's client has gone. If another connection has the session
// by now, its id is answered, and nothing is noted.
func (t *lasting) leave(s *lastingSession, session uint64, state lastingState, ends int64) (heir uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.byKey[s.key] != s:
		return 0 // it has ended, or is elsewhere
	case s.session != session:
		return s.session
	}
	t.wait(s, state, ends)
	t.write(s, state, ends)
	return 0
}

// wait puts a session among those whose client is away, and makes room.
func (t *lasting) wait(s *lastingSession, state lastingState, ends int64) {
	s.session, s.state, s.ends = 0, state, ends
	heap.Push(&t.away, s)
	t.size += state.cost()
	for len(t.away) > t.most || t.size > t.room {
		t.forgotten.Add(1)
		t.forget(t.away[0])
	}
}

// forget ends a session, also in the bucket.
func (t *lasting) forget(s *lastingSession) {
	if t.byKey[s.key] != s {
		return
	}
	t.drop(s)
	if d := t.server.durable; d != nil {
		d.kept.put(s.key, s.own, nil, nil)
	}
}

// drop takes a session out, without its record.
func (t *lasting) drop(s *lastingSession) {
	delete(t.byKey, s.key)
	if s.place >= 0 {
		t.back(s)
	}
}

// end is forget for who does not hold the lock.
func (t *lasting) end(s *lastingSession) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(s)
}

// save has the session of a client that is there written.
func (t *lasting) save(s *lastingSession, state lastingState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[s.key] == s {
		t.write(s, state, 0)
	}
}

// write has a session's record written, if there is a bucket.
func (t *lasting) write(s *lastingSession, state lastingState, ends int64) {
	if d := t.server.durable; d != nil {
		d.kept.put(s.key, s.own, t.record(s, state, d.kept.moves.self, ends), nil)
	}
}

func (t *lasting) record(s *lastingSession, state lastingState, owner keptOwner, ends int64) []byte {
	r := keptRecord{owner: owner, frames: true, ends: ends, context: state.context, given: state.given}
	r.expiry = expirySeconds(t.server.setup().listeners[s.listener].ttl)
	for _, pattern := range state.patterns {
		r.subscriptions = append(r.subscriptions, mqttSubscription{filter: pattern})
	}
	return r.append(nil)
}

// expire ends the sessions whose clients have not come back in time.
func (t *lasting) expire(now int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.away) > 0 && t.away[0].ends <= now {
		t.forget(t.away[0])
	}
}

// awayHeap is the sessions whose clients are away, by how long they still wait.
type awayHeap []*lastingSession

func (h awayHeap) Len() int           { return len(h) }
func (h awayHeap) Less(i, j int) bool { return h[i].ends < h[j].ends }
func (h awayHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *awayHeap) Push(x any) {
	s := x.(*lastingSession)
	s.place = len(*h)
	*h = append(*h, s)
}

// Pop implements heap.Interface.
func (h *awayHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.place = -1
	return s
}

func (t *lasting) metrics() []admin.Metric {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return []admin.Metric{
		single("weft_sessions_lasting", "Clients of frames with a name, there or remembered.", admin.Gauge, uint64(len(t.byKey))),
		single("weft_sessions_remembered", "Of them, those that are away.", admin.Gauge, uint64(len(t.away))),
		single("weft_sessions_remembered_bytes", "Memory that these take: of session.size.", admin.Gauge, uint64(t.size)),
		single("weft_sessions_resumed_total", "Clients of frames that found on this node what was remembered of them.", admin.Counter, t.resumed.Load()),
		single("weft_sessions_unasked_total", "Times that nobody could say whose the session of a client of frames is: it went on without, and weft asks again.", admin.Counter, t.unclaimed.Load()),
		single("weft_sessions_forgotten_total", "Clients of frames that were forgotten before their time, as others needed the room (session.count, session.size).", admin.Counter, t.forgotten.Load()),
	}
}

var _ heap.Interface = (*awayHeap)(nil)

// lastingKey is the key of a client of frames.
func lastingKey(listener, identity, name string) string {
	return keptKey(listener, mqtt.Key{Principal: identity, ClientID: name})
}

// lastingUntil is when a session ends whose client goes now.
func (t *lasting) lastingUntil(listener uint32) int64 {
	return time.Now().Add(t.server.setup().listeners[listener].ttl).UnixNano()
}
