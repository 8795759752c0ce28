package backbone

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A node that has been in its cluster before starts without it as well: it was the
// machine, or the way to the others, that was down, and durable messages have a place
// to wait. A node that was never there with this configuration does not start: that the
// URL is wrong looks the same.

// memberFile is in the data folder of a node that has been in its cluster.
const memberFile = "member"

// defaultPayload is the largest message of a cluster that has not said.
const defaultPayload = 1 << 20

// cluster tells one configuration of the cluster from another. It shows none of it:
// a URL may have a password.
func (b *Backbone) cluster() string {
	o := &b.options
	sum := sha256.Sum256([]byte(strings.Join(append([]string{o.Node, o.Prefix}, o.URLs...), "\x00")))
	return hex.EncodeToString(sum[:16])
}

// remember writes down that this node is in the cluster.
func (b *Backbone) remember() error {
	name := filepath.Join(b.folder.path, memberFile)
	text := fmt.Appendf(nil, "%s %d\n", b.cluster(), b.conn.MaxPayload())
	if there, err := os.ReadFile(name); err == nil && string(there) == string(text) {
		return nil
	}
	if err := writeSynced(name, text); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return nil
}

// member tells whether this node was in the cluster before, and what the largest
// message there is.
func (b *Backbone) member() (payload int64, ok bool) {
	text, err := os.ReadFile(filepath.Join(b.folder.path, memberFile))
	if err != nil {
		return 0, false
	}
	var cluster string
	if _, err := fmt.Sscan(string(text), &cluster, &payload); err != nil || cluster != b.cluster() {
		return 0, false
	}
	if payload <= 0 {
		payload = defaultPayload
	}
	return payload, true
}

// startLate makes a connection that comes about when the cluster is there.
func (b *Backbone) startLate(payload int64, why error) error {
	options, _, err := b.access()
	if err != nil {
		return err
	}
	// What this node wrote last cannot be asked for: its records count from one again,
	// as another writer's.
	if err := os.Remove(filepath.Join(b.folder.path, writerFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	b.late, b.largest = true, payload
	b.tracker.set(false, func(s *State) { s.Fault = why.Error() })
	options = append(options, nats.RetryOnFailedConnect(true), nats.ConnectHandler(func(c *nats.Conn) {
		b.tracker.set(true, func(s *State) {
			b.connected(c, s)
			s.Reconnects++
		})
		b.announce()
		if err := b.remember(); err != nil {
			b.seldom.Warn("it was not written down that this node is in the cluster", "error", err)
		}
	}))
	if b.conn, err = nats.Connect(strings.Join(b.options.URLs, ","), options...); err != nil {
		return b.explain(err, nil)
	}
	if b.js, err = jetstream.New(b.conn); err != nil {
		return err
	}
	b.last.Store(&Status{Node: b.options.Node, Dir: b.folder.path, Disk: b.disk, Sync: clusterSync, Limit: -1, MemoryLimit: -1, Payload: payload})
	b.options.Logger.Warn("backbone cannot be reached: weft starts without it; durable messages wait in this node's own log", "error", why, "folder", b.folder.path)
	return nil
}

// excused tells whether an error is one that a node which started without its cluster
// goes on with.
func (b *Backbone) excused(err error) bool { return b.late && errors.Is(err, ErrAway) }

// payload is the largest message that the servers take, as far as it is known. It does not
// ask the connection, whose lock is held for as long as the servers take nothing: a loop
// calls it for every message that goes to another node.
func (b *Backbone) payload() int64 {
	if n := b.most.Load(); n > 0 {
		return n
	}
	return b.largest
}

// measurePayload notes the largest message that the servers of the connection take. It may wait.
func (b *Backbone) measurePayload(c *nats.Conn) {
	if n := c.MaxPayload(); n > 0 {
		b.most.Store(n)
	}
}

// lazy is a stream that is opened when the backbone is there.
type lazy struct {
	b    *Backbone
	open func(context.Context) (jetstream.Stream, error)
	mu   sync.Mutex // while it is opened
	is   atomic.Pointer[jetstream.Stream]
}

// opened is a stream that is open.
func opened(b *Backbone, s jetstream.Stream) *lazy {
	z := &lazy{b: b}
	z.is.Store(&s)
	return z
}

// againWithin bounds how long the cluster is asked for something until it answers, and
// againAfter is between two times that it is.
const (
	againWithin = 20 * time.Second
	againAfter  = 250 * time.Millisecond
)

// again asks the cluster for something until it answers, for againWithin at most and no
// longer than ctx: servers that have just begun, or choose a leader, may leave a question
// without an answer. A node that goes on without them does not wait, and none does while
// its connection is lost.
func (b *Backbone) again(ctx context.Context, ask func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, againWithin)
	defer cancel()
	// Without a deadline each question of ask has nats.go's own, and is not given all of
	// the time that there is for several.
	asking, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(within, end)()
	for {
		err := ask(asking)
		if errors.Is(err, context.Canceled) && within.Err() != nil {
			err = known(within.Err()) // else it says that end was called
		}
		if !errors.Is(err, ErrAway) || b.excused(err) || !b.conn.IsConnected() {
			return err
		}
		b.seldom.Warn("the backbone does not answer yet", "error", err)
		select {
		case <-within.Done():
			return err
		case <-b.closed:
			return err
		case <-time.After(againAfter):
		}
	}
}

// first opens the stream when the backbone is there; a node that goes on without it
// leaves that for later.
func (z *lazy) first(ctx context.Context) error {
	err := z.b.again(ctx, func(ctx context.Context) error {
		_, err := z.get(ctx)
		return err
	})
	if z.b.excused(err) {
		return nil
	}
	return err
}

// get returns the stream, and opens it before; ErrAway if that cannot be now.
func (z *lazy) get(ctx context.Context) (jetstream.Stream, error) {
	if s := z.is.Load(); s != nil {
		return *s, nil
	}
	if !z.b.conn.IsConnected() {
		return nil, ErrAway
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if s := z.is.Load(); s != nil {
		return *s, nil
	}
	s, err := z.open(ctx)
	if err != nil {
		return nil, known(err)
	}
	z.is.Store(&s)
	return s, nil
}
