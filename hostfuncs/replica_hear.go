package hostfuncs

import (
	"encoding/binary"

	"github.com/weftrun/weft/abi"
)

// How a Replica takes what the cluster has.

// Asking says that the cluster is about to be asked for the key.
func (r *Replica) Asking(key string) {
	r.with(key, func(_ *shard, n *node) {
		if n != nil && n.sync != nil {
			n.sync.told = false
		}
	})
}

// overtaken tells whether the cluster told of something newer than what it was asked for.
func (u *unsaved) overtaken(f Found) bool { return u.told && u.heard > f.Rev }

// Lost says that what was taken is not written and will not be, and what the cluster has. True: the
// cluster has told of something newer, ask again.
func (r *Replica) Lost(key string, f Found) (again bool) {
	r.with(key, func(sh *shard, n *node) {
		if n == nil || n.sync == nil || n.sync.flight.kind == changeNone {
			return
		}
		u := n.sync
		if again = u.overtaken(f); again {
			return
		}
		flight, waits := u.flight, u.waits
		u.flight, n.rev = change{}, f.Rev
		if f.Deleted {
			n.rev = 0
		}
		if flight.kind == changeCompare {
			r.conflicts.Add(1)
		}
		if waits.kind == changeSet {
			r.settle(sh, n)
			return
		}
		if waits.kind == changeCompare {
			r.conflicts.Add(1)
		}
		u.waits = change{}
		r.replace(sh, n, f, flight.delta+waits.delta)
	})
	return again
}

// replace gives the node what the cluster has, and adds what was added here.
func (r *Replica) replace(sh *shard, n *node, f Found, delta int64) {
	e := r.entry(f)
	if delta != 0 {
		if f.Deleted && !n.gone {
			e.expires = n.expires
		}
		sum, status := addTo(e, !f.Deleted, delta)
		if status == abi.StatusOK {
			e.value, f.Deleted = binary.LittleEndian.AppendUint64(nil, uint64(sum)), false
			n.sync.waits = change{kind: changeAdd, delta: delta}
		} else {
			r.conflicts.Add(1)
		}
	}
	if !f.Deleted {
		living := n
		if n.gone {
			living = nil
		}
		if put, _ := r.space.put(sh, living, []byte(n.key), e); put == nil {
			r.leftOut.Add(1)
			n.sync.waits, f.Deleted = change{}, true
		}
	}
	if f.Deleted && !n.gone {
		r.space.bury(sh, n)
	}
	r.settle(sh, n)
}

func (r *Replica) entry(f Found) entry {
	e := entry{value: f.Value}
	if f.TTL > 0 {
		e.expires = r.space.clock.Monotonic() + int64(f.TTL)
	}
	return e
}

// Checked says what the cluster has of a key that was to be asked for. True: ask again.
func (r *Replica) Checked(key string, f Found) (again bool) {
	r.with(key, func(sh *shard, n *node) {
		if n == nil || n.sync == nil || !n.sync.check || !n.sync.idle() {
			return
		}
		if again = n.sync.overtaken(f); again {
			return
		}
		n.sync = nil
		r.become(sh, n, n.key, f)
	})
	return again
}

// become makes a key that nothing waits for what the cluster has, and returns 0; or how
// much room that wants, and then the key is gone.
func (r *Replica) become(sh *shard, n *node, key string, f Found) (room int64) {
	if f.Deleted {
		r.forget(sh, n)
		return 0
	}
	living := n
	if n != nil && n.gone {
		living = nil
	}
	put, room := r.space.put(sh, living, []byte(key), r.entry(f))
	if put == nil {
		r.forget(sh, n) // what it had is not so any more
		return room
	}
	put.rev, put.round = f.Rev, r.round.Load()
	return 0
}

// Tell says what the cluster has of a key: in the order of its writes, whoever made
// them.
func (r *Replica) Tell(key string, f Found) {
	room := r.tell(key, f)
	if room == 0 {
		return
	}
	if r.space.expire(room); r.tell(key, f) > 0 {
		r.leftOut.Add(1)
	}
}

func (r *Replica) tell(key string, f Found) (room int64) {
	r.with(key, func(sh *shard, n *node) {
		if n != nil {
			n.round = r.round.Load()
		}
		if n != nil && n.sync != nil {
			u := n.sync
			u.heard, u.told = max(u.heard, f.Rev), true
			if !u.idle() || f.Rev < u.echo {
				return
			}
			n.sync = nil
			if n.gone && f.Rev == u.echo {
				r.forget(sh, n)
				return
			}
		}
		if n != nil && f.Rev <= n.rev {
			return
		}
		room = r.become(sh, n, key, f)
	})
	return room
}

// Listing says that the cluster is about to tell of all keys that it has.
func (r *Replica) Listing() { r.round.Add(1) }

// Listed says that it has done so: other keys are gone.
func (r *Replica) Listed() {
	round := r.round.Load()
	for i := range r.space.shards {
		sh := &r.space.shards[i]
		sh.mu.Lock()
		for _, n := range sh.entries {
			switch {
			case n.round == round:
			case n.sync == nil:
				r.forget(sh, n)
			default: // it was written before the list was made, or after
				n.sync.check = true
				if n.sync.idle() {
					r.queue(n)
				}
			}
		}
		sh.mu.Unlock()
	}
}
