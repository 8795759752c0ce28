package hostfuncs

import (
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
)

// Replica is one node's copy of a namespace of the cluster. Plugins read and change the
// copy, which never waits; a [Sharer] writes behind what was changed, one write a key at
// a time, and tells what others have written. Its methods are the Sharer's and may be
// called from any goroutine; bytes that they are given they keep, bytes that they return
// must not be changed.
//
// What holds: all copies come to what the cluster wrote last of a key. A compare-and-set
// and an addition are decided by the copy, and written only if the cluster still has what
// the copy had. Where it has not, a lost compare-and-set is replaced by what the cluster
// has, and counted; an addition is added to that instead, so that none is lost. A write
// whose answer is lost is written again: an addition may then count twice if somebody
// else changed the key in between.
//
// Keys that were deleted and are not written yet do not count to the namespace's bounds;
// while they take as much again as its size, new keys find no room.
type Replica struct {
	space *Namespace
	name  string
	dirty func(key string)
	round atomic.Uint32 // of the cluster's lists
	// buried is what keys take that were deleted and are not written yet.
	buried atomic.Int64

	pending, conflicts, leftOut atomic.Int64
}

// change is what became of a key here.
type change struct {
	kind   changeKind
	delta  int64 // what was added, with changeAdd; with changeCompare beside it
	absent bool  // there was nothing: it was gone, or had expired
}

type changeKind uint8

const (
	changeNone    changeKind = iota
	changeAdd                // by delta to what was there
	changeCompare            // from what was there, and no other
	changeSet                // whatever was there
)

// then is both changes, one after the other, as one.
func (c change) then(next change) change {
	if c.kind == changeSet || next.kind == changeSet {
		return change{kind: changeSet}
	}
	if c.kind == changeNone {
		return next
	}
	return change{kind: max(c.kind, next.kind), delta: c.delta + next.delta, absent: c.absent}
}

// unsaved is where a key stands that may differ from the cluster's.
type unsaved struct {
	waits  change // what is to be written
	flight change // what is being written
	echo   uint64 // what was written has this revision, and the cluster has not told of it
	heard  uint64 // the newest revision that the cluster told of meanwhile
	told   bool   // since [Replica.Asking]
	check  bool   // nobody knows what the cluster has: it is to be asked
	queued bool
}

func (u *unsaved) idle() bool { return u.waits.kind == changeNone && u.flight.kind == changeNone }

// Write is what a Sharer has to write.
type Write struct {
	Value []byte
	// TTL is how long the value lives from now; 0 is for ever.
	TTL time.Duration
	// Delete says that the key is to be removed. With If and a Base of 0 there is
	// nothing to do: Done with 0.
	Delete bool
	// If says that it may be written only where the cluster has revision Base of the
	// key; 0: where it has none. With Absent, too, it is where it has none: Base is what
	// has expired here, of which the cluster may have let go already, or may not yet.
	If     bool
	Base   uint64
	Absent bool
	// Check says that nothing is to be written: ask, and Checked.
	Check bool
}

// Found is what the cluster has of a key.
type Found struct {
	// Rev is its revision, of deleted ones as well; 0 if it is not known.
	Rev     uint64
	Deleted bool // or never there, or expired
	Value   []byte
	// TTL is how long it still lives, above 0; 0 is for ever.
	TTL time.Duration
}

// Name is the namespace's.
func (r *Replica) Name() string { return r.name }

// OnDirty sets what is called with a key that is to be written: Take it. It must not
// wait, nor call the Replica.
func (r *Replica) OnDirty(f func(key string)) { r.dirty = f }

// ReplicaStats are counts of a replica.
type ReplicaStats struct {
	Entries, Bytes int64
	// Pending are keys of which the cluster does not have the newest yet.
	Pending int64
	// Conflicts are compare-and-sets, and additions to what is no integer, that were
	// taken back because another node was first. LeftOut are values of the cluster
	// that found no room here.
	Conflicts, LeftOut uint64
}

// Stats reads the counts.
func (r *Replica) Stats() ReplicaStats {
	return ReplicaStats{
		Entries: r.space.Len(), Bytes: r.space.Used(), Pending: r.pending.Load(),
		Conflicts: uint64(r.conflicts.Load()), LeftOut: uint64(r.leftOut.Load()),
	}
}

// takes tells whether a key and value fit.
func (r *Replica) takes(key, value []byte, exists bool) abi.Status {
	if len(key) > MaxSharedKey || len(value) > MaxSharedValue || !exists && r.buried.Load() > r.space.limit.Load() {
		return abi.StatusLimit
	}
	return abi.StatusOK
}

// mark notes a change that was made to the node. The shard's lock is held.
func (r *Replica) mark(n *node, c change) {
	if n.sync == nil {
		n.sync = &unsaved{}
	}
	u := n.sync
	if u.idle() {
		r.pending.Add(1)
	}
	u.waits = u.waits.then(c)
	if u.flight.kind == changeNone {
		r.queue(n)
	}
}

func (r *Replica) queue(n *node) {
	if !n.sync.queued {
		n.sync.queued = true
		r.dirty(n.key)
	}
}

// bury leaves of an entry that it is gone.
func (s *Namespace) bury(sh *shard, n *node) {
	s.used.Add(-cost(len(n.key), n.entry))
	s.count.Add(-1)
	n.entry, n.gone = entry{}, true
	sh.list(n)
	s.replica.buried.Add(cost(len(n.key), n.entry))
}

func (s *Namespace) unbury(n *node) {
	s.replica.buried.Add(-cost(len(n.key), entry{}))
	n.gone = false
}

// forget removes the node, if there is one, whether it is gone or not.
func (r *Replica) forget(sh *shard, n *node) {
	switch {
	case n == nil:
	case n.gone:
		r.space.unbury(n)
		delete(sh.entries, n.key)
	default:
		r.space.remove(sh, n)
	}
}

// with calls f with the key's node, nil if there is none, and its shard locked.
func (r *Replica) with(key string, f func(sh *shard, n *node)) {
	sh := r.space.shard([]byte(key))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r.space.lookup(sh, []byte(key)) // which buries what has expired
	f(sh, sh.entries[key])
}

// Take returns what is to be written of a key; false if there is nothing any more. Until
// Done, Lost, Undone or Checked there is nothing else of the key.
func (r *Replica) Take(key string) (w Write, ok bool) {
	r.with(key, func(_ *shard, n *node) {
		if n == nil || n.sync == nil {
			return
		}
		u := n.sync
		u.queued = false
		switch {
		case u.flight.kind != changeNone:
			return
		case u.waits.kind == changeNone:
			w.Check, ok = u.check, u.check
			return
		}
		u.flight, u.waits, u.check = u.waits, change{}, false
		w = Write{Value: n.value, Delete: n.gone, If: u.flight.kind != changeSet, Base: n.rev, Absent: u.flight.absent}
		if n.expires != 0 {
			w.TTL = max(time.Duration(n.expires-r.space.clock.Monotonic()), 1)
		}
		ok = true
	})
	return w, ok
}

// Done says that what was taken is written, and has this revision; 0 if it is not known.
func (r *Replica) Done(key string, rev uint64) {
	r.with(key, func(sh *shard, n *node) {
		if n == nil || n.sync == nil || n.sync.flight.kind == changeNone {
			return
		}
		n.sync.flight = change{}
		n.rev = rev
		r.settle(sh, n)
	})
}

// settle goes on with a node of which nothing is being written any more: the cluster's
// revision of it is n.rev.
func (r *Replica) settle(sh *shard, n *node) {
	u := n.sync
	if u.waits.kind != changeNone {
		u.echo = n.rev
		r.queue(n)
		return
	}
	r.pending.Add(-1)
	switch {
	case u.check || u.heard > n.rev: // somebody wrote after us, and was not listened to
		u.echo, u.check = n.rev, true
		r.queue(n)
	case u.heard == n.rev || n.rev == 0:
		n.sync = nil
		if n.gone {
			r.forget(sh, n)
		}
	default:
		u.echo = n.rev
	}
}

// Undone says that what was taken was certainly not written: it is to be taken again.
func (r *Replica) Undone(key string) {
	r.with(key, func(_ *shard, n *node) {
		if n == nil || n.sync == nil || n.sync.flight.kind == changeNone {
			return
		}
		u := n.sync
		u.waits, u.flight = u.flight.then(u.waits), change{}
		r.queue(n)
	})
}
