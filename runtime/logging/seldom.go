package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// KeyHidden is the key of how many lines of a kind were left out before the line that
// has it.
const KeyHidden = "more_since_last_line"

// The kind of a line is its message and what these keys say.
var kindKeys = [...]string{"listener", "device"}

// maxKinds bounds what is remembered of kinds; lines of further ones share a limit.
const maxKinds = 1024

// Seldom returns a logger for lines that others can cause as often as they like, such
// as one for each client that is refused: of each kind, which is a message and a
// listener or device, burst lines pass and then one in every so often. The next that
// passes says how many were left out.
func Seldom(log *slog.Logger, burst int, every time.Duration) *slog.Logger {
	return slog.New(seldom{log.Handler(), &kinds{slack: time.Duration(max(burst, 1)-1) * every, every: every, of: map[string]*kind{}}})
}

type kinds struct {
	slack, every time.Duration

	mu sync.Mutex
	of map[string]*kind
}

// kind is what is remembered of one kind of lines.
type kind struct {
	due    time.Time // when the lines so far are paid for
	hidden uint64
}

type seldom struct {
	slog.Handler
	kinds *kinds
}

func (h seldom) Handle(ctx context.Context, r slog.Record) error {
	name := r.Message
	r.Attrs(func(a slog.Attr) bool {
		for _, key := range kindKeys {
			if a.Key == key {
				name += "\x00" + a.Value.String()
			}
		}
		return true
	})
	hidden, ok := h.kinds.pass(name, r.Time)
	if !ok {
		return nil
	}
	if hidden > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Uint64(KeyHidden, hidden))
	}
	return h.Handler.Handle(ctx, r)
}

// pass tells whether a line of the kind may be written now, and how many were left
// out before it.
func (k *kinds) pass(name string, now time.Time) (hidden uint64, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.of[name]
	if one == nil {
		if len(k.of) >= maxKinds {
			name = ""
		}
		if one = k.of[name]; one == nil {
			one = &kind{}
			k.of[name] = one
		}
	}
	if one.due.Before(now) {
		one.due = now
	}
	if one.due.Sub(now) > k.slack {
		one.hidden++
		return 0, false
	}
	one.due = one.due.Add(k.every)
	hidden, one.hidden = one.hidden, 0
	return hidden, true
}

func (h seldom) WithAttrs(attrs []slog.Attr) slog.Handler {
	return seldom{h.Handler.WithAttrs(attrs), h.kinds}
}

func (h seldom) WithGroup(name string) slog.Handler {
	return seldom{h.Handler.WithGroup(name), h.kinds}
}
