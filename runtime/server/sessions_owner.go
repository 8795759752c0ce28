package server

import (
	"context"
	"errors"

	"github.com/weftrun/weft/runtime/backbone"
)

// Whose a kept session is. Its record names the node that has it, and since when that
// runs. Only who knows the record's revision writes it (compare-and-set): a node whose
// write loses has lost the session to another node, and forgets its copy quietly.

// keptOwner is who has a session; empty while it is on its way. A node's name is unique in the cluster: what one with
// this node's name has left belongs to this one.
type keptOwner struct {
	node  string
	epoch uint64 // when it was started, in ns since 1970
}

// keptOwn is a session's hold on its key. It belongs to whoever writes the key just now,
// one at a time.
type keptOwn struct {
	rev    uint64 // 0: there was no record
	unsure bool   // the last write may have been done or not
}

// owns is a hold: this one, or a new one.
func (o *keptOwn) owns() *keptOwn {
	if o == nil {
		return &keptOwn{}
	}
	return o
}

// errMoved: the session is another node's now, or was ended there.
var errMoved = errors.New("the session has moved to another node")

// mine tells whether the records of the owner are this node's to go on with. Without
// other nodes all are, whatever this one was called.
func (v *sessionMoves) mine(o *keptOwner) bool {
	return v.server.cluster == nil || o.node == v.self.node
}

// storeTries is how often a write that met another revision is tried again.
const storeTries = 3

// store writes a value, or deletes the key for nil, if that is still the session's.
func (k *keptSessions) store(ctx context.Context, key string, own *keptOwn, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	var err error
	for range storeTries {
		err = k.storeAt(ctx, key, own, value)
		if own.unsure = err != nil; !errors.Is(err, backbone.ErrConflict) {
			break
		}
		if err = k.look(ctx, key, own, value); err != nil {
			break
		}
	}
	switch {
	case errors.Is(err, errMoved) && value == nil, errors.Is(err, backbone.ErrNoKey):
		return nil // it is gone, or another's
	case errors.Is(err, errMoved):
		k.moves.moved(key, own)
	case err != nil:
		k.d.server.crowd.Warn("a session was not written to the backbone: it may not outlive this process", "error", err)
	}
	return err
}

func (k *keptSessions) storeAt(ctx context.Context, key string, own *keptOwn, value []byte) (err error) {
	switch {
	case value == nil && own.rev == 0 && !own.unsure:
		return nil // there never was a record
	case value == nil && own.rev == 0:
		return backbone.ErrConflict // there may be one
	case value == nil:
		if err = k.sessions.Delete(ctx, key, own.rev); err == nil {
			own.rev = 0
		}
		return err
	}
	rev := uint64(0)
	if own.rev == 0 {
		rev, err = k.sessions.Create(ctx, key, value, 0)
	} else {
		rev, err = k.sessions.Update(ctx, key, value, own.rev, 0)
	}
	if err == nil {
		own.rev = rev
	}
	return err
}

// look finds out why the key has another revision. Nil says that it is to be written
// again.
func (k *keptSessions) look(ctx context.Context, key string, own *keptOwn, value []byte) error {
	found, rev, err := k.sessions.Get(ctx, key)
	if errors.Is(err, backbone.ErrNoKey) {
		if value == nil {
			return err
		}
		if own.rev != 0 && k.d.server.cluster != nil {
			return errMoved // it was ended elsewhere
		}
		own.rev = 0
		return nil
	}
	if err != nil {
		return err
	}
	var r keptRecord
	if parsed := r.parse(found); parsed == nil && !k.moves.mine(&r.owner) || parsed == nil && r.owner.epoch > k.moves.self.epoch {
		return errMoved
	}
	own.rev = rev // a write of this node's whose answer was lost
	return nil
}
