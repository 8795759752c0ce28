package plugins

import (
	"bytes"
	"fmt"

	"github.com/weftrun/weft/abi"
)

// What a plugin's answers to one batch may make the host copy: maxAnswer bytes,
// or answerFactor times what it was given, if that is more. Spans may overlap, so
// the guest's own memory is no bound.
const (
	maxAnswer    = abi.MaxBuffer
	answerFactor = 4
)

func fault(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFault, fmt.Sprintf(format, args...))
}

func countFault(hook abi.Hook, given int, answered uint32) error {
	return fault("%s was given %d records and answered %d", abi.HookExport(hook), given, answered)
}

// readAnswers checks the records of a call, all of them before the first is
// applied: a fault leaves the batch as it was.
func (c *Chain) readAnswers(h *seat, b *Batch, hook abi.Hook, indices []int32) error {
	memory := h.instance.view()
	base := h.instance.pointer
	c.dirty = c.dirty[:0]
	size, effects := 0, 0
	topic := uint64(0) // the last span that was checked as a topic
	for n := range indices {
		r := (*[abi.RecordSize]byte)(memory[base+uint32(n)*abi.RecordSize:])
		// verdict and changes, the length of out, the count of effects, reserved
		touched := le.Uint64(r[abi.RecordVerdict:]) | le.Uint64(r[abi.RecordOut:])>>32 | le.Uint64(r[abi.RecordEffects:])>>32 | le.Uint64(r[abi.RecordReserved:])
		if touched == 0 {
			continue
		}
		a := answer{memory: memory, record: r, hook: hook, topic: topic, in: h.instance, pauses: b.Outcomes[indices[n]].pauses}
		a.check()
		topic = a.topic
		if size += a.size; a.err == nil && c.answered+size > max(maxAnswer, answerFactor*c.given) {
			a.err = fault("the answers to one batch take more than %d bytes", max(maxAnswer, answerFactor*c.given))
		}
		if a.err != nil {
			return fmt.Errorf("record %d: %w", n, a.err)
		}
		effects += int(le.Uint32(r[abi.RecordEffects+4:]))
		c.dirty = append(c.dirty, int32(n))
		if !h.instance.affords(size, effects) {
			break
		}
	}
	if err := h.instance.payForAnswers(size, effects); err != nil {
		return err
	}
	c.answered += size
	c.topicSpan, c.topic = 0, nil
	next := 0
	for _, n := range c.dirty {
		if len(c.changed) > 0 {
			c.refresh(b, indices[next:n+1])
		}
		next = int(n) + 1
		c.apply(h, b, hook, indices[n], memory, (*[abi.RecordSize]byte)(memory[base+uint32(n)*abi.RecordSize:]))
	}
	if len(c.changed) > 0 {
		c.refresh(b, indices[next:])
	}
	return nil
}

// answer checks one record that the guest touched. The first fault sticks.
type answer struct {
	memory []byte
	record *[abi.RecordSize]byte
	hook   abi.Hook
	topic  uint64 // a span that has been found good as a topic in this call; 0 for none
	size   int    // bytes that the host will copy
	in     *instance
	pauses uint8 // times that the message was paused
	err    error
}

func (a *answer) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fault(format, args...)
	}
}

// span is what a span points to, nil if it is empty.
func (a *answer) span(at []byte, what string, limit int) []byte {
	pointer, length := le.Uint32(at), le.Uint32(at[4:])
	if length == 0 {
		return nil
	}
	if uint64(length) > uint64(limit) {
		a.fail("%s has %d bytes, at most %d are allowed", what, length, limit)
		return nil
	}
	if uint64(pointer)+uint64(length) > uint64(len(a.memory)) {
		a.fail("%s at 0x%x with %d bytes does not lie in the memory, which ends at 0x%x", what, pointer, length, len(a.memory))
		return nil
	}
	a.size += int(length)
	return a.memory[pointer : uint64(pointer)+uint64(length)]
}

func (a *answer) check() {
	r := a.record
	if le.Uint64(r[abi.RecordReserved:]) != 0 {
		a.fail("the reserved bytes are not zero")
	}
	a.checkVerdict(abi.Verdict(le.Uint32(r[abi.RecordVerdict:])))
	a.checkChanges(abi.Changes(le.Uint32(r[abi.RecordChanges:])))
	count := le.Uint32(r[abi.RecordEffects+4:])
	if count == 0 || a.err != nil {
		return
	}
	if count > abi.MaxEffects {
		a.fail("%d effects, at most %d are allowed", count, abi.MaxEffects)
		return
	}
	pointer := le.Uint32(r[abi.RecordEffects:])
	end := uint64(pointer) + uint64(count)*abi.EffectSize
	if end > uint64(len(a.memory)) {
		a.fail("%d effects at 0x%x do not lie in the memory, which ends at 0x%x", count, pointer, len(a.memory))
		return
	}
	for at := uint64(pointer); at < end && a.err == nil; at += abi.EffectSize {
		a.checkEffect((*[abi.EffectSize]byte)(a.memory[at:]))
	}
}

func (a *answer) checkVerdict(v abi.Verdict) {
	out := a.record[abi.RecordOut:]
	allowed := true
	switch a.hook {
	case abi.HookOpen:
		allowed = v != abi.VerdictRoute && v != abi.VerdictPause
	case abi.HookClose, abi.HookTick:
		allowed = v == abi.VerdictContinue
	}
	switch {
	case v > abi.VerdictPause:
		a.fail("unknown verdict %d", uint32(v))
		return
	case !allowed:
		a.fail("verdict %s is not allowed on %s", v, a.hook)
		return
	}
	switch v {
	case abi.VerdictPause:
		a.checkPause(le.Uint64(a.record[abi.RecordToken:]))
		a.span(out, "out of the verdict pause", 0)
	case abi.VerdictContinue:
		a.span(out, "out of the verdict continue", 0)
	case abi.VerdictDrop, abi.VerdictClose:
		a.span(out, "the reason", abi.MaxReason)
	case abi.VerdictReply:
		a.span(out, "the reply", abi.MaxPayload)
	case abi.VerdictRoute:
		a.checkDestinations(a.span(out, "the destinations", abi.MaxTopic))
	}
}

func (a *answer) checkPause(token uint64) {
	switch {
	case !a.in.async.Given(token):
		a.fail("it pauses with token %d, which it was not given", token)
	case a.in.hooks[abi.HookResume] == nil:
		a.fail("it pauses, but does not export %s or does not want it called", abi.ExportOnResume)
	case a.pauses >= abi.MaxPauses:
		a.fail("it pauses a message more than %d times", abi.MaxPauses)
	}
}

func (a *answer) checkDestinations(text []byte) {
	if a.err != nil {
		return
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'}) {
		d, err := abi.ParseDestination(line)
		if err != nil {
			a.fail("%v", err)
			return
		}
		if d.Kind == abi.ToSubscribers && d.Name != nil {
			a.checkTopic(d.Name, "the destination's topic")
		}
	}
}

func (a *answer) checkChanges(changes abi.Changes) {
	r := a.record
	if unknown := changes &^ abi.ChangesKnown; unknown != 0 {
		a.fail("unknown bits 0x%x in changes", uint32(unknown))
	}
	if changes&abi.ChangedTopic != 0 {
		a.checkNewTopic(r[abi.RecordTopic:])
	}
	if changes&abi.ChangedAttrs != 0 {
		a.checkAttributes(a.span(r[abi.RecordAttrs:], "the attributes", abi.MaxAttrs), abi.MaxAttrs)
	}
	if changes&abi.ChangedContext != 0 {
		a.checkAttributes(a.span(r[abi.RecordContext:], "the context", abi.MaxContext), abi.MaxContext)
	}
	if changes&abi.ChangedPayload != 0 {
		a.span(r[abi.RecordPayload:], "the payload", abi.MaxPayload)
	}
	if changes&abi.ChangedType != 0 && r[abi.RecordType] > byte(abi.TypeHeartbeat) {
		a.fail("unknown type %d", r[abi.RecordType])
	}
	if changes&abi.ChangedPriority != 0 && r[abi.RecordPriority] > abi.MaxPriority {
		a.fail("priority %d, at most %d is allowed", r[abi.RecordPriority], abi.MaxPriority)
	}
	if changes&abi.ChangedQoS != 0 && r[abi.RecordQoS] > abi.MaxQoS {
		a.fail("QoS %d, at most %d is allowed", r[abi.RecordQoS], abi.MaxQoS)
	}
}

// checkNewTopic checks a changed topic. Runs of messages often get one topic, and
// a guest may answer the same span for all of them.
func (a *answer) checkNewTopic(at []byte) {
	if raw := le.Uint64(at); raw != a.topic || raw == 0 {
		a.checkTopic(a.span(at, "the topic", abi.MaxTopic), "the topic")
		a.topic = raw
	}
}

func (a *answer) checkAttributes(block []byte, limit int) {
	if a.err != nil {
		return
	}
	if err := abi.Attributes(block).Validate(limit); err != nil {
		a.fail("%v", err)
	}
}

// checkTopic refuses a topic to which nothing can be published: empty, with a
// zero byte, or with a wildcard as a whole level.
func (a *answer) checkTopic(topic []byte, what string) {
	if a.err != nil {
		return
	}
	if len(topic) == 0 {
		a.fail("%s is empty", what)
		return
	}
	level := 0 // where the level began
	for i := 0; i <= len(topic); i++ {
		if i < len(topic) && topic[i] != '/' {
			if topic[i] == 0 {
				a.fail("%s holds a zero byte", what)
				return
			}
			continue
		}
		if i-level == 1 && (topic[level] == '#' || topic[level] == '+' || topic[level] == '*') {
			a.fail("%s %.64q holds a wildcard", what, topic)
			return
		}
		level = i + 1
	}
}

// checkPattern refuses a subscription's pattern that no router takes.
func (a *answer) checkPattern(pattern []byte) {
	if a.err != nil {
		return
	}
	if len(pattern) == 0 || bytes.IndexByte(pattern, 0) >= 0 {
		a.fail("a subscription's pattern is empty or holds a zero byte")
		return
	}
	if i := bytes.Index(pattern, []byte("#/")); i == 0 || i > 0 && pattern[i-1] == '/' {
		a.fail("the pattern %.64q has a # before its end", pattern)
	}
}

func (a *answer) checkEffect(e *[abi.EffectSize]byte) {
	kind := abi.Effect(e[abi.EffectKind])
	for _, c := range e[abi.EffectReserved:] {
		if c != 0 {
			a.fail("the reserved bytes of an effect are not zero")
			return
		}
	}
	if e[abi.EffectQoS] > abi.MaxQoS {
		a.fail("an effect has QoS %d, at most %d is allowed", e[abi.EffectQoS], abi.MaxQoS)
		return
	}
	switch kind {
	case abi.EffectEmit:
		a.checkEmit(e)
	case abi.EffectSubscribe, abi.EffectUnsubscribe:
		a.checkPattern(a.span(e[abi.EffectTopic:], "a subscription's pattern", abi.MaxTopic))
		rest := uint64(e[abi.EffectType]) | uint64(e[abi.EffectPriority]) | uint64(le.Uint32(e[abi.EffectFlags:])) | le.Uint64(e[abi.EffectSeq:]) |
			uint64(le.Uint32(e[abi.EffectAttrs+4:])) | uint64(le.Uint32(e[abi.EffectPayload+4:]))
		if rest != 0 {
			a.fail("a subscription has fields other than kind, QoS and topic")
		}
	default:
		a.fail("unknown kind of effect %d", e[abi.EffectKind])
	}
}

func (a *answer) checkEmit(e *[abi.EffectSize]byte) {
	if e[abi.EffectType] > byte(abi.TypeHeartbeat) {
		a.fail("an emitted message has the unknown type %d", e[abi.EffectType])
	}
	if e[abi.EffectPriority] > abi.MaxPriority {
		a.fail("an emitted message has priority %d, at most %d is allowed", e[abi.EffectPriority], abi.MaxPriority)
	}
	if flags := abi.Flags(le.Uint32(e[abi.EffectFlags:])); flags&^abi.FlagRetain != 0 {
		a.fail("an emitted message has the flags 0x%x, only retain is allowed", uint32(flags))
	}
	a.checkTopic(a.span(e[abi.EffectTopic:], "an emitted topic", abi.MaxTopic), "an emitted topic")
	a.checkAttributes(a.span(e[abi.EffectAttrs:], "emitted attributes", abi.MaxAttrs), abi.MaxAttrs)
	a.span(e[abi.EffectPayload:], "an emitted payload", abi.MaxPayload)
}
