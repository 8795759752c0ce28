package server

import (
	"runtime/debug"
	"strconv"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// mqttVersion is what $SYS/broker/version says.
func mqttVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return "weft " + info.Main.Version
	}
	return "weft"
}

// sysPrefix begins the topics that weft alone publishes to.
const sysPrefix = "$SYS/"

// mqttSys publishes weft's own figures to be retained, under the names that clients
// of other brokers know.
type mqttSys struct {
	every time.Duration // 0: never
	begun time.Time
	next  time.Time
}

// newMQTTSys takes the shortest interval of all listeners.
func (p *path) newMQTTSys() *mqttSys {
	s := &mqttSys{begun: time.Now()}
	for _, l := range p.server.setup().cfg.Listeners {
		if c := l.MQTT; c != nil && c.Sys > 0 && c.Retain && (s.every == 0 || c.Sys.Std() < s.every) {
			s.every = c.Sys.Std()
		}
	}
	return s
}

// tick publishes the figures if it is time.
func (s *mqttSys) tick(p *path, now time.Time) {
	if s.every == 0 || now.Before(s.next) {
		return
	}
	if s.next.IsZero() {
		s.say(p, "version", mqttVersion())
	}
	s.next = now.Add(s.every)
	var online, away, received, sent uint64
	for _, other := range p.server.paths {
		for _, speaks := range other.seen().speakers {
			if m, ok := speaks.(*mqttSpeaker); ok {
				c := &m.counts.published
				online += c.online.Load()
				away += c.away.Load()
				received += c.received[packet.TypePublish].Load()
				sent += c.sent[packet.TypePublish].Load()
			}
		}
	}
	s.say(p, "uptime", strconv.FormatInt(int64(now.Sub(s.begun)/time.Second), 10)+" seconds")
	for _, figure := range []struct {
		name string
		n    uint64
	}{
		{"clients/connected", online}, {"clients/disconnected", away}, {"clients/total", online + away},
		{"messages/received", received}, {"messages/sent", sent},
		{"subscriptions/count", uint64(p.server.topics.Len())},
		{"retained messages/count", uint64(p.server.mqtt.retained.Stats().Messages)},
	} {
		s.say(p, figure.name, strconv.FormatUint(figure.n, 10))
	}
}

// say publishes one figure past chains and routes.
func (s *mqttSys) say(p *path, name, value string) {
	p.begin()
	m := abi.Message{
		Time: p.now, Listener: apiListener, Flags: abi.FlagRetain | abi.FlagEmitted,
		Topic: []byte(sysPrefix + "broker/" + name), Payload: []byte(value),
	}
	p.ledger.Emitted++
	p.encoded.reset(abi.ChangesKnown)
	p.settled(&m, p.toRetained(&m))
}
