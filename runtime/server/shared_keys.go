package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/runtime/backbone"
)

// Keys of plugins with scope cluster. hostfuncs.Replica is what a plugin reads and
// writes; a bucket of the backbone, one for all namespaces, is what nodes share. Here is
// what lies between: the bucket's changes are told to the replicas, and keys that were
// changed here are written behind.

// sharedKeys is a hostfuncs.Sharer.
type sharedKeys struct {
	server *Server
	writer uint64 // tells this process's writes from those of others
	writes atomic.Uint64

	opening sync.Mutex
	bucket  *backbone.Bucket // nil before the first namespace
	behind  *behind[dirtyKey]
	follow  context.Context // of following
	stop    context.CancelFunc
	working sync.WaitGroup

	mu     sync.Mutex
	spaces []*sharedSpace
}

// sharedSpace is a namespace with its counts.
type sharedSpace struct {
	*hostfuncs.Replica
	written, failed atomic.Uint64
	connected       chan struct{} // closed when it has what the bucket had
}

type dirtyKey struct {
	space *sharedSpace
	key   string
}

const (
	sharedBucket  = "kv"
	sharedWriters = 8 // they share the disk's syncs
	sharedLoad    = 10 * time.Second
)

var errNoSharing = errors.New("kv with scope cluster needs the backbone, which was not opened at start: restart weft")

func newSharedKeys(s *Server) *sharedKeys {
	k := &sharedKeys{server: s, writer: rand.Uint64()}
	k.behind = newBehind(behindOptions[dirtyKey]{Writers: sharedWriters, Write: k.work})
	return k
}

// store is a store of keys whose namespaces of the cluster are shared here.
func (k *sharedKeys) store() *hostfuncs.KV {
	kv := hostfuncs.NewKV(nil)
	kv.ShareBy(k)
	return kv
}

// Share implements hostfuncs.Sharer.
func (k *sharedKeys) Share(r *hostfuncs.Replica) error {
	if err := k.open(); err != nil {
		return fmt.Errorf("kv namespace %s: %w", r.Name(), err)
	}
	s := &sharedSpace{Replica: r, connected: make(chan struct{})}
	r.OnDirty(func(key string) { k.behind.changed(dirtyKey{s, key}) })
	k.mu.Lock()
	k.spaces = append(k.spaces, s)
	k.mu.Unlock()
	k.working.Go(func() { k.listen(s) })
	late := time.NewTimer(sharedLoad)
	defer late.Stop()
	select {
	case <-s.connected:
	case <-late.C:
		k.server.log.Warn("the keys of a namespace are not read yet: the backbone does not answer; plugins have them when it does",
			"namespace", r.Name(), "waited", sharedLoad)
	}
	return nil
}

// open opens the bucket, once.
func (k *sharedKeys) open() error {
	k.opening.Lock()
	defer k.opening.Unlock()
	switch {
	case k.bucket != nil:
		return nil
	case k.server.backbone == nil:
		return errNoSharing
	}
	ctx, cancel := context.WithTimeout(k.server.ctx, sharedLoad)
	defer cancel()
	bucket, err := k.server.backbone.Bucket(ctx, backbone.BucketOptions{Name: sharedBucket, Fresh: true})
	if err != nil {
		return err
	}
	k.bucket = bucket
	k.follow, k.stop = context.WithCancel(k.server.ctx)
	k.behind.start(k.server.ctx)
	return nil
}

// listen tells a replica of the bucket's changes.
func (k *sharedKeys) listen(s *sharedSpace) {
	prefix := s.Name() + "/"
	wait := newPause(time.Second)
	for ready := false; k.follow.Err() == nil; wait.sleep(k.follow) {
		changes, err := k.bucket.Follow(k.follow, prefix)
		if err != nil {
			k.server.crowd.Warn("keys of other nodes are not seen", "namespace", s.Name(), "error", err)
			continue
		}
		for c := range changes {
			switch {
			case c.Begin:
				s.Listing()
			case !c.Ready:
				s.Tell(c.Key[len(prefix):], k.found(c.Value, c.Rev, c.Deleted).Found)
			default:
				s.Listed()
				if !ready {
					ready = true
					close(s.connected)
				}
			}
		}
	}
}

// work writes what a replica has of a key. The replica has so many keys at most, and
// knows itself whether one was written.
func (k *sharedKeys) work(ctx context.Context, d dirtyKey) outcome {
	if ctx.Err() != nil {
		return nothing // the replica says so
	}
	w, ok := d.space.Take(d.key)
	switch {
	case !ok:
	case w.Check:
		k.ask(ctx, d, "", d.space.Checked)
	default:
		return k.write(ctx, d, w)
	}
	return nothing
}

// write writes one key, and does not let go of it while the backbone is away: so many
// writes at most are under way of which nobody knows whether they were done.
func (k *sharedKeys) write(ctx context.Context, d dirtyKey, w hostfuncs.Write) outcome {
	mine := stamp{writer: k.writer, number: k.writes.Add(1)}
	if w.TTL > 0 {
		mine.expires = time.Now().Add(w.TTL).UnixMilli()
	}
	for wait := newPause(time.Second); ; wait.sleep(ctx) {
		rev, err := k.put(ctx, d, w, mine)
		switch {
		case err == nil:
			d.space.written.Add(1)
			d.space.Done(d.key, rev)
			return written
		case ctx.Err() != nil:
			return notWritten
		case errors.Is(err, backbone.ErrConflict):
			k.ask(ctx, d, string(appendStamp(nil, mine)), d.space.Lost)
			return notWritten
		}
		d.space.failed.Add(1)
		k.server.crowd.Warn("a plugin's key was not written to the backbone", "namespace", d.space.Name(), "error", err)
		switch {
		case errors.Is(err, backbone.ErrAway):
		case errors.Is(err, backbone.ErrFull):
			wait.sleep(ctx)
			d.space.Undone(d.key) // others may make room
			return notWritten
		default:
			k.ask(ctx, d, "", d.space.Lost)
			return notWritten
		}
	}
}

// put tries once.
func (k *sharedKeys) put(ctx context.Context, d dirtyKey, w hostfuncs.Write, mine stamp) (rev uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	key := d.space.Name() + "/" + d.key
	if w.Delete {
		return k.remove(ctx, key, w)
	}
	value, ttl := append(appendStamp(nil, mine), w.Value...), time.Duration(0)
	if mine.expires != 0 {
		ttl = max(time.Until(time.UnixMilli(mine.expires)), time.Second)
	}
	switch {
	case !w.If:
		return k.bucket.Put(ctx, key, value, ttl)
	case w.Base != 0 && !w.Absent:
		return k.bucket.Update(ctx, key, value, w.Base, ttl)
	}
	return k.create(ctx, key, value, ttl)
}

const (
	createTries = 3                     // how often create looks again at what ends meanwhile
	timesDiffer = 20 * time.Millisecond // how much later the time of a key may end by its stamp than by the copy
)

// create writes a key that the bucket has not, or whose time is over: the servers let go
// of it up to a second later than nodes do.
func (k *sharedKeys) create(ctx context.Context, key string, value []byte, ttl time.Duration) (rev uint64, err error) {
	for range createTries {
		rev, err = k.bucket.Create(ctx, key, value, ttl)
		if !errors.Is(err, backbone.ErrConflict) {
			return rev, err
		}
		there, left, getErr := k.there(ctx, key)
		switch {
		case getErr != nil:
			return 0, getErr
		case left > timesDiffer:
			return 0, err
		case there == 0:
			continue
		}
		(&pause{next: left}).sleep(ctx)
		rev, err = k.bucket.Update(ctx, key, value, there, ttl)
		if !errors.Is(err, backbone.ErrConflict) {
			return rev, err
		}
	}
	return 0, err
}

// remove takes a key away, and is content where its time is over already.
func (k *sharedKeys) remove(ctx context.Context, key string, w hostfuncs.Write) (rev uint64, err error) {
	switch {
	case !w.If:
		return k.bucket.Remove(ctx, key, 0)
	case w.Base == 0:
		return 0, nil
	}
	rev, err = k.bucket.Remove(ctx, key, w.Base)
	if !errors.Is(err, backbone.ErrConflict) {
		return rev, err
	}
	switch _, left, getErr := k.there(ctx, key); {
	case getErr != nil:
		return 0, getErr
	case left <= timesDiffer:
		return 0, nil
	}
	return 0, err
}

// there is the revision of what the bucket has of a key, 0 for nothing, and how long it
// still lives.
func (k *sharedKeys) there(ctx context.Context, key string) (rev uint64, left time.Duration, err error) {
	value, rev, err := k.bucket.Get(ctx, key)
	switch {
	case errors.Is(err, backbone.ErrNoKey):
		return 0, 0, nil
	case err != nil:
		return 0, 0, err
	}
	f := k.found(value, rev, false)
	if !f.Deleted && f.TTL == 0 {
		return rev, math.MaxInt64, nil
	}
	return rev, f.TTL, nil
}

// ask tells the replica what the bucket has of a key. If that was written with the
// given stamp, it was this write: Done.
func (k *sharedKeys) ask(ctx context.Context, d dirtyKey, mine string, tell func(string, hostfuncs.Found) bool) {
	for wait := newPause(time.Second); ctx.Err() == nil; wait.sleep(ctx) {
		d.space.Asking(d.key)
		limited, cancel := context.WithTimeout(ctx, writeWithin)
		value, rev, err := k.bucket.Get(limited, d.space.Name()+"/"+d.key)
		cancel()
		gone := errors.Is(err, backbone.ErrNoKey)
		if err != nil && !gone {
			k.server.crowd.Warn("the backbone does not say what it has of a plugin's key", "namespace", d.space.Name(), "error", err)
			continue
		}
		f := k.found(value, rev, gone)
		if mine != "" && f.stamp == mine {
			d.space.written.Add(1)
			d.space.Done(d.key, rev)
			return
		}
		if !tell(d.key, f.Found) {
			return
		}
	}
}

// close writes what is left, for as long as one write may take, and ends.
func (k *sharedKeys) close() {
	if k.bucket == nil {
		return
	}
	k.stop()
	k.behind.close(writeWithin)
	k.working.Wait()
	for _, s := range k.spaces {
		if left := s.Stats().Pending; left > 0 {
			k.server.log.Warn("keys of plugins were not written to the backbone: the next start has older values", "namespace", s.Name(), "keys", left)
		}
	}
}
