package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

func TestMQTTFaultsEndTheConnection(t *testing.T) {
	connect := packet.AppendConnect(nil, &packet.Connect{Version: packet.V5, CleanStart: true, ClientID: []byte("x")})
	for _, test := range []struct {
		name   string
		sent   []byte
		reason packet.Code
	}{
		{"a second CONNECT", connect, packet.ProtocolError},
		{"a reserved type", []byte{0x00, 0}, packet.MalformedPacket},
		{"a packet of a server", []byte{0xD0, 0}, packet.ProtocolError},
		{"AUTH without a method", []byte{0xF0, 0}, packet.ProtocolError},
		{"QoS 3", []byte{0x36, 4, 0, 1, 'a', 0}, packet.MalformedPacket},
		{"a property twice", packet.AppendPublish(nil, &packet.Publish{Topic: []byte("a"),
			Properties: packet.Properties(nil).AppendNumber(packet.PayloadFormat, 0).AppendNumber(packet.PayloadFormat, 0)}, packet.V5), packet.ProtocolError},
		{"too large", []byte{0x30, 0xFF, 0xFF, 0x7F}, packet.PacketTooLarge},
		{"a wildcard in a topic", packet.AppendPublish(nil, &packet.Publish{Topic: []byte("a/#")}, packet.V5), packet.TopicNameInvalid},
		{"no local on a shared subscription", packet.AppendSubscribe(nil, &packet.Subscribe{ID: 1,
			Filters: []packet.Subscription{{Filter: []byte("$share/g/a"), NoLocal: true}}}, packet.V5), packet.ProtocolError},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
				c := f.mqtt(packet.V5, "c")
				c.send(test.sent)
				c.ends(test.reason)
				f.await("weft_mqtt_faults_total", 1)
			})
		})
	}
}

// A client of 3.1.1 is not told.
func TestMQTT3FaultsEndTheConnection(t *testing.T) {
	eachMQTTOf(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		c := f.mqtt(v, "c")
		c.send([]byte{0x36, 4, 0, 1, 'a', 0})
		c.ends(0)
	}, packet.V311)
}

func TestMQTTRefusesConnect(t *testing.T) {
	config := `
loops: %d
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {max_qos: 1, retain: false, shared: false, session: {sessions: 2}}}
  - {name: hasty, address: "127.0.0.1:0", frame: mqtt, mqtt: {connect_within: 200ms}}
api: {address: ""}
`
	eachMQTT5(t, config, func(t *testing.T, f *fixture) {
		refused := func(want packet.Code, options ...func(*packet.Connect)) {
			t.Helper()
			c := f.mqttDial(packet.V5)
			if ack := c.connect("c", options...); ack.Reason != want || ack.SessionPresent {
				t.Errorf("CONNACK says %v, want %v", ack.Reason, want)
			}
			if b := c.packet(); b != nil {
				t.Errorf("%x came behind the refusal", b)
			}
			_ = c.Close()
		}
		refused(packet.QoSNotSupported, will("w", "x", 2, nil))
		refused(packet.RetainNotSupported, will("w", "x", 1, nil), func(m *packet.Connect) { m.Will.Retain = true })
		refused(packet.BadAuthenticationMethod, func(m *packet.Connect) {
			m.Properties = m.Properties.AppendBytes(packet.AuthMethod, []byte("SCRAM-SHA-1"))
		})
		refused(packet.TopicNameInvalid, will("w/#", "x", 0, nil))
		refused(packet.UnsupportedProtocolVersion, func(m *packet.Connect) { m.Version = 6 })

		c := f.mqttDial(packet.V5)
		ack := c.connect("terms")
		if ack.Properties.Number(packet.MaximumQoS, 2) != 1 || ack.Properties.Number(packet.RetainAvailable, 1) != 0 ||
			ack.Properties.Number(packet.SharedAvailable, 1) != 0 || ack.Properties.Number(packet.MaximumPacketSize, 0) != 64<<10 {
			t.Errorf("CONNACK says %x", ack.Properties)
		}
		if got := c.subscribes(to("a", 2), to("$share/g/a", 0)); got[0] != packet.GrantedQoS1 || got[1] != packet.SharedNotSupported {
			t.Errorf("SUBACK says %v", got)
		}
		c.sends(&packet.Publish{Topic: []byte("a"), QoS: 2})
		c.ends(packet.QoSNotSupported)
		c = f.mqtt(packet.V5, "other")
		c.sends(&packet.Publish{Topic: []byte("a"), Retain: true})
		c.ends(packet.RetainNotSupported)

		f.await("weft_connections", 0)
		third := f.mqtt(packet.V5, "third")
		f.mqtt(packet.V5, "fourth")
		refused(packet.QuotaExceeded) // two are there
		third.quiet()

		silent, first := f.mqttDialTo("hasty", packet.V5), f.mqttDial(packet.V5)
		first.send(packet.AppendPingreq(nil))
		if b := first.packet(); b != nil {
			t.Errorf("%x came to a client that did not introduce itself", b)
		}
		if b := silent.packet(); b != nil {
			t.Errorf("%x came to a client that says nothing", b)
		}
	})
}

func TestMQTTKeepAlive(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		begun := time.Now()
		c := f.mqtt(v, "c", func(m *packet.Connect) { m.KeepAlive = 1 })
		stays := f.mqtt(v, "stays", func(m *packet.Connect) { m.KeepAlive = 0 })
		c.ends(packet.KeepAliveTimeout)
		if after := time.Since(begun); after < 1400*time.Millisecond || after > 5*time.Second {
			t.Errorf("a keep-alive of 1 s ended after %v", after)
		}
		stays.quiet()
	})
}

func TestMQTTDrain(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		sub, pub := f.mqtt(v, "sub", persistent), f.mqtt(v, "pub")
		sub.subscribes(to("a", 1))
		for range 20 {
			pub.sends(&packet.Publish{Topic: []byte("a"), Payload: []byte("x")})
		}
		for range 20 {
			sub.gets("x")
		}
		go f.stop()
		sub.ends(packet.ServerShuttingDown)
	})
}

// What sessions keep for clients that are away ends with the process, and is counted.
func TestMQTTStopCountsWhatWaits(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		sub, pub := f.mqtt(v, "sub", persistent), f.mqtt(v, "pub")
		sub.subscribes(to("a", 1))
		sub.leaves()
		for id := range uint16(3) {
			pub.send(packet.AppendPublish(nil, &packet.Publish{QoS: 1, ID: id + 1, Topic: []byte("a"), Payload: []byte("x")}, v))
			var ack packet.Ack
			pub.expect(packet.TypePuback, func(b []byte) error { return ack.Decode(b, v) })
		}
		f.end()
		if got := f.Ledger().CopiesDropped[delivery.Draining]; got != 3 {
			t.Errorf("%d copies are counted, want 3", got)
		}
	})
}

const mqttAuth = `
loops: %d
listeners:
  - name: mqtt
    address: "127.0.0.1:0"
    frame: mqtt
    chain: [auth]
    mqtt: {subscribe: ["in/{identity}/#", "$share/+/all", "all"], publish: ["out/{identity}/+", "in/#"]}
plugins:
  auth:
    file: "std:jwt-auth"
    grants: {clock: {}, subscribe: {topics: ["claimed/#"]}}
    config: {key: "a key of thirty-two bytes or more"}
api: {address: ""}
`

// Tokens of mqttAuth's key for alice and bob. They do not expire; bob's subscribes
// him to claimed/bob.
const (
	tokenAlice = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9."
	tokenBob   = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJib2IiLCJzdWJzY3JpYmUiOlsiY2xhaW1lZC9ib2IiXX0."
)

func token(unsigned string) func(*packet.Connect) {
	return func(m *packet.Connect) {
		m.Username, m.Password = []byte("whoever"), []byte(unsigned+signature(strings.TrimSuffix(unsigned, ".")))
	}
}

// A token is the password; who it says it is owns the session.
func TestMQTTPrincipals(t *testing.T) {
	eachMQTT(t, mqttAuth, func(t *testing.T, f *fixture, v packet.Version) {
		alice, bob := f.mqtt(v, "same", persistent, token(tokenAlice)), f.mqtt(v, "same", persistent, token(tokenBob))
		if got := alice.subscribes(to("in/alice/x", 1), to("in/bob/x", 1), to("in/#", 1)); got[0] != packet.GrantedQoS1 || !got[1].Failed() || !got[2].Failed() {
			t.Errorf("SUBACK says %v", got)
		}
		bob.subscribes(to("in/bob/#", 1))
		// Neither has taken the other's session over, nor gets its messages.
		alice.publishes(message("in/bob/y", "for bob", 1))
		bob.gets("for bob")
		alice.quiet()
		bob.leaves()
		alice.publishes(message("in/bob/y", "later", 1))
		bob = f.mqttDial(v)
		if ack := bob.connect("same", persistent, token(tokenBob)); !ack.SessionPresent {
			t.Error("bob's session is gone")
		}
		bob.gets("later")
		if v == packet.V5 {
			if got := alice.publishes(message("out/bob/x", "no", 1)); got != packet.NotAuthorized {
				t.Errorf("PUBACK says %v", got)
			}
			if got := alice.publishes(message("out/bob/x", "no", 2)); got != packet.NotAuthorized {
				t.Errorf("PUBREC says %v", got)
			}
			f.awaitOf("weft_messages_dropped_total", "not_allowed", 2)
		}
		for _, test := range []struct {
			name   string
			option func(*packet.Connect)
			want   packet.Code
		}{
			{"no token", func(*packet.Connect) {}, packet.NotAuthorized},
			{"a wrong one", func(m *packet.Connect) { m.Username, m.Password = []byte("x"), []byte("secret") }, packet.BadUserNameOrPassword},
			{"a will that may not be", func(m *packet.Connect) { token(tokenAlice)(m); will("out/bob/x", "x", 0, nil)(m) }, packet.NotAuthorized},
		} {
			c := f.mqttDial(v)
			ack := c.connect("same", test.option)
			if ack.Reason != test.want {
				t.Errorf("%s: CONNACK says %v, want %v", test.name, ack.Reason, test.want)
			}
			if text := string(ack.Properties.Bytes(packet.ReasonString)); v == packet.V5 && test.name == "no token" && text != "token: missing" {
				t.Errorf("%s: the reason is %q", test.name, text)
			}
			if b := c.packet(); b != nil {
				t.Errorf("%x came behind the refusal", b)
			}
		}
		alice.quiet() // nobody has touched her
	})
}
