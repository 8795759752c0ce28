package filter

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// follower is an enforcer that is told of changes by Push.
type follower struct {
	enforcer Enforcer

	push sync.Mutex // held while it is told
	told bool       // it has listeners; under push
	// Under Book.mu:
	all     []Listener // it is to have, nil if it has them
	touched map[place]struct{}
}

// pushBatch is how many entries a follower is told of at once.
const pushBatch = 1024

// Attach adds an enforcer that is told of each change at once, under the book's lock: it
// must not block. It gets what is there already.
func (b *Book) Attach(e Enforcer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Entry, 0, len(b.entries))
	for _, entry := range b.entries {
		list = append(list, entry)
	}
	if err := errors.Join(e.Listeners(b.listeners), e.Put(list)); err != nil {
		return err
	}
	b.near = append(b.near, e)
	return nil
}

// Follow adds an enforcer that is told of changes by Push, and with the first one of what
// is there already.
func (b *Book) Follow(e Enforcer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.follow(e, nil)
}

func (b *Book) follow(e Enforcer, had []Entry) {
	f := &follower{enforcer: e, all: b.listeners, told: had != nil, touched: make(map[place]struct{}, len(b.entries)+len(had))}
	for where := range b.entries {
		f.touched[where] = struct{}{}
	}
	for i := range had {
		f.touched[place{had[i].Listener, had[i].Prefix}] = struct{}{}
	}
	b.far = append(b.far, f)
	b.tell()
}

// FollowKeeper is Follow for an enforcer that may have entries of an earlier process.
// What an operator has set is taken up with the time that it has left, and what plugins and
// policies have blocked, for OwnerKept. It tells how many that are. What the configuration
// forbade is not taken up, it is read again; nor is what plugins allowed. What is not in
// the book afterwards the enforcer is told to delete, by Push; until then it goes on with
// all it has.
func (b *Book) FollowKeeper(k Keeper) (restored int, err error) {
	b.mu.Lock()
	listeners := b.listeners
	b.mu.Unlock()
	if err := k.Listeners(listeners); err != nil {
		return 0, err
	}
	_, had, err := k.Kept()
	if err != nil {
		return 0, err
	}
	names := map[uint16]string{}
	for i := range listeners {
		names[listeners[i].ID] = listeners[i].Name
	}
	for _, e := range had {
		r := Rule{Owner: OwnerKept, Listener: names[e.Listener], Prefix: e.Prefix, Action: e.Action, Until: e.Until, Why: "of before the last start"}
		switch {
		case r.Listener == "" || e.Author == ByConfig || e.Author == ByRuntime && e.Action == Allow:
			continue
		case e.Author == ByOperator:
			r.Owner = OwnerOperator
		}
		if b.Set(r) == nil {
			restored++
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.follow(k, append([]Entry{}, had...))
	return restored, nil
}

// Changed has a value when Push has something to do.
func (b *Book) Changed() <-chan struct{} { return b.changed }

// Push tells the enforcers of Follow what has changed. When it returns they have
// everything that was in the book when it was called. What one refuses it is told again
// by the next Push.
func (b *Book) Push() error {
	b.mu.Lock()
	far := slices.Clone(b.far)
	b.mu.Unlock()
	var faults []error
	for _, f := range far {
		if err := b.pushTo(f); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func (b *Book) pushTo(f *follower) error {
	f.push.Lock()
	defer f.push.Unlock()
	b.mu.Lock()
	all := f.all
	f.all = nil
	b.mu.Unlock()
	if all != nil {
		if err := b.pushListeners(f, all); err != nil {
			b.mu.Lock()
			if f.all == nil {
				f.all = all
			}
			b.mu.Unlock()
			return fmt.Errorf("listeners: %w", err)
		}
		f.told = true
	}
	return b.pushEntries(f, false)
}

// pushListeners tells a follower of listeners, so that their rules are there when they
// come into force; see Configure.
func (b *Book) pushListeners(f *follower, all []Listener) error {
	with, ok := f.enforcer.(interface {
		ListenersWith([]Listener, []Entry) error
	})
	if !ok {
		if f.told { // if there is no room yet, the rest comes later
			_ = b.pushEntries(f, true)
		}
		return f.enforcer.Listeners(all)
	}
	b.mu.Lock()
	entries := make([]Entry, 0, len(b.entries))
	for _, e := range b.entries {
		entries = append(entries, e)
	}
	b.mu.Unlock()
	if with.ListenersWith(all, entries) == nil {
		return nil
	}
	// Perhaps there is no room before others have gone: all entries come later then,
	// since those of an ID that another listener has had are not there.
	b.mu.Lock()
	for where := range b.entries {
		f.touched[where] = struct{}{}
	}
	b.mu.Unlock()
	return f.enforcer.Listeners(all)
}

// pushEntries tells a follower of entries until it knows all, or all that are there.
func (b *Book) pushEntries(f *follower, onlyPut bool) error {
	for {
		put, gone := b.batch(f, onlyPut)
		if len(put)+len(gone) == 0 {
			return nil
		}
		if err := f.tell(put, gone); err != nil {
			b.mu.Lock()
			for _, e := range slices.Concat(put, gone) {
				f.touched[place{e.Listener, e.Prefix}] = struct{}{}
			}
			b.mu.Unlock()
			return fmt.Errorf("entries: %w", err)
		}
	}
}

// tell puts first, so that no source passes meanwhile that one entry forbade and another
// does; if there is no room for that, it deletes first.
func (f *follower) tell(put, gone []Entry) error {
	var err error
	if len(put) > 0 {
		err = f.enforcer.Put(put)
	}
	if len(gone) > 0 {
		if bad := f.enforcer.Delete(gone); bad != nil {
			return errors.Join(err, bad)
		}
		if err != nil {
			err = f.enforcer.Put(put)
		}
	}
	return err
}

// batch takes some of what a follower is not told yet; onlyPut leaves what is gone.
func (b *Book) batch(f *follower, onlyPut bool) (put, gone []Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for where := range f.touched {
		e, ok := b.entries[where]
		switch {
		case ok:
			put = append(put, e)
		case onlyPut:
			continue
		default:
			gone = append(gone, Entry{Listener: where.listener, Prefix: where.prefix})
		}
		if delete(f.touched, where); len(put) == pushBatch || len(gone) == pushBatch {
			return put, gone
		}
	}
	return put, gone
}

// put, drop and tell pass an entry's change on.

func (b *Book) put(where place, e Entry) {
	for _, n := range b.near {
		_ = n.Put([]Entry{e})
	}
	for _, f := range b.far {
		f.touched[where] = struct{}{}
	}
}

func (b *Book) drop(where place, e Entry) {
	if b.gone != nil {
		b.gone = append(b.gone, e)
	} else {
		for _, n := range b.near {
			_ = n.Delete([]Entry{e})
		}
	}
	for _, f := range b.far {
		f.touched[where] = struct{}{}
	}
}

func (b *Book) tell() {
	for _, f := range b.far {
		if f.all != nil || len(f.touched) > 0 {
			select {
			case b.changed <- struct{}{}:
			default:
			}
			return
		}
	}
}
