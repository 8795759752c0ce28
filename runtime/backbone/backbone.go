// Package backbone is what outlives a process of weft, and what connects several:
// logs, buckets of values, and messages between nodes. It stands on NATS, with
// JetStream, and is the only place that knows so: a server in this process by
// default, without a port; an external cluster where one machine is outgrown.
package backbone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftrun/weft/runtime/logging"
)

// Options say where the backbone is, and how careful it is.
type Options struct {
	// URLs are an external cluster's servers. Empty: a server in this process.
	URLs []string
	// Node is this node's name: unique in the cluster, the same after a restart.
	Node string
	// Dir is the folder of what must survive: required, also with URLs. It is made,
	// and locked: one process at a time can use it.
	Dir string
	// Size is how many bytes it may hold; 0 is 10 GiB. Memory is how many what lives
	// in memory may hold, with a server in this process; 0 is 256 MiB.
	Size, Memory int64
	// SyncEvery is how often writes reach the disk; 0 is before each is
	// acknowledged. External servers have a setting of their own.
	SyncEvery time.Duration
	// StartWithin is how long a server in this process may read the folder at the
	// start; 0 is 5 minutes.
	StartWithin time.Duration
	// Prefix begins every subject, stream and bucket name. Empty is "weft".
	Prefix string
	// Replicas is how many servers of an external cluster hold a copy; 0 is 3, and 1
	// with a single server. What is there already keeps what it has.
	Replicas int
	// Access is what an external cluster asks for.
	Access Access
	// Within bounds the first connection to an external cluster; 0 is 10 seconds.
	Within time.Duration
	// Patience is how long a server of an external cluster may take nothing before it
	// counts as gone, and how often it is asked whether it is there; 0 is 5 seconds.
	Patience time.Duration
	// Forward is how many bytes the logs keep in this node's own folder while an
	// external cluster is away; 0 is 1 GiB.
	Forward int64
	// Logger is required.
	Logger *slog.Logger
}

// Access is how weft shows an external cluster who it is. All are names of files but
// User, Password, Token and ServerName; what is in them is read again for each connection.
type Access struct {
	// Credentials is a .creds file, NKey one with a seed, PasswordFile one with
	// User's password, TokenFile one with a token.
	Credentials, NKey, User, PasswordFile, TokenFile string
	// Password and Token are in the place of the files.
	Password, Token string
	// TLS asks for TLS whatever the URLs say. CA has the certificates to trust, empty
	// for those of the system; Cert and Key are weft's own, or both empty. ServerName
	// is the name in the servers' certificate; empty is the URL's host.
	TLS                       bool
	CA, Cert, Key, ServerName string
}

const (
	defaultPrefix = "weft"
	defaultSize   = 10 << 30
	defaultMemory = 256 << 20
	defaultWithin = 10 * time.Second
	defaultStart  = 5 * time.Minute
	// closeWithin is what Close takes to end the server even where ctx has ended.
	closeWithin = 5 * time.Second
)

// Backbone is a connection to NATS, and the server if it is in this process. Its
// methods may be called by any goroutine, but not by a loop's: they wait.
type Backbone struct {
	options Options
	folder  *folder
	disk    Disk
	server  *server.Server                                    // nil with an external cluster
	healthz func(*server.HealthzOptions) *server.HealthStatus // of server
	lines   *serverLog                                        // of server
	conn    *nats.Conn
	js      jetstream.JetStream
	tracker *tracker
	seldom  *slog.Logger
	last    atomic.Pointer[Status]
	late    bool         // it was opened while the external cluster was away
	largest int64        // message, until the servers say
	most    atomic.Int64 // what they have said; 0 before
	buckets names
	beside  beside

	besideBytes atomic.Int64 // that wait in all of its logs

	closing, going sync.Once
	closed         chan struct{} // when Close is called
	gone           chan struct{} // when the connection is closed for good
	kept           chan struct{} // when the keeper has ended; nil if it was not started
}

// Open starts the server in this process, or connects to the external cluster. The
// error says what could not be done, and what to do. Where this node has been in the
// cluster before, with these options, it need not be there: the Backbone is away then,
// and connects when it can; State.Reached tells. Logs take records meanwhile, what
// asks the cluster fails with ErrAway.
func Open(ctx context.Context, o Options) (*Backbone, error) {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Size == 0 {
		o.Size = defaultSize
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.StartWithin == 0 {
		o.StartWithin = defaultStart
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Within == 0 {
		o.Within = defaultWithin
	}
	b := &Backbone{
		options: o, tracker: newTracker(), closed: make(chan struct{}), gone: make(chan struct{}),
		seldom: logging.Seldom(o.Logger, linesAtOnce, linesEvery),
	}
	if err := b.open(ctx); err != nil {
		return nil, errors.Join(err, b.Close(ctx))
	}
	return b, nil
}

func (b *Backbone) open(ctx context.Context) error {
	var err error
	if b.folder, err = takeFolder(b.options.Dir, b.options.Logger); err != nil {
		return err
	}
	if b.disk, err = probeDisk(b.folder.path); err != nil {
		return err
	}
	if len(b.options.URLs) == 0 {
		err = b.embed(ctx)
	} else {
		err = b.connect(ctx)
	}
	if err != nil {
		return err
	}
	if !b.late {
		if err := b.arrived(ctx); err != nil {
			return err
		}
	}
	b.kept = make(chan struct{})
	go b.keep()
	return nil
}

// arrived notes what the servers are like.
func (b *Backbone) arrived(ctx context.Context) error {
	b.tracker.set(false, func(s *State) { b.connected(b.conn, s) })
	b.measure()
	if err := b.again(ctx, b.refresh); err != nil {
		return fmt.Errorf("the backbone's state: %w", err)
	}
	b.announce()
	if b.server != nil {
		return nil
	}
	return b.remember()
}

// announce logs what the backbone is, and what is doubtful about it.
func (b *Backbone) announce() {
	log, s := b.options.Logger, b.Snapshot()
	if s.Embedded {
		log.Info("backbone is in this process", "folder", s.Dir, "size", s.Limit, "used", s.Used, "sync", s.Sync,
			"fsync_median", s.Disk.Median, "fsync_p99", s.Disk.P99, "filesystem", s.Disk.Filesystem, "version", s.State.Version)
	} else {
		log.Info("backbone is external", "server", s.State.Server, "url", s.State.URL, "cluster", s.State.Cluster, "version", s.State.Version,
			"rtt", s.State.RTT, "sync", s.Sync, "folder", s.Dir, "fsync_p99", s.Disk.P99)
		if older(s.State.Version, 2, 14) {
			log.Warn("the backbone's servers are old: some losses of acknowledged messages were mended later", "version", s.State.Version, "fix", "use nats-server 2.14 or later")
		}
	}
	if s.Embedded && s.Free >= 0 && s.Free < s.Limit-s.Used {
		log.Warn("the backbone's disk has less room than backbone.size: when it is full nothing durable is acknowledged", "folder", s.Dir, "free", s.Free, "size", s.Limit, "used", s.Used,
			"fix", "lower backbone.size, or make room")
	}
	switch {
	case b.disk.Volatile:
		log.Warn("the backbone's folder is in memory: nothing outlives the machine", "folder", s.Dir, "filesystem", b.disk.Filesystem, "fix", "set backbone.data to a folder on a disk")
	case b.disk.Remote:
		log.Warn("the backbone's folder is on another machine: what it acknowledges as written may be lost with it, and locks may not hold", "folder", s.Dir, "filesystem", b.disk.Filesystem, "fix", "set backbone.data to a folder on a local disk")
	}
	if b.disk.P99 > slowSync && b.options.SyncEvery == 0 {
		log.Warn("the backbone's disk is slow: each batch of durable messages waits for it", "folder", s.Dir, "fsync_p99", b.disk.P99,
			"fix", "a disk with power-loss protection, or backbone.sync: interval, which loses the last second when the machine goes down")
	}
}

// Close ends the connection, lets what is on its way arrive while ctx lasts, then ends
// the server and waits for it. It may be called more than once.
func (b *Backbone) Close(ctx context.Context) error {
	b.closing.Do(func() { close(b.closed) })
	if b.kept != nil {
		<-b.kept
	}
	if b.conn != nil {
		if ctx.Err() == nil && b.conn.Drain() == nil {
			select {
			case <-b.gone:
			case <-ctx.Done():
			}
		}
		b.conn.Close()
	}
	if b.server == nil {
		return errors.Join(b.closeBeside(ctx), b.folder.release())
	}
	ended := make(chan error, 1)
	go func() {
		b.server.Shutdown()
		b.server.WaitForShutdown()
		ended <- b.folder.release()
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(closeWithin):
		return fmt.Errorf("the backbone's server has not ended in time: %w", context.Cause(ctx))
	}
}
