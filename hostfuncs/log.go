package hostfuncs

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

// logFuncs writes a plugin's lines, at most so many a second. What is over the
// rate is counted; the next line that passes says how many were left out.
type logFuncs struct {
	logger  *slog.Logger
	clock   Clock
	rate    float64 // lines a second
	burst   float64
	lines   atomic.Uint64
	limited atomic.Uint64

	mu       sync.Mutex // guards the bucket below
	tokens   float64
	filled   int64 // when tokens was last brought up to date, Clock.Monotonic
	reported uint64
}

func newLogFuncs(g LogGrant, logger *slog.Logger, clock Clock) *logFuncs {
	if g.Rate <= 0 {
		g.Rate = DefaultLogRate
	}
	if g.Burst <= 0 {
		g.Burst = 2 * g.Rate
	}
	return &logFuncs{logger: logger, clock: clock, rate: g.Rate, burst: g.Burst, tokens: g.Burst, filled: clock.Monotonic()}
}

func (f *logFuncs) register(r *registrar) {
	r.add("log", func(_ context.Context, m api.Module, stack []uint64) {
		length := min(uint64(uint32(stack[2])), abi.MaxLog)
		if text, ok := guestBytes(m, stack[1], length); ok {
			f.write(abi.LogLevel(int32(uint32(stack[0]))), text)
		}
	})
}

// write logs one line. The text is the guest's: what is no UTF-8 is replaced,
// and the handler quotes what would break the line.
func (f *logFuncs) write(level abi.LogLevel, text []byte) {
	l := slogLevel(level)
	if !f.logger.Enabled(context.Background(), l) {
		return
	}
	left, ok := f.take()
	if !ok {
		f.limited.Add(1)
		return
	}
	f.lines.Add(1)
	line := strings.ToValidUTF8(string(text), "\uFFFD")
	if left > 0 {
		f.logger.LogAttrs(context.Background(), l, line, slog.Uint64("suppressed", left))
		return
	}
	f.logger.LogAttrs(context.Background(), l, line)
}

// take takes a token out of the bucket. suppressed is how many lines were left
// out since the last one that passed.
func (f *logFuncs) take() (suppressed uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Monotonic()
	f.tokens = min(f.burst, f.tokens+float64(now-f.filled)/1e9*f.rate)
	f.filled = now
	if f.tokens < 1 {
		return 0, false
	}
	f.tokens--
	limited := f.limited.Load()
	suppressed, f.reported = limited-f.reported, limited
	return suppressed, true
}

func slogLevel(l abi.LogLevel) slog.Level {
	switch {
	case l <= abi.LogDebug:
		return slog.LevelDebug
	case l == abi.LogInfo:
		return slog.LevelInfo
	case l == abi.LogWarn:
		return slog.LevelWarn
	}
	return slog.LevelError
}
