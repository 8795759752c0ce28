package plugins

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
)

// Chain is plugins in onion order with one instance of each. It belongs to one
// goroutine, that of its loop, from NewChain to Close.
type Chain struct {
	label     atomic.Int64 // see Label
	listeners [][]byte
	elsewhere []byte // what comes by none of them comes by this
	longest   int    // bytes of the longest listener name
	hops      []*hop
	live      []int32 // messages that the next call is about
	dirty     []int32 // of a call: which records the guest touched
	regions   []region
	rested    []int32 // of a call: what is left without the sessions that rest
	changed   map[uint64]abi.Attributes
	topicSpan uint64 // the last changed topic of a call, as the guest answered it, and its copy
	topic     []byte
	tap       *tapPoint // nil: nobody looks at the chain as a whole
	origins   hostfuncs.Origins
	pauses    *pauses   // nil as long as no plugin could pause
	leaving   bool      // some hop is
	paused    []pausing // by the step that runs, or has just run
	given     int       // bytes handed to the plugin in this step
	answered  int       // bytes of its answers
}

const (
	// maxRecords and maxCallBytes bound one call: more are split. 512 records
	// of 128 bytes with as many bytes of payload still fit a core's cache.
	maxRecords   = 512
	maxCallBytes = 1 << 20
	// maxBatchMessages bounds what emitting can make of a batch.
	maxBatchMessages = 16384
)

// NewChain makes an instance of each plugin. listenerNames are the names that
// Message.Listener counts; what comes by any other has none, see Rename. If one plugin cannot be instantiated, nothing is left
// behind. A chain without plugins is allowed: everything passes through.
func NewChain(ctx context.Context, listenerNames []string, plugins ...*Plugin) (*Chain, error) {
	c := &Chain{changed: make(map[uint64]abi.Attributes)}
	for _, name := range listenerNames {
		c.listeners = append(c.listeners, []byte(name))
		c.longest = max(c.longest, len(name))
	}
	for i, p := range plugins {
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, c.Close(ctx))
		}
		h := newHop(p, c, int16(i))
		c.hops = append(c.hops, h)
		if err := h.live.build(); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p.spec.source(), err), c.Close(ctx))
		}
	}
	return c, nil
}

// Len is how many plugins the chain has.
func (c *Chain) Len() int { return len(c.hops) }

// Plugin is the plugin that is live at that place of the chain, as Outcome.Plugin
// counts.
func (c *Chain) Plugin(i int) *Plugin { return c.hops[i].live.plugin }

// OnSource lets plugins ask where a session comes from: of is called on the chain's
// goroutine, while one of its hooks runs. Without it, nobody knows.
func (c *Chain) OnSource(of hostfuncs.Origins) { c.origins = of }

// Close closes the chain's instances. The guests are not told.
func (c *Chain) Close(context.Context) error {
	c.forget()
	for _, h := range c.hops {
		h.close()
	}
	c.hops = nil
	return nil
}

// Messages runs the batch's messages through the plugins, one call a plugin
// unless the batch is large.
func (c *Chain) Messages(b *Batch) { c.run(b, abi.HookMessages) }

// Open asks the plugins whether the batch's sessions may begin. Continue accepts
// one, Drop and Close refuse it, Reply accepts it and greets it with Out; the
// plugins behind the one that replied are not asked.
func (c *Chain) Open(b *Batch) { c.run(b, abi.HookOpen) }

// CloseSessions tells the plugins that the batch's sessions
// have ended. Every outcome is Continue.
func (c *Chain) CloseSessions(b *Batch) { c.run(b, abi.HookClose) }

// Tick calls the plugins whose interval is over. The batch should be empty; what
// it holds afterwards was emitted and has passed the plugins that follow. It is
// cheap when nothing is due. listener is whose chain it is: what is emitted comes by
// that.
func (c *Chain) Tick(b *Batch, now time.Time, listener uint32) {
	c.compact()
	due := false
	for i, h := range c.hops {
		if !h.tickDue(now) {
			continue
		}
		if !due {
			due = true
			b.begin(abi.HookMessages)
		}
		b.Messages = append(b.Messages, abi.Message{Listener: listener, Time: now.UnixNano()})
		b.Outcomes = append(b.Outcomes, Outcome{Origin: -1, Plugin: -1, hook: abi.HookTick, next: int16(i), only: int16(i)})
	}
	if !due {
		b.begin(abi.HookMessages)
		return
	}
	c.steps(b)
	b.dropTicks()
}

func (c *Chain) run(b *Batch, hook abi.Hook) {
	c.compact()
	b.begin(hook)
	c.tap.beforeAll(b, hook)
	if hook == abi.HookMessages {
		c.arrive(b)
		if c.pauses != nil && c.pauses.count > 0 {
			c.holdArriving(b)
		}
	}
	c.steps(b)
	c.tap.afterAll(b, hook)
}

func (c *Chain) steps(b *Batch) {
	for k, h := range c.hops {
		k := int16(k)
		if len(b.again) > 0 {
			c.resumeAt(b, k)
		}
		for hook := abi.HookMessages; hook <= abi.HookTick; hook++ {
			if h.wants(hook) && c.collect(b, k, hook) {
				if h.convert != nil && hook == abi.HookMessages && !c.convert(h, b) {
					continue
				}
				h.tap.before(h, b, hook, c.live)
				c.deliver(h, b, hook)
				h.tap.after(h, b, hook)
				b.insertEmits(k + 1)
				if len(c.paused) > 0 {
					c.hold(b, k+1)
				}
			}
		}
	}
	if c.pauses != nil && c.pauses.count > 0 {
		c.pauses.settle(b)
	}
}

// collect lists the messages that plugin k is to see through the hook.
func (c *Chain) collect(b *Batch, k int16, hook abi.Hook) bool {
	c.live = c.live[:0]
	for i := range b.Outcomes {
		o := &b.Outcomes[i]
		if o.Verdict == abi.VerdictContinue && o.hook == hook && o.next <= k && (hook != abi.HookTick || o.only == k) {
			c.live = append(c.live, int32(i))
		}
	}
	return len(c.live) > 0
}

// serve hands the listed messages to one seat and applies its answers.
func (c *Chain) serve(h *seat, b *Batch, hook abi.Hook, rest []int32) {
	clear(c.changed)
	c.given, c.answered = 0, 0
	h.counters.messages.add(uint64(len(rest)))
	if hook != abi.HookMessages && hook != abi.HookResume {
		h.counters.events.add(uint64(len(rest)))
	}
	if len(h.offenders) > 0 {
		rest = c.withoutResting(h, b, rest)
	}
	for len(rest) > 0 {
		if !h.ready() {
			c.answerByPolicy(h, b, rest, CauseBackOff)
			return
		}
		c.refresh(b, rest)
		p := c.plan(h, b, rest)
		err := c.call(h, b, hook, rest[:p.count], &p)
		switch {
		case err == nil:
			h.good(p.count)
		case errors.Is(err, errNoBuffer) && p.count > 1:
			h.instance.comfort = uint32(p.size / 2)
			continue
		case errors.Is(err, errNoBuffer):
			c.answerByPolicy(h, b, rest[:1], CauseBuffer)
		default:
			h.discard(err, hook, &b.Messages[rest[0]], p.count)
			c.replay(h, b, hook, rest[:p.count])
		}
		rest = rest[p.count:]
	}
}

// withoutResting answers for the messages of sessions that rest and returns the
// others.
func (c *Chain) withoutResting(h *seat, b *Batch, list []int32) []int32 {
	now := h.now()
	c.rested = c.rested[:0]
	for n, i := range list {
		if h.offenders.resting(b.Messages[i].Session, now) {
			c.answerByPolicy(h, b, list[n:n+1], CauseBackOff)
			continue
		}
		c.rested = append(c.rested, i)
	}
	return c.rested
}

// replay runs messages again one at a time; only those that fail again meet the
// policy.
func (c *Chain) replay(h *seat, b *Batch, hook abi.Hook, indices []int32) {
	for i := range indices {
		if !h.ready() {
			c.answerByPolicy(h, b, indices[i:], CauseBackOff)
			return
		}
		one := indices[i : i+1]
		m := &b.Messages[one[0]]
		if len(h.offenders) > 0 && h.offenders.resting(m.Session, h.now()) {
			c.answerByPolicy(h, b, one, CauseBackOff)
			continue
		}
		c.refresh(b, one)
		p := c.plan(h, b, one)
		err := c.call(h, b, hook, one, &p)
		switch {
		case err == nil:
			h.good(1)
		case errors.Is(err, errNoBuffer):
			c.answerByPolicy(h, b, one, CauseBuffer)
		default:
			h.discard(err, hook, m, 1)
			c.answerByPolicy(h, b, one, causeOf(err))
			h.strike(m.Session)
		}
	}
}

// refresh gives messages the contexts that earlier messages of this step brought.
func (c *Chain) refresh(b *Batch, indices []int32) {
	if len(c.changed) == 0 {
		return
	}
	for _, i := range indices {
		if context, ok := c.changed[b.Messages[i].Session]; ok {
			b.Messages[i].Context = context
		}
	}
}

// answerByPolicy decides messages in the plugin's stead.
func (c *Chain) answerByPolicy(h *seat, b *Batch, indices []int32, cause Cause) {
	c.answerFor(h, b, indices, cause, h.inWords(cause))
}

// answerFor is answerByPolicy with what went wrong in words.
func (c *Chain) answerFor(h *seat, b *Batch, indices []int32, cause Cause, words string) {
	h.counters.policy.add(uint64(len(indices)))
	b.failures = append(b.failures, words)
	failure := &b.failures[len(b.failures)-1]
	for _, i := range indices {
		o := &b.Outcomes[i]
		o.Plugin, o.Generation, o.Cause, o.failure = h.index, h.plugin.spec.Generation, cause, failure
		if o.hook == abi.HookClose || o.hook == abi.HookTick {
			continue
		}
		switch h.plugin.spec.OnFailure {
		case FailOpen:
		case FailQuarantine:
			o.Verdict, o.Out = abi.VerdictRoute, quarantine
			if o.hook == abi.HookOpen {
				o.Verdict, o.Out = abi.VerdictDrop, nil
			}
		default:
			o.Verdict, o.Out = abi.VerdictDrop, nil
		}
	}
}

var quarantine = []byte("dead-letter")
