package server

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// tapped is one thing that a tap saw: a message, or what belongs to the message
// before it.
type tapped struct {
	kind    tappedKind
	hook    abi.Hook
	batch   uint64
	message abi.Message // as it came; an emitted one
	after   abi.Message // what has changed
	outcome plugins.Outcome
	plugin  string
	from    string // the listener
	pattern []byte
	qos     uint8
	remove  bool
}

type tappedKind uint8

const (
	tappedMessage tappedKind = iota
	tappedEmitted
	tappedSubscription
)

// saw copies what a tap was shown, on the loop.
func (r *recording) saw(t *tap, hook abi.Hook, seen []plugins.Seen) {
	if r.closed.Load() {
		return
	}
	l := r.loops[t.path.loop.Index()]
	if l.calls++; (l.calls-1)%r.every != 0 {
		r.skipped.Add(uint64(len(seen)))
		return
	}
	batch := r.batches.Add(1)
	for i := range seen {
		s := &seen[i]
		if !l.box.Room(1+len(s.Emitted)+len(s.Subscriptions), sizeSeen(s)) {
			r.missed.Add(1)
			continue
		}
		r.recorded.Add(1)
		t.put(l, s, hook, batch)
	}
	r.post(t.path.loop.Index())
}

// put copies one message with what belongs to it.
func (t *tap) put(l *recordingLoop, s *plugins.Seen, hook abi.Hook, batch uint64) {
	names := t.path.setup.names
	item := tapped{kind: tappedMessage, hook: hook, batch: batch, message: s.Before, outcome: s.Outcome, from: names[s.Before.Listener]}
	item.plugin = pluginName(t.chain, &s.Outcome)
	copyMessage(&item.message, l.box.Copy)
	item.outcome.Out = l.box.Copy(s.Outcome.Out)
	item.after = onlyChanged(s.After, s.Outcome.Changes)
	copyMessage(&item.after, l.box.Copy)
	l.box.Put(item)
	for i := range s.Emitted {
		emitted := tapped{kind: tappedEmitted, message: s.Emitted[i], from: item.from}
		copyMessage(&emitted.message, l.box.Copy)
		l.box.Put(emitted)
	}
	for _, sub := range s.Subscriptions {
		l.box.Put(tapped{kind: tappedSubscription, pattern: l.box.Copy(sub.Pattern), qos: sub.QoS, remove: sub.Remove})
	}
}

// onlyChanged is a message without the bytes that did not change.
func onlyChanged(m *abi.Message, changes abi.Changes) abi.Message {
	c := *m
	if changes&abi.ChangedTopic == 0 {
		c.Topic = nil
	}
	if changes&abi.ChangedAttrs == 0 {
		c.Attrs = nil
	}
	if changes&abi.ChangedContext == 0 {
		c.Context = nil
	}
	if changes&abi.ChangedPayload == 0 {
		c.Payload = nil
	}
	return c
}

func copyMessage(m *abi.Message, take func([]byte) []byte) {
	m.Topic, m.Attrs, m.Context, m.Payload, m.Frame = take(m.Topic), take(m.Attrs), take(m.Context), take(m.Payload), nil
	m.Came = nil
}

// sizeSeen is how many bytes put copies at most.
func sizeSeen(s *plugins.Seen) int {
	size := func(m *abi.Message) int { return len(m.Topic) + len(m.Attrs) + len(m.Context) + len(m.Payload) }
	n := size(&s.Before) + size(s.After) + len(s.Outcome.Out)
	for i := range s.Emitted {
		n += size(&s.Emitted[i])
	}
	for i := range s.Subscriptions {
		n += len(s.Subscriptions[i].Pattern)
	}
	return n
}

// appendRecorded makes messages of the API of what was seen. It copies everything.
func appendRecorded(list []*weftv1.RecordedMessage, items []tapped) []*weftv1.RecordedMessage {
	for i := range items {
		it := &items[i]
		switch it.kind {
		case tappedMessage:
			m := &weftv1.RecordedMessage{
				Batch: it.batch, Hook: it.hook.String(), Before: recordedFields(&it.message, it.from),
				Verdict: it.outcome.Verdict.String(), Plugin: it.plugin, Generation: it.outcome.Generation,
				Out: cloneBytes(it.outcome.Out), Changes: uint32(it.outcome.Changes),
			}
			if it.outcome.Cause != plugins.CauseNone {
				m.Cause = it.outcome.Cause.String()
			}
			if it.outcome.Changes != 0 {
				m.After = recordedFields(&it.after, "")
			}
			list = append(list, m)
		case tappedEmitted:
			last := list[len(list)-1]
			last.Emitted = append(last.Emitted, recordedFields(&it.message, it.from))
		case tappedSubscription:
			last := list[len(list)-1]
			last.Subscriptions = append(last.Subscriptions, &weftv1.RecordedSubscription{Pattern: cloneBytes(it.pattern), Qos: uint32(it.qos), Remove: it.remove})
		}
	}
	return list
}

var recordedTypes = map[abi.Type]weftv1.Type{
	abi.TypeEvent: weftv1.Type_TYPE_EVENT, abi.TypeRequest: weftv1.Type_TYPE_REQUEST,
	abi.TypeResponse: weftv1.Type_TYPE_RESPONSE, abi.TypeAck: weftv1.Type_TYPE_ACK,
}

func recordedFields(m *abi.Message, listener string) *weftv1.RecordedFields {
	f := &weftv1.RecordedFields{
		Topic: cloneBytes(m.Topic), Attributes: recordedAttributes(m.Attrs), Context: recordedAttributes(m.Context),
		Payload: cloneBytes(m.Payload), Type: recordedTypes[m.Type], Priority: uint32(m.Priority), Qos: uint32(m.QoS), Seq: m.Seq,
		Session: m.Session, Listener: strings.Clone(listener), Flags: uint32(m.Flags),
	}
	if m.Time != 0 {
		f.Time = timestamppb.New(time.Unix(0, m.Time))
	}
	return f
}

func recordedAttributes(block abi.Attributes) []*weftv1.RecordedAttribute {
	var list []*weftv1.RecordedAttribute
	for name, value := range block.All() {
		list = append(list, &weftv1.RecordedAttribute{Name: cloneBytes(name), Value: cloneBytes(plugins.Shown(name, value))})
	}
	return list
}

func cloneBytes(b []byte) []byte { return append([]byte(nil), b...) }
