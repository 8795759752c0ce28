package plugins

import (
	"bytes"

	"github.com/weftrun/weft/abi"
)

// guestSpan is what a span that was checked points to.
func guestSpan(memory, at []byte) []byte {
	pointer, length := le.Uint32(at), le.Uint32(at[4:])
	if length == 0 {
		return nil
	}
	return memory[pointer : uint64(pointer)+uint64(length)]
}

// apply carries a checked record over into the batch. Everything is copied.
func (c *Chain) apply(h *seat, b *Batch, hook abi.Hook, index int32, memory []byte, r *[abi.RecordSize]byte) {
	m, o := &b.Messages[index], &b.Outcomes[index]
	changes := abi.Changes(le.Uint32(r[abi.RecordChanges:]))
	if changes != 0 {
		c.applyChanges(b, m, changes, memory, r)
		o.Changes |= changes
	}
	if verdict := abi.Verdict(le.Uint32(r[abi.RecordVerdict:])); verdict == abi.VerdictPause {
		o.Verdict, o.Plugin, o.Generation, o.Cause = verdict, h.index, h.plugin.spec.Generation, CausePlugin
		c.paused = append(c.paused, pausing{index, h, h.instance, le.Uint64(r[abi.RecordToken:])})
	} else if verdict != abi.VerdictContinue {
		o.Verdict, o.Plugin, o.Generation, o.Cause = verdict, h.index, h.plugin.spec.Generation, CausePlugin
		out := guestSpan(memory, r[abi.RecordOut:])
		if verdict == abi.VerdictRoute {
			out = bytes.TrimSuffix(out, []byte{'\n'})
		}
		o.Out = b.bytes.copy(out)
		h.count(verdict)
	}
	if count := le.Uint32(r[abi.RecordEffects+4:]); count > 0 {
		at := le.Uint32(r[abi.RecordEffects:])
		for n := range count {
			c.applyEffect(h, b, hook, index, memory, (*[abi.EffectSize]byte)(memory[at+n*abi.EffectSize:]))
		}
	}
}

func (c *Chain) applyChanges(b *Batch, m *abi.Message, changes abi.Changes, memory []byte, r *[abi.RecordSize]byte) {
	if changes&^abi.ChangedContext != 0 {
		b.keep(m)
	}
	if changes&abi.ChangedTopic != 0 {
		if raw := le.Uint64(r[abi.RecordTopic:]); raw != c.topicSpan {
			c.topicSpan, c.topic = raw, b.bytes.copy(guestSpan(memory, r[abi.RecordTopic:]))
		}
		m.Topic = c.topic
	}
	if changes&abi.ChangedAttrs != 0 {
		m.Attrs = b.bytes.copy(guestSpan(memory, r[abi.RecordAttrs:]))
	}
	if changes&abi.ChangedContext != 0 {
		m.Context = b.bytes.copy(guestSpan(memory, r[abi.RecordContext:]))
		if m.Session != 0 {
			c.changed[m.Session] = m.Context
			b.Contexts = append(b.Contexts, ContextChange{m.Session, m.Context})
		}
	}
	if changes&abi.ChangedPayload != 0 {
		m.Payload, m.FrameStale = b.bytes.copy(guestSpan(memory, r[abi.RecordPayload:])), true
	}
	if changes&abi.ChangedSeq != 0 {
		m.Seq = le.Uint64(r[abi.RecordSeq:])
	}
	if changes&abi.ChangedType != 0 {
		m.Type = abi.Type(r[abi.RecordType])
	}
	if changes&abi.ChangedPriority != 0 {
		m.Priority = r[abi.RecordPriority]
	}
	if changes&abi.ChangedQoS != 0 {
		m.QoS = r[abi.RecordQoS]
	}
}

func (c *Chain) applyEffect(h *seat, b *Batch, hook abi.Hook, index int32, memory []byte, e *[abi.EffectSize]byte) {
	m := &b.Messages[index]
	topic := guestSpan(memory, e[abi.EffectTopic:])
	kind := abi.Effect(e[abi.EffectKind])
	if !h.allows(kind, topic) {
		return
	}
	if kind != abi.EffectEmit {
		if m.Session == 0 || hook == abi.HookClose || hook == abi.HookTick {
			return // there is nobody to subscribe
		}
		b.Subscriptions = append(b.Subscriptions, Subscription{
			Session: m.Session, Pattern: b.bytes.copy(topic), QoS: e[abi.EffectQoS],
			Remove: kind == abi.EffectUnsubscribe, Plugin: h.index, after: index,
		})
		return
	}
	if len(b.Messages)+len(b.emits) >= maxBatchMessages {
		h.counters.discarded.add(1)
		return
	}
	h.counters.emitted.add(1)
	origin := b.Outcomes[index].Origin
	b.emits = append(b.emits, emit{after: index, origin: origin, message: abi.Message{
		Session: m.Session, Listener: m.Listener, Time: m.Time, Context: m.Context,
		Seq:      le.Uint64(e[abi.EffectSeq:]),
		Flags:    abi.FlagEmitted | abi.Flags(le.Uint32(e[abi.EffectFlags:])),
		Type:     abi.Type(e[abi.EffectType]),
		Priority: e[abi.EffectPriority],
		QoS:      e[abi.EffectQoS],
		Topic:    b.bytes.copy(topic),
		Attrs:    b.bytes.copy(guestSpan(memory, e[abi.EffectAttrs:])),
		Payload:  b.bytes.copy(guestSpan(memory, e[abi.EffectPayload:])),
	}})
}

// count counts a verdict.
func (h *seat) count(v abi.Verdict) {
	switch v {
	case abi.VerdictDrop:
		h.counters.drops.add(1)
	case abi.VerdictReply:
		h.counters.replies.add(1)
	case abi.VerdictRoute:
		h.counters.routes.add(1)
	case abi.VerdictClose:
		h.counters.closes.add(1)
	}
}
