package server

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
)

// Sessions of a node that is gone for good. Each node renews its lease, a key of a bucket,
// as long as it runs. Where a lease is not renewed, and nobody hears of the node, one of
// the others looks after its records: those whose clients have not come back in time it
// deletes, and whose will is due it takes over, which publishes that. When there are none
// left, so is the lease. How long a lease has not changed each node knows by its own
// clock: the clocks of nodes need not agree. Time in which it could not look does not count.

const (
	// leaseEvery is how often a lease is renewed, and others' are looked at.
	leaseEvery = 30 * time.Second
	// leaseLost is for how long one is not renewed until its node counts as gone.
	leaseLost = 3 * time.Minute
	// sweptEvery is how often the records of a node that is gone are looked at.
	sweptEvery = 10 * time.Minute
	// sweptNobody is how often those are that are nobody's.
	sweptNobody = time.Hour
)

// lease is what the bucket has of a node: version u8, at uvarint (ns since 1970), lost
// uvarint, swept uvarint, the sweeper's name.
type lease struct {
	at      int64  // when it was renewed, by the node's own clock
	lost    int64  // when it was seen to have ended; 0: it has not
	swept   int64  // when its node's records were looked at last
	sweeper string // by whom
}

const leaseVersion = 1

func (l *lease) append(b []byte) []byte {
	b = append(b, leaseVersion)
	b = binary.AppendUvarint(b, uint64(l.at))
	b = binary.AppendUvarint(b, uint64(l.lost))
	b = binary.AppendUvarint(b, uint64(l.swept))
	return append(b, l.sweeper...)
}

func (l *lease) parse(b []byte) (ok bool) {
	if len(b) == 0 || b[0] != leaseVersion {
		return false
	}
	b, ok = b[1:], true
	number := func() int64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			ok = false
			return 0
		}
		b = b[size:]
		return int64(n)
	}
	*l = lease{at: number(), lost: number(), swept: number()}
	l.sweeper = string(b)
	return ok
}

// leases is a node's part in that. One goroutine uses it.
type leases struct {
	v      *sessionMoves
	bucket *backbone.Bucket
	seen   map[string]*seenLease
	owners map[string]bool // of records, that may have no lease
	nobody time.Time       // when records that are nobody's were looked at

	outlived atomic.Uint64
}

type seenLease struct {
	rev    uint64
	at     time.Time // since when this revision is known not to have changed
	looked time.Time // when it was seen last
	next   time.Time // when the records are to be looked at again
}

// keepLeases renews this node's lease and looks at those of others, until the end.
func (v *sessionMoves) keepLeases() {
	l := &v.leases
	every := time.NewTicker(leaseEvery)
	defer every.Stop()
	for {
		if err := l.turn(v.ctx, time.Now()); err != nil && v.ctx.Err() == nil && !errors.Is(err, backbone.ErrAway) {
			v.server.crowd.Warn("sessions of nodes that are gone could not be looked after", "error", err)
		}
		select {
		case <-every.C:
		case <-v.ctx.Done():
			return
		}
	}
}

// turn renews the lease and looks at the others', as of now.
func (l *leases) turn(ctx context.Context, now time.Time) error {
	if l.bucket == nil {
		var err error
		if l.bucket, err = l.v.kept.d.backbone.Bucket(ctx, backbone.BucketOptions{Name: "leases", Fresh: true}); err != nil {
			return err
		}
	}
	mine := lease{at: now.UnixNano()}
	if _, err := l.bucket.Put(ctx, l.v.self.node, mine.append(nil), 0); err != nil {
		return err
	}
	for owner := range l.owners {
		none := lease{}
		if _, err := l.bucket.Create(ctx, owner, none.append(nil), 0); err != nil && !errors.Is(err, backbone.ErrConflict) {
			return err
		}
		delete(l.owners, owner)
	}
	nodes, err := l.bucket.Keys(ctx, "")
	if err != nil {
		return err
	}
	there := map[string]bool{}
	first := true // of the nodes that are there, by name
	for _, node := range nodes {
		there[node] = true
		if node == l.v.self.node {
			continue
		}
		if l.v.alive(node) {
			delete(l.seen, node)
			first = first && l.v.self.node < node
			continue
		}
		if err := l.look(ctx, node, now); err != nil {
			return err
		}
	}
	for node := range l.seen {
		if !there[node] {
			delete(l.seen, node)
		}
	}
	if first && now.Sub(l.nobody) >= sweptNobody {
		l.nobody = now
		_, err = l.sweep(ctx, "", now, now)
	}
	return err
}

// look looks at the lease of a node of which nobody hears.
func (l *leases) look(ctx context.Context, node string, now time.Time) error {
	value, rev, err := l.bucket.Get(ctx, node)
	if errors.Is(err, backbone.ErrNoKey) {
		return nil
	}
	if err != nil {
		return err
	}
	s := l.seen[node]
	if s == nil || s.rev != rev {
		l.seen[node] = &seenLease{rev: rev, at: now, looked: now}
		return nil
	}
	if now.Sub(s.looked) > 2*leaseEvery {
		s.at = now // who cannot look does not know who else could not renew
	}
	s.looked = now
	var of lease
	if now.Sub(s.at) < leaseLost || !of.parse(value) || now.Before(s.next) {
		return nil
	}
	swept := time.Duration(now.UnixNano() - of.swept)
	if of.sweeper != "" && of.sweeper != l.v.self.node && l.v.alive(of.sweeper) && swept < 3*sweptEvery {
		return nil
	}
	if of.lost == 0 {
		of.lost = s.at.UnixNano()
	}
	of.sweeper, of.swept = l.v.self.node, now.UnixNano()
	if rev, err = l.bucket.Update(ctx, node, of.append(nil), rev, 0); err != nil {
		if errors.Is(err, backbone.ErrConflict) {
			return nil // it is back, or another one does it
		}
		return err
	}
	s.rev, s.next = rev, now.Add(sweptEvery)
	left, err := l.sweep(ctx, node, time.Unix(0, of.lost), now)
	if err != nil || left > 0 {
		return err
	}
	delete(l.seen, node)
	if err = l.bucket.Delete(ctx, node, rev); errors.Is(err, backbone.ErrConflict) {
		return nil
	}
	return err
}

// sweep looks at the records of a node that is gone since then, and at those that are
// nobody's. It answers how many of the node's are left.
func (l *leases) sweep(ctx context.Context, node string, lost, now time.Time) (left int, err error) {
	bucket := l.v.kept.sessions
	keys, err := bucket.Keys(ctx, "")
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		value, rev, err := bucket.Get(ctx, key)
		if errors.Is(err, backbone.ErrNoKey) {
			continue
		}
		if err != nil {
			return left, err
		}
		var r keptRecord
		if r.parse(value) != nil {
			continue
		}
		if owner := r.owner.node; owner != node && owner != "" {
			if owner != l.v.self.node && !l.v.alive(owner) {
				l.owners[owner] = true // it may have been gone before it had a lease
			}
			continue
		}
		if r.ends == 0 {
			r.ends = lost.UnixNano() + int64(r.expiry)*int64(time.Second)
		}
		if r.will.record != "" && r.will.due == 0 {
			r.will.due = lost.UnixNano() + int64(r.will.delay)*int64(time.Second)
		}
		switch {
		case r.will.record != "" && min(r.will.due, r.ends) <= now.UnixNano():
			if err := l.v.adopt(ctx, key, rev, &r, now); err != nil {
				return left, err
			}
		case r.ends <= now.UnixNano():
			switch err := bucket.Delete(ctx, key, rev); {
			case err == nil:
				l.outlived.Add(1)
			case !errors.Is(err, backbone.ErrConflict): // else somebody has claimed it meanwhile
				return left, err
			}
		case r.owner.node == node:
			left++
		}
	}
	return left, nil
}

// adopt makes the session of a client of MQTT this node's, whose client is away and whose
// will is due: that is published here, once, as nobody else can adopt it.
func (v *sessionMoves) adopt(ctx context.Context, text string, rev uint64, r *keptRecord, now time.Time) error {
	listener, key, ok := cutKeptKey(text)
	if !ok || v.speakerOf(listener, key.ClientID) == nil {
		return nil // a node that has the listener does
	}
	if err := v.exact(ctx, r); err != nil {
		return err
	}
	r.owner = v.self
	// Its will is still to be published, even if its time is over.
	r.ends = max(r.ends, now.Add(time.Second).UnixNano(), time.Now().Add(time.Second).UnixNano())
	rev, err := v.kept.sessions.Update(ctx, text, r.append(nil), rev, 0)
	if errors.Is(err, backbone.ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	r.claimed = true
	speaker := v.speakerOf(listener, key.ClientID)
	v.onLoop(key.ClientID, func() {
		if speaker.path.begin(); speaker.clients.Find(key) == nil {
			speaker.restore(key, r, &keptOwn{rev: rev})
		}
	})
	v.in.Add(1)
	return nil
}
