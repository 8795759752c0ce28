package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt"
)

// Retained messages outlive the process where there is a backbone, and are the same on
// all nodes. The store in memory is what subscribers get; a bucket follows it, some
// milliseconds behind, and what other nodes write there is taken into the store. Of two
// that retain something under one topic at the same time the bucket decides: everybody
// ends with what was written there last.

// retainedKeeper keeps the bucket and the store alike.
type retainedKeeper struct {
	server *Server
	store  *mqtt.Retained
	bucket *backbone.Bucket
	ready  chan struct{} // closed when the store has what the bucket had

	behind *behind[string] // by topic
	// passed are topics that changed in the bucket while they were being written. The
	// behind's lock is theirs.
	passed map[string]bool

	stop    context.CancelFunc // of following
	working sync.WaitGroup
}

const (
	retainedWriters = 8 // they share the disk's syncs
	retainedLoad    = 10 * time.Second
	retainedRest    = 100 * time.Millisecond // between two tries of a writer
	// retainedWaiting is how many topics may wait to be written, beside as many as may
	// have a message: those whose message was taken away.
	retainedWaiting = 1 << 16
)

// newRetainedKeeper opens the bucket; nil where nothing is retained, or no backbone is.
func newRetainedKeeper(ctx context.Context, s *Server) (*retainedKeeper, error) {
	if s.backbone == nil || s.mqtt == nil {
		return nil, nil
	}
	k := &retainedKeeper{server: s, store: s.mqtt.retained, ready: make(chan struct{}), passed: map[string]bool{}}
	k.behind = newBehind(behindOptions[string]{
		Writers: retainedWriters, Most: s.mqtt.retainedMost + retainedWaiting, Rest: retainedRest, Write: k.write, Finish: k.finish,
		Changed: func(topic string) { delete(k.passed, topic) }, // what is written then comes behind it
	})
	var err error
	k.bucket, err = s.backbone.Bucket(ctx, backbone.BucketOptions{Name: "retained", Fresh: true})
	return k, err
}

// changed has a topic's message written: it was retained, or taken away. It does not
// wait; any goroutine calls it.
func (k *retainedKeeper) changed(topic []byte) {
	if k == nil || len(topic) > 0 && topic[0] == '$' { // weft's own figures
		return
	}
	k.behind.changed(string(topic))
}

// start takes what the bucket has into the store, and follows it from then on.
func (k *retainedKeeper) start(ctx context.Context) {
	if k == nil {
		return
	}
	k.behind.start(ctx)
	ctx, k.stop = context.WithCancel(ctx)
	k.working.Go(func() { k.follow(ctx) })
	if !k.server.backbone.State().Reached {
		return // they come when it is there
	}
	late := time.NewTimer(retainedLoad)
	defer late.Stop()
	select {
	case <-k.ready:
	case <-late.C:
		k.server.log.Warn("retained messages are not read yet: the backbone does not answer; subscribers get them when it does", "waited", retainedLoad)
	}
}

// follow takes changes of the bucket into the store until ctx ends.
func (k *retainedKeeper) follow(ctx context.Context) {
	wait := newPause(time.Second)
	for ready := false; ctx.Err() == nil; wait.sleep(ctx) {
		changes, err := k.bucket.Follow(ctx, "")
		if err != nil {
			k.server.crowd.Warn("retained messages of other nodes are not seen", "error", err)
			continue
		}
		var listed map[string]bool // nil outside of a list
		for c := range changes {
			switch {
			case c.Begin:
				listed = map[string]bool{}
			case !c.Ready:
				if listed != nil {
					listed[c.Key] = !c.Deleted
				}
				k.take(c)
			default:
				if k.forget(listed); !ready {
					ready = true
					close(k.ready)
				}
				listed = nil
			}
		}
	}
}

// take takes one change into the store, unless the topic waits to be written: that
// comes behind it, and is what counts.
func (k *retainedKeeper) take(c backbone.Change) {
	k.behind.with(c.Key, func(s standing) {
		switch s {
		case atRest:
			k.apply(c)
		case writing:
			k.passed[c.Key] = true // before what is being written, or behind it
		}
	})
}

// forget takes away what a list of everything does not have.
func (k *retainedKeeper) forget(listed map[string]bool) {
	var gone []string
	page, at, now := []*mqtt.Message(nil), mqtt.Cursor{}, time.Now().UnixNano()
	for !at.Done {
		page, at = k.store.Match("#", at, mqtt.PageLen, now, page[:0])
		for _, m := range page {
			if topic := string(m.Topic); !listed[topic] {
				gone = append(gone, topic)
			}
		}
	}
	for _, topic := range gone {
		k.behind.with(topic, func(s standing) {
			if s == atRest {
				k.store.Delete(topic)
			}
		})
	}
}

// apply takes a value of the bucket into the store.
func (k *retainedKeeper) apply(c backbone.Change) {
	if c.Deleted {
		k.store.Delete(c.Key)
		return
	}
	var r delivery.Record
	if err := delivery.ParseRecord(c.Value, &r); err != nil || string(r.Message.Topic) != c.Key || len(r.Message.Payload) == 0 {
		k.server.crowd.Warn("a retained message of the backbone is none that this version of weft knows: it is left out", "topic", c.Key, "error", err)
		return
	}
	m := &r.Message
	m.Listener = apiListener
	if i := k.server.listenerIndex(string(r.Listener)); i >= 0 {
		m.Listener = uint32(i)
	}
	expires := mqtt.ExpiresAt(m.Attrs, m.Time)
	if expires != 0 && expires <= time.Now().UnixNano() {
		k.store.Delete(c.Key)
		return
	}
	_ = k.store.Set(m, expires) // which counts what finds no room
}

// write makes the bucket have what the store has of a topic; or the store what the bucket
// has, where somebody else wrote at the same time.
func (k *retainedKeeper) write(all context.Context, topic string) outcome {
	ctx, cancel := context.WithTimeout(all, writeWithin)
	defer cancel()
	passed := false
	k.behind.with(topic, func(standing) {
		passed = k.passed[topic]
		delete(k.passed, topic)
	})
	if passed {
		if !k.catchUp(ctx, topic) && (&pause{next: retainedRest}).sleep(all) {
			k.behind.with(topic, func(s standing) { k.passed[topic] = s == writing && !k.behind.ended }) // it comes again
		}
		return nothing
	}
	switch err := k.put(ctx, topic); {
	case err == nil:
		return written
	case errors.Is(err, backbone.ErrTooLarge), errors.Is(err, backbone.ErrKey), errors.Is(err, backbone.ErrNoTTL):
		return notWritten
	}
	return notYet // it waits until there is somebody to write to who has room
}

// finish has a topic come again that somebody else wrote meanwhile.
func (k *retainedKeeper) finish(topic string, stale bool, o outcome) (again bool) {
	if stale || o >= notWritten {
		delete(k.passed, topic) // what is written then comes behind it
	}
	return k.passed[topic]
}

// catchUp takes into the store what the bucket has of a topic; false if that is not known.
func (k *retainedKeeper) catchUp(ctx context.Context, topic string) (known bool) {
	value, _, err := k.bucket.Get(ctx, topic)
	gone := errors.Is(err, backbone.ErrNoKey)
	if err != nil && !gone {
		k.server.crowd.Warn("the backbone does not say what it has of a retained message", "topic", topic, "error", err)
		return false
	}
	k.behind.with(topic, func(s standing) {
		if s == writing && !k.passed[topic] {
			k.apply(backbone.Change{Key: topic, Value: value, Deleted: gone})
		}
	})
	return true
}

// put writes what the store has of a topic now.
func (k *retainedKeeper) put(ctx context.Context, topic string) error {
	now := time.Now().UnixNano()
	stored := k.store.Get(topic, now)
	if stored == nil {
		return k.said(topic, k.bucket.Delete(ctx, topic, 0))
	}
	r := delivery.Record{Node: []byte(k.server.node)}
	stored.Fill(&r.Message)
	if i := int(r.Message.Listener); i < len(k.server.setup().names) {
		r.Listener = []byte(k.server.setup().names[i])
	}
	var ttl time.Duration
	if seconds, ok := stored.Remaining(now); ok {
		ttl = max(time.Duration(seconds)*time.Second, time.Second)
	}
	_, err := k.bucket.Put(ctx, topic, delivery.AppendRecord(nil, &r), ttl)
	return k.said(topic, err)
}

func (k *retainedKeeper) said(topic string, err error) error {
	if err != nil && !errors.Is(err, backbone.ErrNoKey) {
		k.server.crowd.Warn("a retained message was not written to the backbone", "topic", topic, "error", err)
		return err
	}
	return nil
}

// close writes what is left, for as long as one write may take, and ends.
func (k *retainedKeeper) close() {
	if k == nil || k.stop == nil {
		return
	}
	k.stop()
	left := k.behind.close(writeWithin)
	k.working.Wait()
	if left > 0 {
		k.server.log.Warn("retained messages were not written to the backbone: the next start has older ones", "topics", left)
	}
}

// retainedMetrics is how the bucket follows the store.
func (k *retainedKeeper) retainedMetrics() []admin.Metric {
	if k == nil {
		return nil
	}
	c := k.behind.stats()
	return []admin.Metric{
		single("weft_mqtt_retained_pending", "Topics whose retained message is not in the backbone yet.", admin.Gauge, uint64(c.Pending)),
		single("weft_mqtt_retained_written_total", "Retained messages written to the backbone.", admin.Counter, c.Written),
		single("weft_mqtt_retained_failed_total", "Of them, those that the backbone did not take.", admin.Counter, c.Failed),
		single("weft_mqtt_retained_left_total", "Changes of retained messages that are not in the backbone, as too many waited to be written.", admin.Counter, c.Refused),
	}
}
