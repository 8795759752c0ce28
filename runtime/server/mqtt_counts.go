package server

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// mqttCounts is what one speaker counts, in plain variables; what other goroutines may
// read of it is published with each tick.
type mqttCounts struct {
	received, sent   [16]uint64 // packets by type
	faults, refused  [256]uint64
	unsubscribed     [256]uint64 // subscriptions refused
	connects         uint64
	takeovers, wills uint64
	published        mqttPublished
}

type mqttPublished struct {
	received, sent    [16]atomic.Uint64
	faults, refused   [256]atomic.Uint64
	unsubscribed      [256]atomic.Uint64
	connects          atomic.Uint64
	takeovers, wills  atomic.Uint64
	online, away      atomic.Uint64
	entries, messages atomic.Uint64
	redelivered       atomic.Uint64
	duplicates        atomic.Uint64
	outcomes          [mqtt.NumOutcomes]atomic.Uint64
}

// publish shows the counts to other goroutines.
func (c *mqttCounts) publish(s *mqttSpeaker) {
	p := &c.published
	for i := range c.received {
		show(&p.received[i], c.received[i])
		show(&p.sent[i], c.sent[i])
	}
	for i := range c.faults {
		show(&p.faults[i], c.faults[i])
		show(&p.refused[i], c.refused[i])
		show(&p.unsubscribed[i], c.unsubscribed[i])
	}
	show(&p.connects, c.connects)
	show(&p.takeovers, c.takeovers)
	show(&p.wills, c.wills)
	away := s.away.Len()
	show(&p.away, uint64(away))
	show(&p.online, uint64(max(s.clients.Len()-away, 0)))
	stored := s.store.Counts()
	show(&p.entries, uint64(max(stored.Entries, 0)))
	show(&p.messages, uint64(max(stored.Messages, 0)))
	show(&p.redelivered, stored.Redelivered)
	show(&p.duplicates, stored.Duplicates)
	for i := range stored.Outcomes {
		show(&p.outcomes[i], stored.Outcomes[i])
	}
}

// What is shown even while it is 0, so that the first of them is seen to be one more.
var (
	usualFaults = []packet.Code{packet.MalformedPacket, packet.ProtocolError, packet.PacketTooLarge, packet.TopicNameInvalid,
		packet.TopicAliasInvalid, packet.ReceiveMaximumExceeded, packet.QoSNotSupported, packet.RetainNotSupported}
	usualRefusals = []packet.Code{packet.MalformedPacket, packet.ProtocolError, packet.UnsupportedProtocolVersion, packet.ClientIdentifierNotValid,
		packet.BadUserNameOrPassword, packet.NotAuthorized, packet.BadAuthenticationMethod, packet.ServerUnavailable, packet.QuotaExceeded}
	usualSubacks = []packet.Code{packet.NotAuthorized, packet.TopicFilterInvalid, packet.QuotaExceeded, packet.SharedNotSupported}
)

// label is a reason code's name as the value of a label.
func label(code packet.Code) string {
	return strings.ReplaceAll(strings.ToLower(code.String()), " ", "_")
}

// mqttMetrics is what /metrics shows of the MQTT listeners.
func (s *Server) mqttMetrics() []admin.Metric {
	if s.mqtt == nil {
		return nil
	}
	sessions := newFamily("weft_mqtt_sessions", "MQTT sessions, by whether their client is there.", admin.Gauge, "listener", "state")
	received := newFamily("weft_mqtt_packets_received_total", "MQTT packets received, by type.", admin.Counter, "listener", "type")
	sent := newFamily("weft_mqtt_packets_sent_total", "MQTT packets sent, by type.", admin.Counter, "listener", "type")
	faults := newFamily("weft_mqtt_faults_total", "Connections closed because of what the client sent, by reason code.", admin.Counter, "listener", "reason")
	refused := newFamily("weft_mqtt_refused_total", "Clients refused, by the reason code of CONNACK; those whose version is not known get none.", admin.Counter, "listener", "reason")
	unsubscribed := newFamily("weft_mqtt_subscriptions_refused_total", "Subscriptions refused, by the reason code of SUBACK.", admin.Counter, "listener", "reason")
	connects := newFamily("weft_mqtt_connects_total", "Clients accepted.", admin.Counter, "listener")
	takeovers := newFamily("weft_mqtt_takeovers_total", "Connections closed because their client began another.", admin.Counter, "listener")
	wills := newFamily("weft_mqtt_wills_total", "Wills published.", admin.Counter, "listener")
	entries := newFamily("weft_mqtt_queued_messages", "Messages that sessions hold, waiting or not acknowledged.", admin.Gauge, "listener")
	stored := newFamily("weft_mqtt_stored_messages", "Different messages that sessions hold: one for many is held once.", admin.Gauge, "listener")
	again := newFamily("weft_mqtt_redelivered_total", "Messages sent again to clients that came back.", admin.Counter, "listener")
	duplicates := newFamily("weft_mqtt_duplicates_total", "Messages of clients that had come before and were not published again.", admin.Counter, "listener")
	lost := newFamily("weft_mqtt_session_dropped_total", "Messages that sessions did not take or could not keep, by reason.", admin.Counter, "listener", "reason")
	for i, l := range s.setup().each {
		if l.protocol != mqttProtocol {
			continue
		}
		sum := func(pick func(*mqttPublished) *atomic.Uint64) (n uint64) {
			for _, p := range s.paths {
				if m, ok := p.seen().speaker(i).(*mqttSpeaker); ok {
					n += pick(&m.counts.published).Load()
				}
			}
			return n
		}
		sessions.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.online }), l.name, "connected")
		sessions.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.away }), l.name, "away")
		for t := packet.TypeConnect; t <= packet.TypeAuth; t++ {
			received.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.received[t] }), l.name, strings.ToLower(t.String()))
			sent.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.sent[t] }), l.name, strings.ToLower(t.String()))
		}
		for code := packet.UnspecifiedError; code <= packet.WildcardsNotSupported; code++ {
			for _, of := range []struct {
				f     *family
				usual []packet.Code
				pick  func(*mqttPublished) *atomic.Uint64
			}{
				{faults, usualFaults, func(p *mqttPublished) *atomic.Uint64 { return &p.faults[code] }},
				{refused, usualRefusals, func(p *mqttPublished) *atomic.Uint64 { return &p.refused[code] }},
				{unsubscribed, usualSubacks, func(p *mqttPublished) *atomic.Uint64 { return &p.unsubscribed[code] }},
			} {
				if n := sum(of.pick); n > 0 || slices.Contains(of.usual, code) {
					of.f.add(n, l.name, label(code))
				}
			}
		}
		connects.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.connects }), l.name)
		takeovers.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.takeovers }), l.name)
		wills.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.wills }), l.name)
		entries.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.entries }), l.name)
		stored.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.messages }), l.name)
		again.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.redelivered }), l.name)
		duplicates.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.duplicates }), l.name)
		for o := range mqtt.Drops() {
			lost.add(sum(func(p *mqttPublished) *atomic.Uint64 { return &p.outcomes[o] }), l.name, o.String())
		}
	}
	kept := s.mqtt.retained.Stats()
	return []admin.Metric{sessions.Metric, received.Metric, sent.Metric, faults.Metric, refused.Metric, unsubscribed.Metric, connects.Metric, takeovers.Metric,
		wills.Metric, entries.Metric, stored.Metric, again.Metric, duplicates.Metric, lost.Metric,
		single("weft_mqtt_queued_bytes", "Memory that sessions, their subscriptions and their messages take: of mqtt.queue.total.", admin.Gauge, uint64(max(s.mqtt.budget.Used(), 0))),
		single("weft_mqtt_contexts_left_total", "Times that what plugins knew of a client that went away found no room, and was left.", admin.Counter, s.mqtt.contextsLeft.Load()),
		single("weft_mqtt_retained_messages", "Topics that have a retained message.", admin.Gauge, uint64(kept.Messages)),
		single("weft_mqtt_retained_bytes", "Memory that retained messages take.", admin.Gauge, uint64(max(kept.Bytes, 0))),
		single("weft_mqtt_retained_refused_total", "Messages that were not retained because there was no room.", admin.Counter, kept.Refused),
		single("weft_mqtt_retained_expired_total", "Retained messages whose time was up.", admin.Counter, kept.Expired),
		single("weft_mqtt_shared_groups", "Shared subscriptions in force.", admin.Gauge, uint64(s.mqtt.groups.Len())),
	}
}
