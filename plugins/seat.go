package plugins

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/weftrun/weft/abi"
)

// seat is one generation at one place of a chain: its instance, and what happens
// when that fails.
type seat struct {
	plugin   *Plugin
	index    int16     // of the place
	instance *instance // nil: failed, to be built again
	wanted   [abi.HookResume + 1]bool
	counters counters
	average  int64 // fuel of a message, see most
	paused   int   // messages that it has paused and that are not resumed yet
	lost     bool  // it lost an instance that had paused some
	closing  bool  // to be closed with the last of them

	strikes   float64 // failures within the window, see strike
	struck    int64   // when strikes was last brought up to date
	healthy   uint64  // messages handled since the last strike
	done      uint64  // messages handled
	offenders offenders
	rest      time.Duration
	restTill  int64 // Clock.Monotonic; 0: not resting

	losses losses

	failed, restsFor string // the last failure in words, and as the reason of a rest

	logTokens float64
	logFilled int64
	logCut    uint64
	denied    denials
}

// A plugin rests when it fails on maxStrikes messages within the window. A strike
// is forgotten after strikeTime, or after strikeMessages that went well: a plugin
// that fails on one message of a thousand costs that one message at any rate.
const (
	maxStrikes     = 3
	strikeTime     = time.Second
	strikeMessages = 100
	restLeast      = 100 * time.Millisecond
	restMost       = 30 * time.Second
	// restForget messages or restCalm without a strike bring the rest back to
	// restLeast.
	restForget = 10000
	restCalm   = 2 * restMost
)

func newSeat(p *Plugin, in *Chain, index int16) *seat {
	h := &seat{plugin: p, index: index, rest: restLeast, logTokens: logBurst, logFilled: p.env.cfg.Clock.Monotonic()}
	h.counters.chain = in
	h.counters.place.Store(int32(index))
	p.attach(&h.counters)
	return h
}

// sit moves it to another place of its chain.
func (h *seat) sit(index int16) {
	h.index = index
	h.counters.place.Store(int32(index))
}

// build makes an instance.
func (h *seat) build() error {
	in, err := h.plugin.instantiate(context.Background())
	if err == nil {
		h.take(in)
	}
	return err
}

// take puts an instance into the seat.
func (h *seat) take(in *instance) {
	h.instance = in
	h.counters.memory.set(uint64(in.memory.Size()))
	for hook := range h.wanted {
		h.wanted[hook] = in.hooks[hook] != nil
	}
}

func (h *seat) drop() {
	h.lost = h.lost || h.paused > 0
	if h.instance != nil {
		h.plugin.retireLater(h.instance)
		h.instance = nil
		h.counters.memory.set(0)
	}
}

// close closes the seat, if need be once the messages that it has paused are
// resumed.
func (h *seat) close() {
	if h.closing = h.paused > 0; h.closing {
		return
	}
	h.drop()
	h.plugin.detach(&h.counters)
}

// wants reports whether the plugin is called with the hook.
func (h *seat) wants(hook abi.Hook) bool { return h.wanted[hook] }

// ready reports whether there is an instance to call, making one if the last has
// failed and the plugin does not rest.
func (h *seat) ready() bool {
	if h.instance != nil {
		return true
	}
	if h.restTill != 0 {
		if h.now() < h.restTill {
			return false
		}
		h.restTill = 0
		h.counters.resting.set(0)
	}
	if h.overdrawn() {
		return false
	}
	began := h.now()
	err := h.build()
	h.built(time.Duration(h.now() - began))
	if err != nil {
		h.failure(err)
		h.log(slog.LevelError, "plugin cannot be instantiated again", slog.String("cause", h.failed))
		h.beginRest()
		return false
	}
	h.counters.rebuilds.add(1)
	return true
}

// good takes note of messages that went well.
func (h *seat) good(n int) {
	h.healthy += uint64(n)
	h.done += uint64(n)
}

// strike takes note of a session's message that failed twice. A session that
// brings one after another is put to rest by itself; what the plugin is blamed for
// is failing on several.
func (h *seat) strike(session uint64) {
	now := h.now()
	if h.healthy >= restForget || now-h.struck > int64(restCalm) {
		h.rest = restLeast
	}
	again := h.offenders.strike(session, now, h.done)
	if again.rests {
		h.log(slog.LevelWarn, "plugin fails on one session after another message of it; its failure policy answers for the session",
			slog.Uint64("session", session), slog.Duration("rest", again.rest))
	}
	h.strikes -= float64(now-h.struck)/float64(strikeTime) + float64(h.healthy)/strikeMessages
	h.strikes = max(h.strikes, 0)
	h.struck, h.healthy = now, 0
	if again.repeated {
		return
	}
	h.strikes++
	if h.strikes > maxStrikes-0.5 {
		h.beginRest()
	}
}

// beginRest puts the plugin to rest, each time for twice as long.
func (h *seat) beginRest() {
	h.drop()
	h.restTill = h.now() + int64(h.rest)
	h.counters.backOffs.add(1)
	h.counters.resting.set(1)
	h.log(slog.LevelError, "plugin fails too often and rests; its failure policy answers",
		slog.Duration("rest", h.rest), slog.String("policy", h.plugin.spec.OnFailure.String()))
	h.rest = min(2*h.rest, restMost)
	h.strikes, h.healthy = 0, 0
	h.offenders.forget()
}

func (h *seat) now() int64 { return h.plugin.env.cfg.Clock.Monotonic() }

// discard throws the failed instance away and says what happened. m is the
// message, or the first of the batch, that it failed on.
func (h *seat) discard(err error, hook abi.Hook, m *abi.Message, count int) {
	if h.instance != nil {
		h.losses.lose(h.plugin.duration(h.instance.spent), h.now())
	}
	h.drop()
	h.failure(err)
	message := h.judge(err, count)
	level := slog.LevelWarn
	if count == 1 {
		level = slog.LevelError
	}
	h.log(level, message, slog.String("hook", hook.String()), slog.Uint64("session", m.Session),
		slog.String("topic", printable(m.Topic, 64)), slog.Int("messages", count), slog.String("cause", h.failed))
}

// discarded throws the instance away because it failed beside its hooks.
func (h *seat) discarded(export string, err error) {
	h.drop()
	h.log(slog.LevelError, h.judge(err, 1), slog.String("export", export), slog.String("cause", causeText(err)))
}

// judge counts a failure and names it.
func (h *seat) judge(err error, count int) (message string) {
	message = "plugin trapped"
	switch causeOf(err) {
	case CauseFault:
		message = "plugin broke the contract"
		h.counters.faults.add(1)
	case CauseFuel:
		message = "plugin used up its CPU budget"
		h.counters.traps.add(1)
		h.counters.fuelTraps.add(1)
		h.average = max(h.average, 2*h.plugin.callFuel/int64(count))
	case CauseDepth:
		message = "plugin nested its calls too deep"
		h.counters.traps.add(1)
		h.counters.depthTraps.add(1)
	default:
		h.counters.traps.add(1)
	}
	return message
}

// failure notes what went wrong last.
func (h *seat) failure(err error) {
	h.failed = causeText(err)
	h.restsFor = "not called because of earlier failures, the last one: " + h.failed
}

// inWords is what goes with the cause when the policy answers.
func (h *seat) inWords(cause Cause) string {
	switch cause {
	case CauseBackOff:
		return h.restsFor
	case CauseBuffer:
		return errNoBuffer.Error()
	}
	return h.failed
}

// Log lines about failures: so many a second, and so many at once, for each
// plugin of each chain.
const (
	logRate  = 5
	logBurst = 20
)

func (h *seat) log(level slog.Level, message string, attrs ...slog.Attr) {
	now := h.now()
	h.logTokens = min(logBurst, h.logTokens+float64(now-h.logFilled)/1e9*logRate)
	h.logFilled = now
	if h.logTokens < 1 {
		h.logCut++
		return
	}
	h.logTokens--
	attrs = append(attrs, slog.String("plugin", h.plugin.spec.Name), slog.Uint64("generation", h.plugin.spec.Generation))
	if h.logCut > 0 {
		attrs = append(attrs, slog.Uint64("suppressed", h.logCut))
		h.logCut = 0
	}
	h.plugin.env.cfg.Logger.LogAttrs(context.Background(), level, message, attrs...)
}

// causeText is an error on one line, with the innermost functions of the guest's
// stack where it has one.
func causeText(err error) string {
	head, stack, _ := strings.Cut(err.Error(), "wasm stack trace:")
	head, _, _ = strings.Cut(head, "\n")
	text := strings.TrimSpace(head)
	for _, class := range []error{ErrTrap, ErrFuel, ErrDepth, ErrFault} {
		text = strings.TrimPrefix(text, class.Error()+": ")
	}
	var frames []string
	for line := range strings.SplitSeq(stack, "\n") {
		if line = strings.TrimSpace(line); line == "" || len(frames) == 4 {
			continue
		}
		name, _, _ := strings.Cut(line, "(")
		frames = append(frames, strings.TrimPrefix(name, "."))
	}
	if len(frames) > 0 {
		text += ", at " + strings.Join(frames, " < ")
	}
	return printable([]byte(text), 512)
}
