package backbone

import (
	"context"
	"time"
)

const (
	keepEvery    = time.Second
	refreshEvery = 5 * time.Second
)

// keep looks after the backbone until it is closed: it measures the way to an external
// server, and takes the one in this process up again when its disk had been full.
func (b *Backbone) keep() {
	defer close(b.kept)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-b.closed
		cancel()
	}()
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	refreshed, mended := time.Now(), time.Time{}
	for {
		select {
		case <-b.closed:
			return
		case <-tick.C:
		}
		if b.server != nil {
			mended = b.look(mended)
		}
		if time.Since(refreshed) < refreshEvery {
			continue
		}
		refreshed = time.Now()
		if b.conn.IsConnected() {
			b.measure()
			_ = b.refresh(ctx) // the state says what is wrong
		}
	}
}

// look finds faults of the server in this process, and mends them from time to time.
func (b *Backbone) look(mended time.Time) time.Time {
	fault, told := b.tracker.now().Fault, b.lines.trouble.Swap(false)
	if fault == "" && !told && b.server.JetStreamEnabled() {
		return mended
	}
	why, known := b.trouble()
	if !known || why != "" {
		b.lines.trouble.Store(true) // it is looked at again
	}
	if why == "" {
		if known && fault != "" {
			b.storesAgain()
		}
		return mended
	}
	if fault == "" {
		b.options.Logger.Error("backbone cannot store: durable messages are not acknowledged", "folder", b.folder.path, "cause", why, "free", free(b.folder.path), "fix", "make room on the disk; weft then goes on by itself")
		b.tracker.set(true, func(s *State) { s.Fault = why })
	}
	if time.Since(mended) < mendEvery {
		return mended
	}
	if err := b.mend(); err != nil {
		b.seldom.Warn("backbone still cannot store", "cause", err)
		return time.Now()
	}
	if why, known := b.trouble(); known && why == "" {
		b.storesAgain()
	}
	return time.Now()
}

// storesAgain says that a fault is over. Consumers are others now: who reads has to
// begin again.
func (b *Backbone) storesAgain() {
	b.options.Logger.Info("backbone stores again", "folder", b.folder.path)
	b.tracker.set(true, func(s *State) { s.Fault, s.Reconnects = "", s.Reconnects+1 })
}
