package backbone

import (
	"time"

	"github.com/nats-io/nats.go"
)

// peer is another node as this one knows it.
type peer struct {
	name, host    string
	life          uint64
	slot          int
	batches       string // the subject
	mirror        mirror
	gathered      gathering
	joined, heard time.Time
	asked         time.Time // for everything
	leaving       bool
}

// ending is a life that is known to have ended, and when it was heard of: what comes of
// it within a silence is late. Later it is the node's next life, by a clock that was set
// back.
type ending struct {
	life uint64
	at   time.Time
}

// gathering is a snapshot whose parts are coming in.
type gathering struct {
	revision uint64
	next     uint16
	list     []Interest
}

// maxMirror bounds what one node may tell.
const maxMirror = 1 << 20

func (p *peer) view() LinkNode {
	return LinkNode{
		Slot: p.slot, Name: p.name, Host: p.host, Life: lifeTime(p.life), Joined: p.joined, Heard: p.heard,
		Interests: len(p.mirror.set), Synced: p.mirror.known, Leaving: p.leaving,
	}
}

// heard reads what another node tells.
func (l *Link) heard(msg *nats.Msg) {
	n, err := parseNote(msg.Data)
	if err != nil {
		l.bad(msg.Subject, err)
		return
	}
	if n.node == l.name {
		l.namesake(&n)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.kind == noteGone {
		if p := l.peers[n.node]; p != nil && p.life == n.life {
			l.forget(p, "it ended")
			l.over[n.node] = ending{n.life, time.Now()}
		}
		return
	}
	p := l.peerOf(&n)
	if p == nil {
		return
	}
	switch n.kind {
	case noteHello:
		l.tellAll(l.to.noteTo(p.name))
		l.compare(p, &n)
	case noteBeat:
		l.compare(p, &n)
	case noteDelta:
		err = l.changed(p, &n)
	case noteAsk:
		l.tellAll(l.to.noteTo(p.name))
	case noteSnapshot:
		err = l.gather(p, &n)
	case noteBye:
		l.withdrawn(p)
	default:
		l.malformed.Add(1)
	}
	if err != nil {
		l.bad(msg.Subject, err)
	}
}

func (l *Link) bad(subject string, err error) {
	if n := l.malformed.Add(1); n&(n-1) == 0 { // the 1st, 2nd, 4th, 8th ...
		l.log.Warn("a note of another node cannot be read", "subject", subject, "times", n, "error", err)
	}
}

// received hands on a batch, and takes what comes behind batches.
func (l *Link) received(msg *nats.Msg) {
	n, err := parseNote(msg.Data)
	if err != nil {
		l.bad(msg.Subject, err)
		return
	}
	if n.node == l.name {
		return
	}
	slot := -1
	l.mu.Lock()
	if p := l.peerOf(&n); p != nil {
		slot = p.slot
	}
	l.mu.Unlock()
	switch n.kind {
	case noteBatch:
		l.handler.Received(slot, n.body)
	case noteAck:
		select {
		case l.acks <- n.node:
		default:
		}
	}
}

// asked answers a node that is about to start with this one's name.
func (l *Link) asked(msg *nats.Msg) {
	if n, err := parseNote(msg.Data); err == nil && n.life != l.life {
		_ = msg.Respond(l.note(noteTaken).append(nil))
	}
}

// namesake deals with a note under this node's own name.
func (l *Link) namesake(n *note) {
	if n.life == l.life {
		if n.kind == noteHello {
			l.greeted.Store(true)
			select {
			case l.echo <- struct{}{}:
			default:
			}
		}
		return
	}
	switch n.kind {
	case noteTaken:
		if n.life > l.life {
			return // it is the later one
		}
		if !l.started.Load() {
			l.yield(n)
			return
		}
	case noteHello:
		switch {
		case !l.greeted.Load():
			l.yield(n) // it was first
		case !l.yielded.Load():
			_ = l.send(l.to.noteTo(l.name), l.note(noteTaken))
		}
		return
	case noteBeat:
	default:
		return
	}
	if c := l.conflicts.Add(1); c&(c-1) == 0 {
		l.log.Error("another weft of the cluster has this one's name: each gets a part of the messages; give one of them another backbone.name",
			"node", l.name, "host", n.host, "since", lifeTime(n.life), "times", c)
	}
}

// yield has open find that the name is another's. This node claims it no more.
func (l *Link) yield(to *note) {
	l.yielded.Store(true)
	select {
	case l.taken <- *to:
	default:
	}
}

// peerOf finds the node, or gets to know it; nil for one that is not listened to: the
// one before that of the same name, or one too many.
func (l *Link) peerOf(n *note) *peer {
	now := time.Now()
	p := l.peers[n.node]
	if p != nil && p.life != n.life {
		if n.life < p.life {
			return nil
		}
		l.forget(p, "it was started again")
		p = nil
	}
	if p != nil {
		p.heard = now
		if p.host == "" {
			p.host = n.host
		}
		return p
	}
	if end := l.over[n.node]; n.life <= end.life && now.Sub(end.at) < l.o.Silence {
		return nil // its last words came late
	}
	slot := l.freeSlot(n.node)
	if slot < 0 {
		if c := l.refused.Add(1); c&(c-1) == 0 {
			l.log.Error("no room for another node: nothing goes there", "node", n.node, "at_most", MaxLinkNodes, "times", c)
		}
		return nil
	}
	p = &peer{name: n.node, host: n.host, life: n.life, slot: slot, batches: l.to.batchTo(n.node), joined: now, heard: now}
	if len(l.over) > MaxLinkNodes {
		clear(l.over)
	}
	l.peers[n.node], l.used[slot] = p, n.node
	l.slots[slot].Store(p)
	l.log.Info("node joined", "node", p.name, "host", p.host, "started", lifeTime(p.life))
	l.handler.Joined(p.view())
	l.ask(p)
	return p
}

// freeSlot is the slot that the name had, or one that nobody had, or any that is free.
func (l *Link) freeSlot(name string) int {
	never, free := -1, -1
	for i := range l.slots {
		switch {
		case l.slots[i].Load() != nil:
		case l.used[i] == name:
			return i
		case l.used[i] == "" && never < 0:
			never = i
		case free < 0:
			free = i
		}
	}
	if never >= 0 {
		return never
	}
	return free
}

// forget ends what is known of a node.
func (l *Link) forget(p *peer, why string) {
	l.tell(p, nil, l.emptied(p))
	delete(l.peers, p.name)
	l.slots[p.slot].Store(nil)
	l.log.Info("node left", "node", p.name, "host", p.host, "reason", why)
	l.handler.Left(p.view(), why)
}

// emptied takes everything from a node that it has told.
func (l *Link) emptied(p *peer) []Interest {
	_, removed := p.mirror.replace(p.mirror.version, nil)
	return removed
}

func (l *Link) tell(p *peer, added, removed []Interest) {
	if len(added)+len(removed) > 0 {
		l.handler.Changed(p.slot, added, removed)
	}
}

// compare finds out whether what is known of a node is what it says it has told.
func (l *Link) compare(p *peer, n *note) {
	m := &p.mirror
	switch {
	case p.leaving || m.known && n.revision < m.version:
		return
	case !m.known && n.revision == 0:
		m.replace(0, nil)
		return
	case m.known && n.revision == m.version && n.digest == m.digest && int(n.size) == len(m.set):
		return
	}
	l.ask(p)
}

// ask has a node tell everything; not more often than it may have answered.
func (l *Link) ask(p *peer) {
	if now := time.Now(); now.Sub(p.asked) >= l.o.Every/2 {
		if !p.asked.IsZero() {
			l.repairs.Add(1)
		}
		p.asked = now
		_ = l.send(l.to.noteTo(p.name), l.note(noteAsk)) // the next beat asks again
	}
}

func (l *Link) changed(p *peer, n *note) error {
	list, err := parseChanges(n.body)
	if err != nil {
		return err
	}
	if p.leaving {
		return nil
	}
	added, removed, follows := p.mirror.apply(n.revision, list)
	if !follows || len(p.mirror.set) > maxMirror {
		l.ask(p)
	}
	l.tell(p, added, removed)
	return nil
}

// gather takes one part of a snapshot.
func (l *Link) gather(p *peer, n *note) error {
	list, err := parseChanges(n.body)
	if err != nil || p.leaving {
		return err
	}
	g := &p.gathered
	if n.part == 0 {
		*g = gathering{revision: n.revision}
	}
	if n.part != g.next || n.revision != g.revision || len(g.list)+len(list) > maxMirror {
		*g = gathering{next: 1} // what is left of it does not fit; a beat asks again
		return nil
	}
	for _, c := range list {
		g.list = append(g.list, c.Interest)
	}
	if g.next++; g.next < n.parts {
		return nil
	}
	if !p.mirror.known || g.revision >= p.mirror.version {
		added, removed := p.mirror.replace(g.revision, g.list)
		l.tell(p, added, removed)
	}
	*g = gathering{}
	return nil
}

// withdrawn has a node get nothing new any more.
func (l *Link) withdrawn(p *peer) {
	if p.leaving {
		return
	}
	l.tell(p, nil, l.emptied(p))
	p.leaving = true
	ack, subject := l.note(noteAck).append(nil), p.batches
	l.handler.Withdrawn(p.view(), func() { _ = l.b.conn.Publish(subject, ack) }) // who waits for it waits only so long
}

// run tells the others what changes, that this node is there, and forgets those who do
// not.
func (l *Link) run() {
	beat := time.NewTicker(l.o.Every)
	defer beat.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	woken := l.woken
	for {
		select {
		case <-l.end:
			return
		case <-woken:
			l.tellChanges()
			woken = nil // what changes meanwhile waits for others
			rest.Reset(coalesce)
		case <-rest.C:
			woken = l.woken
		case now := <-beat.C:
			l.tellChanges()
			l.beat()
			l.forgetSilent(now)
		}
	}
}

func (l *Link) beat() {
	revision, digest, size := l.set.flushed()
	n := l.note(noteBeat)
	n.revision, n.digest, n.size = revision, digest, uint32(size)
	if l.leaving.Load() {
		n = l.note(noteBye)
	}
	_ = l.send(l.to.all, n)      // nobody hears a node that is cut off
	l.b.measurePayload(l.b.conn) // the servers may be set anew while they run
}

func (l *Link) forgetSilent(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.peers {
		if now.Sub(p.heard) > l.o.Silence {
			l.forget(p, "it is silent")
		}
	}
}

// tellChanges tells all what has changed since they were told last.
func (l *Link) tellChanges() {
	if l.leaving.Load() {
		return
	}
	changes, revision, digest, size := l.set.flush()
	if len(changes) == 0 {
		return
	}
	n := l.note(noteDelta)
	n.revision, n.digest, n.size = revision, digest, uint32(size)
	for i, on := range changes {
		n.body = appendChange(n.body, i, on)
	}
	if len(n.body) > l.MaxBatch() {
		l.tellAll(l.to.all)
		return
	}
	l.deltas.Add(1)
	_ = l.send(l.to.all, n) // who misses it learns so from the next beat
}

// tellAll tells everything, in as many parts as it takes.
func (l *Link) tellAll(subject string) {
	list, revision, digest := l.set.all()
	if l.leaving.Load() {
		_ = l.send(subject, l.note(noteBye))
		return
	}
	most := l.MaxBatch()
	bodies := [][]byte{nil}
	for _, i := range list {
		last := &bodies[len(bodies)-1]
		if len(*last) > 0 && len(*last)+len(i.Text)+8 > most {
			bodies = append(bodies, nil)
			last = &bodies[len(bodies)-1]
		}
		*last = appendChange(*last, i, true)
	}
	l.snapshots.Add(1)
	for part, body := range bodies {
		n := l.note(noteSnapshot)
		n.part, n.parts, n.revision, n.digest, n.size, n.body = uint16(part), uint16(len(bodies)), revision, digest, uint32(len(list)), body
		_ = l.send(subject, n) // it is asked for again
	}
}
