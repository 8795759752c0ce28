package backbone

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What a bucket's methods may answer beside ErrFull, ErrAway and ErrTooLarge.
var (
	// ErrNoKey: the bucket has nothing under the key.
	ErrNoKey = errors.New("no such key")
	// ErrConflict: what is under the key is of another revision than the caller's.
	ErrConflict = errors.New("the key was changed in between")
	// ErrKey: the key is empty or longer than KeyMax.
	ErrKey = errors.New("not a key")
	// ErrTooMany: the backbone has as many buckets as it may.
	ErrTooMany = errors.New("too many buckets")
	// ErrNoTTL: the NATS servers are older than 2.11 and know no time to live of a
	// single key.
	ErrNoTTL = errors.New("keys with a time to live of their own need nats-server 2.11 or later")
)

const (
	// maxBuckets bounds the streams that buckets are, whatever asks for them.
	maxBuckets = 64
	// markersFor is how long it is remembered that a key was deleted or came of age,
	// for watchers that are away at that moment.
	markersFor = time.Hour
)

// BucketOptions say what a bucket keeps.
type BucketOptions struct {
	// Name is the bucket's name, any text.
	Name string
	// TTL is how long a key lives after it was written; 0 is for ever.
	TTL time.Duration
	// Size bounds the bucket in bytes, keys and about 60 bytes each included: it is
	// set aside of Options.Size. 0 is no bound but that.
	Size int64
	// Memory keeps the bucket in the servers' memory: it does not outlive them.
	Memory bool
	// Fresh has every Get answered by the server that orders the writes. Without, a
	// copy may answer, which in a cluster can be a moment behind.
	Fresh bool
}

// Bucket is a set of values by key, shared by all nodes. Of each key there is the
// newest value only. Its methods may be called by any goroutine, not by a loop's:
// they wait, five seconds at most where ctx has no deadline.
//
// A write that fails with ErrAway may have been done or not: Update and Create tell
// when they are tried again.
type Bucket struct {
	b       *Backbone
	options BucketOptions
	stream  *lazy
	prefix  string // of subjects, with the last dot
	keyTTL  bool   // servers know a time to live of single keys; known with the stream
}

// Bucket opens a bucket, and creates or changes what holds it, if need be when the
// backbone is there: until then what asks it fails with ErrAway. One Backbone has no
// more than 64.
func (b *Backbone) Bucket(ctx context.Context, o BucketOptions) (*Bucket, error) {
	name := token(b.options.Prefix) + "_" + token(o.Name)
	if !b.buckets.take(name) {
		return nil, fmt.Errorf("bucket %s: %w: %d", o.Name, ErrTooMany, maxBuckets)
	}
	k := &Bucket{b: b, options: o, prefix: "$KV." + name + "."}
	k.stream = &lazy{b: b, open: k.open}
	if err := k.stream.first(ctx); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", o.Name, err)
	}
	return k, nil
}

// open creates or changes the stream.
func (k *Bucket) open(ctx context.Context) (jetstream.Stream, error) {
	b, o := k.b, &k.options
	account, err := b.js.AccountInfo(ctx)
	if err != nil {
		return nil, err
	}
	k.keyTTL = account.API.Level >= 1
	c := jetstream.StreamConfig{
		Name: strings.TrimSuffix(strings.Replace(k.prefix, "$KV.", "KV_", 1), "."), Subjects: []string{k.prefix + ">"}, Description: "weft: " + o.Name,
		MaxMsgsPerSubject: 1, MaxBytes: orNone(o.Size), MaxAge: o.TTL, MaxMsgs: -1, MaxMsgSize: -1, MaxConsumers: -1,
		Discard: jetstream.DiscardNew, AllowRollup: true, AllowDirect: !o.Fresh,
		AllowMsgTTL: k.keyTTL, Duplicates: duplicates(o.TTL),
	}
	if k.keyTTL {
		c.SubjectDeleteMarkerTTL = markersFor
	}
	if o.Memory {
		c.Storage = jetstream.MemoryStorage
	}
	return b.stream(ctx, c)
}

// duplicates is a window that is not used, as short as the servers allow it to be.
func duplicates(ttl time.Duration) time.Duration {
	if ttl > 0 && ttl < time.Second {
		return ttl
	}
	return time.Second
}

// names are those of the buckets.
type names struct {
	mu  sync.Mutex
	all map[string]struct{}
}

func (n *names) take(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.all[name]; !ok && len(n.all) == maxBuckets {
		return false
	}
	if n.all == nil {
		n.all = map[string]struct{}{}
	}
	n.all[name] = struct{}{}
	return true
}

// Get returns a key's value, which is the caller's, and its revision. The error is
// ErrNoKey if there is none.
func (k *Bucket) Get(ctx context.Context, key string) (value []byte, rev uint64, err error) {
	if err := checkKey(key); err != nil {
		return nil, 0, k.fault(key, err)
	}
	s, err := k.stream.get(ctx)
	if err != nil {
		return nil, 0, k.fault(key, err)
	}
	m, err := k.b.newestOf(ctx, s, k.prefix+subjectOfKey(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && isMarker(m.Header) {
		return nil, 0, k.fault(key, ErrNoKey)
	}
	if err != nil {
		return nil, 0, k.fault(key, known(err))
	}
	return m.Data, m.Sequence, nil
}

// Put sets a key, whatever it has, and returns the revision. A ttl above 0, rounded
// up to whole seconds, is how long it lives, if that is less than the bucket's.
func (k *Bucket) Put(ctx context.Context, key string, value []byte, ttl time.Duration) (rev uint64, err error) {
	return k.write(ctx, key, value, ttl)
}

// createTries is how often Create looks again at a key whose value ends meanwhile.
const createTries = 3

// Create sets a key that has no value; ErrConflict if it has one.
func (k *Bucket) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (rev uint64, err error) {
	var there uint64 // the revision of a marker: that of a key that was deleted
	for range createTries {
		rev, err = k.write(ctx, key, value, ttl, jetstream.WithExpectLastSequencePerSubject(there))
		if !errors.Is(err, ErrConflict) {
			return rev, err
		}
		m, gone := k.last(ctx, key)
		switch {
		case errors.Is(gone, jetstream.ErrMsgNotFound):
			there = 0 // what was in the way has ended since
		case gone != nil:
			return 0, k.fault(key, known(gone))
		case !isMarker(m.Header):
			return 0, err
		default:
			there = m.Sequence
		}
	}
	return 0, err
}

// Update sets a key if its revision is still rev; else ErrConflict, also if it has
// been deleted. The ttl counts from now.
func (k *Bucket) Update(ctx context.Context, key string, value []byte, rev uint64, ttl time.Duration) (uint64, error) {
	if rev == 0 {
		return 0, k.fault(key, ErrConflict)
	}
	return k.write(ctx, key, value, ttl, jetstream.WithExpectLastSequencePerSubject(rev))
}

// last is the newest of a key, a marker included, from the server that orders writes.
func (k *Bucket) last(ctx context.Context, key string) (*jetstream.RawStreamMsg, error) {
	s, err := k.stream.get(ctx)
	if err != nil {
		return nil, err
	}
	return k.b.newestOf(ctx, s, k.prefix+subjectOfKey(key))
}

func (k *Bucket) write(ctx context.Context, key string, value []byte, ttl time.Duration, opts ...jetstream.PublishOpt) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, k.fault(key, err)
	}
	if _, err := k.stream.get(ctx); err != nil {
		return 0, k.fault(key, err)
	}
	if ttl > 0 {
		if !k.keyTTL {
			return 0, k.fault(key, ErrNoTTL)
		}
		opts = append(opts, jetstream.WithMsgTTL((ttl + time.Second - 1).Truncate(time.Second)))
	}
	if err := k.b.fault(); err != nil {
		return 0, k.fault(key, err)
	}
	m := &nats.Msg{Subject: k.prefix + subjectOfKey(key), Data: value, Header: nats.Header{}}
	ack, err := k.b.publish(ctx, m, opts)
	if err != nil {
		return 0, k.fault(key, known(err))
	}
	return ack.Sequence, nil
}

// The headers of a key that is no more: ours are those of every NATS client, the
// server writes its own when a time to live ends.
const (
	headerOperation = "KV-Operation"
	headerReason    = "Nats-Marker-Reason"
)

func isMarker(h nats.Header) bool {
	return h.Get(headerOperation) != "" || h.Get(headerReason) != ""
}

// Delete removes a key; it is no error if there was none. A rev above 0 is the
// revision that it must have: else ErrConflict. A full bucket can be made emptier.
func (k *Bucket) Delete(ctx context.Context, key string, rev uint64) error {
	_, err := k.Remove(ctx, key, rev)
	return err
}

// Remove is Delete, and returns the revision of what is left in the key's place; 0 if
// the bucket was too full for that.
func (k *Bucket) Remove(ctx context.Context, key string, rev uint64) (left uint64, err error) {
	if err := checkKey(key); err != nil {
		return 0, k.fault(key, err)
	}
	if _, err := k.stream.get(ctx); err != nil {
		return 0, k.fault(key, err)
	}
	m := &nats.Msg{Subject: k.prefix + subjectOfKey(key), Header: nats.Header{}}
	m.Header.Set(headerOperation, "PURGE")
	m.Header.Set("Nats-Rollup", "sub")
	var opts []jetstream.PublishOpt
	if k.keyTTL {
		opts = append(opts, jetstream.WithMsgTTL(markersFor))
	}
	if rev > 0 {
		opts = append(opts, jetstream.WithExpectLastSequencePerSubject(rev))
	}
	ack, err := k.b.publish(ctx, m, opts)
	if err = known(err); errors.Is(err, ErrFull) {
		if err = k.makeRoom(ctx, key, rev); err == nil {
			return 0, nil
		}
	}
	if err != nil {
		return 0, k.fault(key, err)
	}
	return ack.Sequence, nil
}

// makeRoom deletes a key whose marker is larger than its value in a full bucket. The
// server leaves a marker of its own where it has room for one.
func (k *Bucket) makeRoom(ctx context.Context, key string, rev uint64) error {
	if rev > 0 {
		m, err := k.last(ctx, key)
		if err == nil && m.Sequence != rev || errors.Is(err, jetstream.ErrMsgNotFound) {
			return ErrConflict
		}
		if err != nil {
			return known(err)
		}
	}
	s, err := k.stream.get(ctx)
	if err != nil {
		return err
	}
	return known(s.Purge(ctx, jetstream.WithPurgeSubject(k.prefix+subjectOfKey(key))))
}

// Keys are the keys with the prefix, in no order; the empty prefix is all.
func (k *Bucket) Keys(ctx context.Context, prefix string) (keys []string, err error) {
	err = k.b.again(ctx, func(ctx context.Context) (err error) {
		keys, err = k.keys(ctx, prefix)
		return err
	})
	if err != nil {
		return nil, k.fault(prefix, err)
	}
	return keys, nil
}

func (k *Bucket) keys(ctx context.Context, prefix string) ([]string, error) {
	asked := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &watcher{bucket: k, prefix: prefix, keysOnly: true, changes: make(chan Change, watchAhead)}
	if err := w.open(ctx); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() {
		err := w.read(ctx)
		w.forget()
		close(w.changes)
		ended <- err
	}()
	var keys []string
	for c := range w.changes {
		if c.Ready {
			cancel()
			for range w.changes { // until the reader has ended
			}
			return keys, nil
		}
		if !c.Deleted {
			keys = append(keys, c.Key)
		}
	}
	err := <-ended
	if errors.Is(err, context.Canceled) && asked.Err() == nil {
		err = errWatchAgain // it was read by a connection that is no more
	}
	return nil, known(err)
}

// BucketInfo is how full a bucket is.
type BucketInfo struct {
	// Keys counts keys, and for an hour also those that were deleted. Bytes is what
	// they take, Size the bound; 0 is none.
	Keys  uint64
	Bytes uint64
	Size  int64
}

// Info asks the servers.
func (k *Bucket) Info(ctx context.Context) (BucketInfo, error) {
	s, err := k.stream.get(ctx)
	if err != nil {
		return BucketInfo{}, k.fault("", err)
	}
	info, err := s.Info(ctx)
	if err != nil {
		return BucketInfo{}, k.fault("", known(err))
	}
	return BucketInfo{Keys: info.State.Msgs, Bytes: info.State.Bytes, Size: max(info.Config.MaxBytes, 0)}, nil
}

// fault says which bucket and key an error is about.
func (k *Bucket) fault(key string, err error) error {
	if len(key) > 64 {
		key = strings.ToValidUTF8(key[:64], "") + "..."
	}
	return fmt.Errorf("bucket %s, key %q: %w", k.options.Name, key, err)
}
