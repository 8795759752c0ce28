package server

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt"
)

// How MQTT sessions move between nodes. A client that connects to a node which does not
// have its session waits for its CONNACK while the node claims it:
//
//	sessions_owner.go  whose a session is, by compare-and-set
//	sessions_carry.go  what it holds, in its record
//	sessions_claim.go  the node that the client comes to: asks who has it, takes it
//	sessions_give.go   the node that has it: closes the old connection, writes, forgets
//	sessions_moves.go  what both share
//
// Then it tells all others that the client is here: who has a session of the client that
// is in no record, as it ends with its connection, ends it.

// sessionMoves is a server's part in that.
type sessionMoves struct {
	kept   *keptSessions
	server *Server
	self   keptOwner
	limit  chan struct{} // so many claims at the same time
	tells  chan []byte

	ctx      context.Context
	cancel   context.CancelFunc
	finished chan struct{} // all sessions were written for the last time
	mu       sync.Mutex
	closed   bool
	calls    sync.WaitGroup
	holds    []floorHold
	clock    atomic.Uint64
	most     int                  // bytes of messages in a record
	mute     map[string]time.Time // nodes that did not answer, and until when they are not asked
	leases   leases

	in, out, lost, dropped, elsewhere, refused, untold atomic.Uint64
}

// floorHold keeps a log's entries for a session on its way to another node.
type floorHold struct {
	route string
	seq   uint64
	until time.Time
}

const (
	// claimsAtOnce is how many clients' sessions are claimed at the same time.
	claimsAtOnce = 128
	// askWithin is how long another node is waited for that has a session.
	askWithin = 2 * time.Second
	// muteFor is how long a node is not asked again that did not answer, unless it is heard.
	muteFor = 30 * time.Second
	// claimWithin is how long a claim may take in all.
	claimWithin = 8 * time.Second
	// heldFor is how long the entries for a session that was given away stay in the
	// logs: by then its new node keeps them.
	heldFor = 15 * time.Second
	// maxTells wait to be told to other nodes.
	maxTells = 4096
)

func (v *sessionMoves) init(k *keptSessions) {
	s := k.d.server
	v.kept, v.server = k, s
	v.most = min(maxCarried, k.d.backbone.MostPayload()/2)
	v.self = keptOwner{s.node, uint64(time.Now().UnixNano())}
	v.limit, v.tells, v.finished = make(chan struct{}, claimsAtOnce), make(chan []byte, maxTells), make(chan struct{})
	v.ctx, v.cancel = context.WithCancel(s.ctx)
	v.mute = map[string]time.Time{}
	v.leases = leases{v: v, seen: map[string]*seenLease{}, owners: map[string]bool{}}
}

// serve begins to answer other nodes.
func (v *sessionMoves) serve() error {
	c := v.server.cluster
	if c == nil || c.link == nil || v.server.mqtt == nil && v.server.lasting == nil {
		return nil
	}
	v.call(v.tell)
	return c.link.Serve(backbone.LinkAnswers{Asked: v.asked, Told: v.told})
}

// call runs f beside the loops, unless this is about to end.
func (v *sessionMoves) call(f func()) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	v.calls.Go(f)
	return true
}

// end ends all that runs: every session was written for the last time.
func (v *sessionMoves) end() {
	v.mu.Lock()
	ended := v.closed
	v.closed = true
	v.mu.Unlock()
	if !ended {
		close(v.finished)
		v.cancel()
	}
	v.calls.Wait()
}

// onLoop runs f on the loop that has the client; false if it has ended.
func (v *sessionMoves) onLoop(client string, f func()) bool {
	return v.on(v.server.paths[v.server.publishTo([]byte(client))], f)
}

// on runs f on a loop; false if it has ended.
func (v *sessionMoves) on(p *path, f func()) bool {
	at := p.loop.Index()
	wait := newPause(5 * time.Millisecond)
	for {
		done := make(chan struct{})
		err := v.server.engine.Do(at, func() { defer close(done); f() })
		if err == nil {
			select {
			case <-done:
				return true
			case <-v.ctx.Done():
				return false
			}
		}
		if !errors.Is(err, engine.ErrBusy) || !wait.sleep(v.ctx) {
			return false
		}
	}
}

// keepsFrames tells whether a listener of the name keeps sessions of frames.
func (v *sessionMoves) keepsFrames(listener string) bool {
	s := v.server
	index := s.listenerIndex(listener)
	return s.lasting != nil && index >= 0 && index < len(s.setup().listeners) && s.setup().listeners[index].ttl > 0
}

// speakerOf is who has a client's session here; nil if no listener of the name speaks
// MQTT.
func (v *sessionMoves) speakerOf(listener, client string) *mqttSpeaker {
	s := v.server
	index := s.listenerIndex(listener)
	if index < 0 || index >= len(s.setup().listeners) {
		return nil
	}
	speaker, _ := s.paths[s.publishTo([]byte(client))].seen().speaker(index).(*mqttSpeaker)
	return speaker
}

// sessionNote is a question or what is told: flags u8, stamp u64, the session's key in the
// bucket. Stamps are Lamport's clock: what a node tells after it has heard something has
// a greater one.
type sessionNote struct {
	clean    bool
	stamp    uint64
	text     string // the key
	listener string
	key      mqtt.Key
}

func (n *sessionNote) append(b []byte) []byte {
	b = append(b, flag(n.clean))
	b = le.AppendUint64(b, n.stamp)
	return append(b, n.text...)
}

func (n *sessionNote) parse(b []byte) (ok bool) {
	if len(b) < 9 {
		return false
	}
	n.clean, n.stamp, n.text = b[0]&1 != 0, le.Uint64(b[1:]), string(b[9:])
	n.listener, n.key, ok = cutKeptKey(n.text)
	return ok
}

// after notes that a stamp was heard.
func (v *sessionMoves) after(stamp uint64) {
	for {
		now := v.clock.Load()
		if stamp <= now || v.clock.CompareAndSwap(now, stamp) {
			return
		}
	}
}

// tell tells other nodes which clients are here, until the end.
func (v *sessionMoves) tell() {
	for {
		select {
		case note := <-v.tells:
			if v.server.cluster.link.Tell(note) != nil {
				v.untold.Add(1)
			}
		case <-v.ctx.Done():
			return
		}
	}
}

// here notes that a client's session has begun on this node, and answers its stamp. Loops
// call it.
func (v *sessionMoves) here(key string, clean bool) uint64 {
	n := sessionNote{clean: clean, stamp: v.clock.Add(1), text: key}
	if len(*v.server.cluster.byName.Load()) == 0 {
		return n.stamp
	}
	select {
	case v.tells <- n.append(nil):
	default:
		v.untold.Add(1)
	}
	return n.stamp
}

// hold keeps what a record still needs of the logs for a while.
func (v *sessionMoves) hold(r *keptRecord) {
	until := time.Now().Add(heldFor)
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range r.cursors {
		v.holds = append(v.holds, floorHold{c.route, c.seq, until})
	}
}

// floor lowers seq to what sessions on their way need of a route's log.
func (v *sessionMoves) floor(route string, seq *uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now, kept := time.Now(), v.holds[:0]
	for _, h := range v.holds {
		if h.until.Before(now) {
			continue
		}
		kept = append(kept, h)
		if h.route == route {
			*seq = min(*seq, h.seq)
		}
	}
	clear(v.holds[len(kept):])
	v.holds = kept
}

// positionOf is how far a node was in a route's log when it wrote that last.
func (v *sessionMoves) positionOf(ctx context.Context, route, node string) (uint64, error) {
	value, _, err := v.kept.positions.Get(ctx, route+"/"+node)
	if errors.Is(err, backbone.ErrNoKey) {
		return 0, nil
	}
	seq, _ := binary.Uvarint(value)
	return seq, err
}

func (v *sessionMoves) metrics() []admin.Metric {
	moved := newFamily("weft_sessions_moved_total", "MQTT sessions that came from another node (in), were given to one (out), or were found to be another's (lost).", admin.Counter, "direction")
	moved.add(v.in.Load(), "in")
	moved.add(v.out.Load(), "out")
	moved.add(v.lost.Load(), "lost")
	return []admin.Metric{
		moved.Metric,
		single("weft_sessions_elsewhere_total", "MQTT sessions that ended as their client had connected to another node.", admin.Counter, v.elsewhere.Load()),
		single("weft_sessions_unclaimed_total", "Clients that were refused as the backbone did not say whose their session is.", admin.Counter, v.refused.Load()),
		single("weft_sessions_untold_total", "Clients of which other nodes were not told, as too many connected at the same time.", admin.Counter, v.untold.Load()),
		single("weft_sessions_outlived_total", "Sessions of nodes that are gone that ended here, as their clients did not come back in time.", admin.Counter, v.leases.outlived.Load()),
		single("weft_session_messages_left_total", "Messages that did not fit into the record of a session that moved or was restarted.", admin.Counter, v.dropped.Load()),
	}
}
