package systemd

import (
	"context"
	"log/slog"
	"time"
)

// Watch tells the manager's watchdog that the process lives, twice in its time, as long
// as each count of beats has grown since it was told last: one that stands still is a
// loop that hangs, and the watchdog ends a process that it does not hear of. It returns
// when ctx ends, or at once where nobody watches.
func (n *Notifier) Watch(ctx context.Context, beats func() []uint64, log *slog.Logger) {
	if n == nil || n.every == 0 {
		return
	}
	ticker := time.NewTicker(n.every / 2)
	defer ticker.Stop()
	n.watch(ctx, ticker.C, beats, log)
}

func (n *Notifier) watch(ctx context.Context, ticks <-chan time.Time, beats func() []uint64, log *slog.Logger) {
	var last []uint64
	said := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		now := beats()
		if hung := standing(last, now); hung >= 0 {
			if !said {
				log.Error("a loop hangs: the service manager's watchdog is not told that weft lives, and will end it", "loop", hung, "watchdog", n.every)
			}
			said = true
			continue
		}
		last, said = now, false
		if err := n.tell("WATCHDOG=1"); err != nil {
			log.Warn("the service manager's watchdog cannot be told that weft lives", "error", err)
		}
	}
}

// standing is the first count that has not grown, -1 if all have.
func standing(last, now []uint64) int {
	for i := range min(len(last), len(now)) {
		if now[i] == last[i] {
			return i
		}
	}
	return -1
}
