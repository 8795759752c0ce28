package plugins

import (
	"slices"
	"time"

	"github.com/weftrun/weft/abi"
)

// hop is one place of a chain. The live seat serves it; a candidate, another
// generation on trial, serves some of its sessions (canary) or sees their messages
// without being obeyed (shadow).
type hop struct {
	index     int16
	live      *seat
	candidate *seat  // nil: none
	shadow    bool   // what the candidate is
	leaving   bool   // it has left but for messages that it has paused
	percent   uint64 // of the sessions that the candidate sees
	mirror    mirror
	tap       *tapPoint // nil: nobody looks
	nextTick  time.Time
	convert   func(*abi.Message) error // nil: messages come as they are

	own, trial []int32 // scratch of split
}

func newHop(p *Plugin, in *Chain, index int16) *hop {
	return &hop{index: index, live: newSeat(p, in, index)}
}

// wants reports whether somebody here is called with the hook.
func (h *hop) wants(hook abi.Hook) bool {
	return !h.leaving && (h.live.wants(hook) || h.candidate != nil && h.candidate.wants(hook))
}

// fuel is what the generations at the place have spent since they took it.
func (h *hop) fuel() uint64 {
	sum := h.live.counters.fuel.v.Load()
	if h.candidate != nil {
		sum += h.candidate.counters.fuel.v.Load()
	}
	return sum
}

// close closes the instances of the place.
func (h *hop) close() {
	h.live.close()
	if h.candidate != nil {
		h.candidate.close()
	}
}

// tickDue reports whether the plugin's interval is over, and begins the next.
func (h *hop) tickDue(now time.Time) bool {
	every := h.live.plugin.spec.Tick
	if !h.wants(abi.HookTick) || every < 0 {
		return false
	}
	if h.nextTick.IsZero() {
		h.nextTick = now.Add(every)
	}
	if now.Before(h.nextTick) {
		return false
	}
	if h.nextTick = h.nextTick.Add(every); h.nextTick.Before(now) {
		h.nextTick = now.Add(every)
	}
	return true
}

// deliver hands the listed messages to whoever serves them here.
func (c *Chain) deliver(h *hop, b *Batch, hook abi.Hook) {
	switch {
	case h.candidate == nil:
		c.serve(h.live, b, hook, c.live)
	case h.shadow:
		c.mirrored(h, b, hook)
	default:
		c.canary(h, b, hook)
	}
}

// canary hands the messages of some sessions to the candidate and the others to
// the live seat. A tick is for both.
func (c *Chain) canary(h *hop, b *Batch, hook abi.Hook) {
	h.split(b, c.live)
	if hook == abi.HookTick {
		h.own, h.trial = append(h.own[:0], c.live...), append(h.trial[:0], c.live...)
	}
	emitted := len(b.emits)
	if h.live.wants(hook) && len(h.own) > 0 {
		c.serve(h.live, b, hook, h.own)
	}
	if h.candidate.wants(hook) && len(h.trial) > 0 {
		c.serve(h.candidate, b, hook, h.trial)
		slices.SortStableFunc(b.emits[emitted:], func(x, y emit) int { return int(x.after - y.after) })
	}
}

// split parts the messages by whether their session is the candidate's.
func (h *hop) split(b *Batch, list []int32) {
	h.own, h.trial = h.own[:0], h.trial[:0]
	for _, i := range list {
		if h.onTrial(b.Messages[i].Session) {
			h.trial = append(h.trial, i)
		} else {
			h.own = append(h.own, i)
		}
	}
}

// onTrial reports whether the session is among those that the candidate sees. It
// depends on the session and the percentage alone: who is in at 10 is in at 20.
// What belongs to no session is not, unless all are.
func (h *hop) onTrial(session uint64) bool {
	if session == 0 {
		return h.percent >= 100
	}
	x := session * 0x9e3779b97f4a7c15 // a session's lower bits count connections: spread them
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return x%100 < h.percent
}
