// Package logging makes weft's logger: log/slog with the keys time, level,
// service, message and, where a message is traced, trace_id.
package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// The keys of a log line.
const (
	KeyTime    = "time"
	KeyLevel   = "level"
	KeyService = "service"
	KeyMessage = "message"
	KeyTrace   = "trace_id"
)

// The formats of a log.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// ErrOption is wrapped by the error about an unknown level or format.
var ErrOption = errors.New("unknown log option")

// TimeFormat is ISO 8601 with milliseconds; times are in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// NewFollowing is New with a level that can be changed later: it is set to the one that
// is given.
func NewFollowing(w io.Writer, service, level, format string, follows *slog.LevelVar) (*slog.Logger, error) {
	return newLogger(w, service, level, format, follows)
}

// New returns a logger that writes lines of the format (text or json) to w,
// those of the level (debug, info, warn, error) and above.
func New(w io.Writer, service, level, format string) (*slog.Logger, error) {
	return newLogger(w, service, level, format, new(slog.LevelVar))
}

func newLogger(w io.Writer, service, level, format string, lowest *slog.LevelVar) (*slog.Logger, error) {
	switch level {
	case "debug", "info", "warn", "error":
		if err := lowest.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("%w: level %q: %w", ErrOption, level, err)
		}
	default:
		return nil, fmt.Errorf("%w: level %.40q, expected debug, info, warn or error", ErrOption, level)
	}
	options := &slog.HandlerOptions{Level: lowest, ReplaceAttr: rename}
	var handler slog.Handler
	switch format {
	case FormatText:
		handler = slog.NewTextHandler(w, options)
	case FormatJSON:
		handler = slog.NewJSONHandler(w, options)
	default:
		return nil, fmt.Errorf("%w: format %.40q, expected text or json", ErrOption, format)
	}
	return slog.New(traced{handler.WithAttrs([]slog.Attr{slog.String(KeyService, service)})}), nil
}

// rename gives the built-in keys weft's names and the time its format.
func rename(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		if a.Value.Kind() == slog.KindTime {
			a = slog.String(KeyTime, a.Value.Time().UTC().Format(TimeFormat))
		}
	case slog.MessageKey:
		a.Key = KeyMessage
	case slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok {
			a = slog.String(KeyLevel, levelName(level))
		}
	}
	if a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(a.Value.Time().UTC().Format(time.RFC3339Nano))
	}
	return a
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

type traceKey struct{}

// WithTrace returns a context whose log lines carry the trace id.
func WithTrace(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, traceKey{}, id)
}

// traced adds the trace id of the context to each line.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := ctx.Value(traceKey{}).(string); ok && id != "" {
		r.AddAttrs(slog.String(KeyTrace, id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }
