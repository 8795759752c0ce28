package main

import (
	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/recording"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// toEntry is a recorded message in the form of the file.
func toEntry(m *weftv1.RecordedMessage) *recording.Entry {
	before := toRecorded(m.Before)
	e := &recording.Entry{
		Batch: m.Batch, Hook: m.Hook, Message: before,
		Outcome: recording.Outcome{
			Verdict: m.Verdict, Plugin: m.Plugin, Generation: m.Generation, Cause: m.Cause, Out: m.Out,
		},
	}
	if after := m.GetAfter(); after != nil {
		changed := toABI(after)
		e.Outcome.Changed = recording.NewChanged(abi.Changes(m.Changes), &changed)
	}
	for _, emitted := range m.Emitted {
		e.Outcome.Emitted = append(e.Outcome.Emitted, toRecorded(emitted))
	}
	for _, s := range m.Subscriptions {
		e.Outcome.Subscriptions = append(e.Outcome.Subscriptions, recording.Subscription{Pattern: s.Pattern, QoS: uint8(s.Qos), Remove: s.Remove})
	}
	return e
}

func toRecorded(f *weftv1.RecordedFields) recording.Message {
	m := toABI(f)
	return recording.NewMessage(&m, f.GetListener())
}

func toABI(f *weftv1.RecordedFields) abi.Message {
	m := abi.Message{
		Session: f.GetSession(), Seq: f.GetSeq(), Flags: abi.Flags(f.GetFlags()), Priority: uint8(f.GetPriority()), QoS: uint8(f.GetQos()),
		Topic: f.GetTopic(), Attrs: toBlock(f.GetAttributes()), Context: toBlock(f.GetContext()), Payload: f.GetPayload(),
	}
	if f.GetTime() != nil {
		m.Time = f.GetTime().AsTime().UnixNano()
	}
	switch f.GetType() {
	case weftv1.Type_TYPE_REQUEST:
		m.Type = abi.TypeRequest
	case weftv1.Type_TYPE_RESPONSE:
		m.Type = abi.TypeResponse
	case weftv1.Type_TYPE_ACK:
		m.Type = abi.TypeAck
	}
	return m
}

func toBlock(list []*weftv1.RecordedAttribute) abi.Attributes {
	var block abi.Attributes
	for _, a := range list {
		block = block.Append(string(a.Name), a.Value)
	}
	return block
}
