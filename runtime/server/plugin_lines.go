package server

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// lineRings keep the last lines of each plugin's log: what it says itself, and what weft
// says of it.
type lineRings struct {
	mu   sync.Mutex
	ring map[string]*lineRing
}

// lineRing is the last lines of one plugin.
type lineRing struct {
	lines []*weftv1.PluginLogLine // as a ring, once it is full
	last  uint64
}

const (
	// keptLines is how many lines are kept of each plugin.
	keptLines = 1000
	// lineBytes is where one is cut.
	lineBytes = 1024
)

func newLineRings(plugins []string) *lineRings {
	l := &lineRings{ring: map[string]*lineRing{}}
	for _, name := range plugins {
		l.ring[name] = &lineRing{}
	}
	return l
}

// know has lines of these plugins kept, and of no others.
func (l *lineRings) know(plugins []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	former := l.ring
	l.ring = map[string]*lineRing{}
	for _, name := range plugins {
		if l.ring[name] = former[name]; l.ring[name] == nil {
			l.ring[name] = &lineRing{}
		}
	}
}

// add keeps a line; those of a plugin that nobody knows are not kept.
func (l *lineRings) add(plugin string, line *weftv1.PluginLogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.ring[plugin]
	if r == nil {
		return
	}
	r.last++
	line.Number = r.last
	if len(r.lines) < keptLines {
		r.lines = append(r.lines, line)
		return
	}
	r.lines[int((r.last-1)%keptLines)] = line
}

// after returns the last lines behind a number, oldest first, at most limit.
func (l *lineRings) after(plugin string, after uint64, limit int) *weftv1.PluginsLogsResponse {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := &weftv1.PluginsLogsResponse{Next: after}
	r := l.ring[plugin]
	if r == nil {
		return out
	}
	out.Next = r.last
	first := max(after, r.last-min(r.last, uint64(len(r.lines)))) // lines behind this are kept
	out.Missed = first - min(after, first)
	if r.last > first+uint64(limit) {
		first = r.last - uint64(limit)
	}
	for n := first + 1; n <= r.last; n++ {
		out.Lines = append(out.Lines, r.lines[int((n-1)%keptLines)])
	}
	return out
}

// handler is a slog.Handler that keeps the lines of plugins and hands all on.
func (l *lineRings) handler(next slog.Handler) slog.Handler {
	return &lineHandler{Handler: next, rings: l}
}

type lineHandler struct {
	slog.Handler
	rings      *lineRings
	plugin     string
	generation uint64
}

// WithAttrs implements slog.Handler.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.Handler = h.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		next.note(a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	next := *h
	next.Handler = h.Handler.WithGroup(name)
	return &next
}

// note takes out of an attribute whose line it is.
func (h *lineHandler) note(a slog.Attr) {
	switch {
	case a.Key == "plugin" && a.Value.Kind() == slog.KindString:
		h.plugin = a.Value.String()
	case a.Key == "generation" && a.Value.Kind() == slog.KindUint64:
		h.generation = a.Value.Uint64()
	}
}

// Handle implements slog.Handler.
func (h *lineHandler) Handle(ctx context.Context, r slog.Record) error {
	of := *h
	var text strings.Builder
	text.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		of.note(a)
		if a.Key != "plugin" && a.Key != "generation" && text.Len() < lineBytes {
			text.WriteString(" " + a.String())
		}
		return true
	})
	if of.plugin != "" {
		line := text.String()
		h.rings.add(of.plugin, &weftv1.PluginLogLine{
			Time: timestamppb.New(r.Time), Level: strings.ToLower(r.Level.String()), Generation: of.generation, Text: utf8(line[:min(len(line), lineBytes)]),
		})
	}
	return h.Handler.Handle(ctx, r)
}
