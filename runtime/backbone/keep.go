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
	fault := b.tracker.now().Fault
	if fault == "" && !b.lines.trouble.Swap(false) && b.server.JetStreamEnabled() {
		return mended
	}
	why := b.trouble()
	if why == "" {
		if fault != "" {
			b.options.Logger.Info("backbone stores again")
			b.tracker.set(true, func(s *State) { s.Fault = "" })
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
	if b.trouble() == "" {
		b.options.Logger.Info("backbone stores again", "folder", b.folder.path)
		// Consumers are others now: who reads has to begin again.
		b.tracker.set(true, func(s *State) { s.Fault, s.Reconnects = "", s.Reconnects+1 })
	}
	return time.Now()
}
