package backbone

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// payloadMost is the largest message of the server in this process: as much as
	// NATS advises.
	payloadMost = 8 << 20
	startWithin = 30 * time.Second
	// readingEvery is how often is told that the folder is still being read.
	readingEvery = 10 * time.Second
	// A disk that was full is used again when it has so much room.
	mendSpace = 32 << 20
	mendEvery = 5 * time.Second
)

// embed starts the server in this process and connects to it.
func (b *Backbone) embed(ctx context.Context) error {
	o := &server.Options{
		ServerName: b.options.Node, DontListen: true, NoSigs: true, NoLog: true, MaxPayload: payloadMost,
		JetStream: true, StoreDir: b.folder.path, JetStreamMaxStore: b.options.Size, JetStreamMaxMemory: b.options.Memory,
		SyncAlways: b.options.SyncEvery == 0, SyncInterval: b.options.SyncEvery, DisableJetStreamBanner: true,
	}
	s, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("the backbone's server: %w", err)
	}
	b.lines = newServerLog(b.options.Logger)
	s.SetLoggerV2(b.lines, false, false, false)
	started := make(chan struct{})
	go func() { // it reads what is there, which is not to be interrupted
		defer close(started)
		s.Start()
	}()
	if err := b.awaitRead(ctx, s, started); err != nil {
		return err
	}
	if why := b.lines.gaveUp(); why != "" {
		return fmt.Errorf("%w: %s: the server says: %s", ErrFolder, b.folder.path, why)
	}
	if !s.ReadyForConnections(startWithin) {
		return fmt.Errorf("the backbone's server was not ready after %s", startWithin)
	}
	if err := b.recovered(); err != nil {
		return err
	}
	b.conn, err = nats.Connect("", append(b.handlers(), nats.InProcessServer(s), nats.ReconnectWait(backoffFirst))...)
	if err != nil {
		return fmt.Errorf("the backbone's server: %w", err)
	}
	b.js, err = jetstream.New(b.conn)
	return err
}

// awaitRead waits until the server has read the folder.
func (b *Backbone) awaitRead(ctx context.Context, s *server.Server, started <-chan struct{}) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.options.StartWithin, fmt.Errorf("%w: not within %s (backbone.start_within): %s", ErrFolder, b.options.StartWithin, damaged))
	defer cancel()
	reading := time.NewTicker(readingEvery)
	defer reading.Stop()
	for b.server == nil && ctx.Err() == nil {
		select {
		case <-started:
			b.server, b.healthz = s, s.Healthz
		case <-ctx.Done():
		case <-reading.C:
			b.options.Logger.Warn("backbone still reads its data folder", "folder", b.folder.path, "ends", b.options.StartWithin.String(), "fix", damaged)
		}
	}
	if b.server != nil {
		return nil
	}
	f := b.folder
	b.folder = nil
	go func() {
		<-started
		s.Shutdown()
		s.WaitForShutdown()
		_ = f.release()
	}()
	return fmt.Errorf("the backbone's server was still reading %s: %w", b.options.Dir, context.Cause(ctx))
}

// damaged says what to do about a folder that is read for ever.
const damaged = "a large one takes its time; if it never ends, a file is damaged: restore the folder from a copy, or move the stream with that file, or all of it, aside to begin without"

// healthTries is how often the server in this process is asked how it is until it says.
const healthTries = 100

// health is what the server in this process says of its streams, and whether it says
// anything. It gives itself a millisecond to see that it has begun; where this process
// pauses for as long in that moment, it says that it has not, and looks at no stream.
func (b *Backbone) health() (faults []server.HealthzError, known bool) {
	for range healthTries {
		faults = b.healthz(&server.HealthzOptions{Details: true}).Errors
		if !slices.ContainsFunc(faults, func(e server.HealthzError) bool { return e.Type == server.HealthzErrorConn }) {
			return faults, true
		}
	}
	return nil, false
}

// recovered fails if the server could not read again what the folder has: to go on
// would be to begin anew beside it.
func (b *Backbone) recovered() error {
	faults, known := b.health()
	if !known {
		return fmt.Errorf("the backbone's server does not say whether it could read %s: start weft again", b.folder.path)
	}
	for _, e := range faults {
		if e.Type == server.HealthzErrorStream {
			return fmt.Errorf("%w: %s: %s: restore the folder from a copy, or move %s aside to begin without it", ErrFolder, b.folder.path, e.Error,
				filepath.Join(b.folder.path, "jetstream", e.Account, "streams", e.Stream))
		}
	}
	return nil
}

// trouble is why the server in this process cannot store anything; empty if it can. It
// is not always known.
func (b *Backbone) trouble() (why string, known bool) {
	if !b.server.JetStreamEnabled() {
		return "the server stopped storing: its disk is full or broken", true
	}
	faults, known := b.health()
	for _, e := range faults {
		// A write that failed stops a stream until it is read anew.
		if e.Type == server.HealthzErrorStream && strings.Contains(e.Error, "write error") {
			return e.Error, true
		}
	}
	return "", known
}

// mend reads the folder anew after the disk had failed. It tells whether it could.
func (b *Backbone) mend() error {
	if left := free(b.folder.path); left >= 0 && left < mendSpace {
		return fmt.Errorf("%s has %d bytes left on its disk, of %d that it takes to go on: make room", b.folder.path, left, int64(mendSpace))
	}
	if err := b.server.ShutdownJetStream(); err != nil {
		return err
	}
	if err := rewrite(filepath.Join(b.folder.path, "jetstream"), b.tracker.now().FaultSince.Add(-writtenBefore)); err != nil {
		return err
	}
	err := b.server.EnableJetStream(&server.JetStreamConfig{
		StoreDir: b.folder.path, MaxStore: b.options.Size, MaxMemory: b.options.Memory,
		SyncAlways: b.options.SyncEvery == 0, SyncInterval: b.options.SyncEvery, CompressOK: true, Strict: true,
	})
	if err == nil && !b.server.JetStreamEnabled() {
		err = errors.New("the server does not store")
	}
	return err
}

// fault is why the server in this process takes nothing at the moment, as ErrFull: it
// does not answer then, and who asks would wait. nil if it does.
func (b *Backbone) fault() error {
	if b.server == nil {
		return nil
	}
	if why := b.tracker.now().Fault; why != "" {
		return fmt.Errorf("%w: %s", ErrFull, why)
	}
	return nil
}
