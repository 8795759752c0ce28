package cases

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
)

// clock is the time of a case.
type clock struct{ start, now atomic.Int64 }

func newClock(start time.Time) *clock {
	c := &clock{}
	c.start.Store(start.UnixNano())
	c.now.Store(start.UnixNano())
	return c
}

func (c *clock) Wall() int64             { return c.now.Load() }
func (c *clock) Monotonic() int64        { return c.now.Load() - c.start.Load() + int64(time.Hour) }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }

// maxLog is how much of a case's log is kept, in bytes.
const maxLog = 16 << 10

// logLines keeps what the plugin and the host log.
type logLines struct{ bytes.Buffer }

func (l *logLines) Write(b []byte) (int, error) {
	if l.Len()+len(b) <= maxLog {
		l.Buffer.Write(b)
	}
	return len(b), nil
}

// take returns the lines since it was called last.
func (l *logLines) take() []string {
	text := strings.TrimSpace(l.String())
	l.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// stage is one fresh instance of the plugin on the real host.
type stage struct {
	clock    *clock
	log      logLines
	env      *plugins.Env
	plugin   *plugins.Plugin
	chain    *plugins.Chain
	batch    plugins.Batch
	contexts map[uint64]abi.Attributes
	sources  map[uint64]netip.Addr // by session
	said     saidRules             // since the last batch
	before   plugins.Stats
}

// newStage loads the plugin and makes an instance. refused is the error with
// which the plugin did not load; err is one of the surroundings.
func (f *File) newStage(ctx context.Context, o *Options, c *Case) (s *stage, refused, err error) {
	s = &stage{clock: newClock(f.Start), contexts: map[uint64]abi.Attributes{}, sources: map[uint64]netip.Addr{}}
	logger := slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}))
	made := envConfig(o.CacheDir, logger, s.clock)
	made.Filter = hostfuncs.NewFilter(s.clock, &s.said)
	s.env, err = plugins.NewEnv(made)
	if err != nil {
		return nil, nil, err
	}
	spec := f.Spec
	if c.config != nil {
		spec.Config = c.config
	}
	spec.Tick = time.Nanosecond // a tick step ticks
	s.plugin, refused = s.env.Load(ctx, spec)
	if refused == nil {
		s.chain, refused = plugins.NewChain(ctx, f.listeners, s.plugin)
	}
	if refused != nil {
		return nil, refused, errors.Join(ctx.Err(), s.close(ctx))
	}
	s.chain.OnSource(s.sourceOf)
	// The first tick of a chain only begins its interval.
	s.chain.Tick(&s.batch, f.Start.Add(-time.Hour), 0)
	s.log.take()
	s.before = s.plugin.Stats()
	return s, nil, nil
}

func (s *stage) close(ctx context.Context) error {
	var err error
	if s.chain != nil {
		err = s.chain.Close(ctx)
	}
	return errors.Join(err, s.env.Close(context.WithoutCancel(ctx)))
}

// play runs a case once and adds what was not as expected.
func (f *File) play(ctx context.Context, o *Options, c *Case, m mode, r *CaseResult) (err error) {
	s, refused, err := f.newStage(ctx, o, c)
	if err != nil {
		return err
	}
	if s == nil {
		o.judgeRefusal(c, refused, r)
		return nil
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if c.refused != nil {
		r.Failures = append(r.Failures, Failure{Line: c.refusedLine, Where: "configuration",
			Differences: []Difference{{Field: "refused", Want: *c.refused, Got: "the plugin took its configuration"}}})
		return nil
	}
	messages := 0
	for i := range c.steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		st := &c.steps[i]
		if st.hook == 0 {
			s.clock.advance(st.advance)
			continue
		}
		size := len(st.messages)
		if m.single {
			size = 1
		}
		for at := 0; at < len(st.messages); at += size {
			s.run(st.hook, st.messages[at:at+size])
			j := judge{stage: s, mode: m, step: i + 1, hook: st.hook, first: at, of: len(st.messages)}
			r.Failures = append(r.Failures, j.batch(st.messages[at:at+size])...)
			s.keepContexts(st.hook, st.messages[at:at+size])
			s.before = s.plugin.Stats()
		}
		if st.hook == abi.HookMessages {
			messages += len(st.messages)
		}
	}
	r.Messages, r.Fuel = messages, s.before.Fuel
	return nil
}

// judgeRefusal compares the error with which the plugin did not load with what
// was expected. The same error in many cases is said once.
func (o *Options) judgeRefusal(c *Case, refused error, r *CaseResult) {
	text := refused.Error()
	switch {
	case c.refused == nil && o.refusedBefore == text:
		r.Failures = append(r.Failures, Failure{Line: c.Line, Where: "configuration", Text: "the plugin does not load, for the same reason"})
	case c.refused == nil:
		o.refusedBefore = text
		if errors.Is(refused, plugins.ErrNotGranted) {
			text += "\n(in a case file the grants stand under the key grants at the top)"
		}
		r.Failures = append(r.Failures, Failure{Line: c.Line, Where: "configuration", Text: "the plugin does not load: " + text})
	case !strings.Contains(text, *c.refused):
		r.Failures = append(r.Failures, Failure{Line: c.refusedLine, Where: "configuration",
			Differences: []Difference{{Field: "refused", Want: *c.refused, Got: text}}})
	}
}

// run passes one batch to the plugin.
func (s *stage) run(hook abi.Hook, messages []message) {
	s.batch.Reset()
	s.said.list = nil
	if hook == abi.HookTick {
		s.clock.advance(time.Nanosecond)
		s.chain.Tick(&s.batch, time.Unix(0, s.clock.Wall()), 0)
		return
	}
	for i := range messages {
		m := messages[i].message
		if messages[i].source.IsValid() {
			s.sources[m.Session] = messages[i].source
		}
		m.Time, m.Context = s.clock.Wall(), s.contexts[m.Session]
		if messages[i].hasContext {
			m.Context = messages[i].context
			s.contexts[m.Session] = m.Context
		}
		s.batch.Messages = append(s.batch.Messages, m)
	}
	switch hook {
	case abi.HookOpen:
		s.chain.Open(&s.batch)
	case abi.HookClose:
		s.chain.CloseSessions(&s.batch)
	default:
		s.chain.Messages(&s.batch)
	}
}

// keepContexts remembers what the plugin has changed, as weft does, until the
// session is closed.
func (s *stage) keepContexts(hook abi.Hook, messages []message) {
	for _, c := range s.batch.Contexts {
		s.contexts[c.Session] = bytes.Clone(c.Context)
	}
	if hook == abi.HookClose {
		for i := range messages {
			delete(s.contexts, messages[i].message.Session)
		}
	}
}
