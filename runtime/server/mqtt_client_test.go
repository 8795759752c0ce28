package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const mqttConfig = `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
api: {address: ""}
`

// eachMQTT runs a test on both drivers, with one loop and with two, and with both
// versions of the protocol.
func eachMQTT(t *testing.T, config string, run func(t *testing.T, f *fixture, v packet.Version)) {
	t.Helper()
	eachMQTTOf(t, config, run, packet.V311, packet.V5)
}

func eachMQTTOf(t *testing.T, config string, run func(t *testing.T, f *fixture, v packet.Version), versions ...packet.Version) {
	t.Helper()
	for _, driver := range drivers {
		for loops := 1; loops <= 2; loops++ {
			for _, v := range versions {
				t.Run(fmt.Sprintf("%s, loops %d, %v", driver, loops, v), func(t *testing.T) {
					run(t, start(t, driver, withLoops(config, loops)), v)
				})
			}
		}
	}
}

func withLoops(config string, loops int) string {
	if strings.Contains(config, "%d") {
		return fmt.Sprintf(config, loops)
	}
	return config
}

// eachMQTT5 is eachMQTT for what only 5.0 has.
func eachMQTT5(t *testing.T, config string, run func(t *testing.T, f *fixture)) {
	t.Helper()
	eachMQTTOf(t, config, func(t *testing.T, f *fixture, _ packet.Version) { run(t, f) }, packet.V5)
}

// mqttClient speaks MQTT, one packet at a time.
type mqttClient struct {
	net.Conn
	t  testing.TB
	v  packet.Version
	in []byte
	id uint16
	// later are the messages that came while an acknowledgement was awaited.
	later [][]byte
	live  *atomic.Int64 // connections that are there, of the whole test
	over  bool
}

// mqttDial connects without introducing itself.
func (f *fixture) mqttDial(v packet.Version) *mqttClient { return f.mqttDialTo("mqtt", v) }

// mqttDialTo dials a listener of that name.
func (f *fixture) mqttDialTo(listener string, v packet.Version) *mqttClient {
	f.t.Helper()
	c := f.dial(listener)
	f.clients.Add(1)
	return &mqttClient{Conn: c.Conn, t: f.t, v: v, live: &f.clients}
}

// mqtt is a client that is connected: with a clean session unless options say otherwise.
func (f *fixture) mqtt(v packet.Version, id string, options ...func(*packet.Connect)) *mqttClient {
	f.t.Helper()
	c := f.mqttDial(v)
	if ack := c.connect(id, options...); ack.Reason != packet.Success {
		f.t.Fatalf("CONNACK says %v: %q", ack.Reason, ack.Properties.Bytes(packet.ReasonString))
	}
	return c
}

func (c *mqttClient) connect(id string, options ...func(*packet.Connect)) packet.Connack {
	c.t.Helper()
	m := packet.Connect{Version: c.v, CleanStart: true, ClientID: []byte(id), KeepAlive: 60}
	for _, option := range options {
		option(&m)
	}
	c.send(packet.AppendConnect(nil, &m))
	var ack packet.Connack
	c.expect(packet.TypeConnack, func(b []byte) error { return ack.Decode(b, c.v) })
	return ack
}

// persistent makes a session that outlives its connection for an hour.
func persistent(m *packet.Connect) {
	m.CleanStart = false
	m.Properties = m.Properties.AppendNumber(packet.SessionExpiry, 3600)
}

// with sets a numeric property of CONNECT.
func with(id packet.PropertyID, n uint32) func(*packet.Connect) {
	return func(m *packet.Connect) { m.Properties = m.Properties.AppendNumber(id, n) }
}

func will(topic, text string, qos uint8, properties packet.Properties) func(*packet.Connect) {
	return func(m *packet.Connect) {
		m.HasWill, m.Will = true, packet.Will{Topic: []byte(topic), Payload: []byte(text), QoS: qos, Properties: properties}
	}
}

func (c *mqttClient) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// packet waits for the next packet; nil if the connection has ended.
func (c *mqttClient) packet() []byte {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		n, _, err := packet.Cut(c.in, 0)
		if err != nil {
			c.t.Fatal(err)
		}
		if n > 0 {
			b := c.in[:n:n]
			c.in = c.in[n:]
			return b
		}
		more := make([]byte, 4096)
		k, err := c.Read(more)
		c.in = append(c.in, more[:k]...)
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
			c.t.Fatal("nothing came")
		}
		if err != nil && k == 0 {
			c.gone()
			return nil
		}
	}
}

func (c *mqttClient) expect(t packet.Type, decode func([]byte) error) {
	c.t.Helper()
	b := c.packet()
	if b == nil {
		c.t.Fatalf("the connection has ended, want %v", t)
	}
	if got := packet.TypeOf(b); got != t {
		c.t.Fatalf("got %v %x, want %v", got, b, t)
	}
	if err := decode(b); err != nil {
		c.t.Fatal(err)
	}
}

// subscribes subscribes and answers the reason codes.
func (c *mqttClient) subscribes(filters ...packet.Subscription) []packet.Code {
	return c.subscribesWith(nil, filters...)
}

func (c *mqttClient) subscribesWith(properties packet.Properties, filters ...packet.Subscription) []packet.Code {
	c.t.Helper()
	c.id++
	c.send(packet.AppendSubscribe(nil, &packet.Subscribe{ID: c.id, Properties: properties, Filters: filters}, c.v))
	var ack packet.Suback
	c.expect(packet.TypeSuback, func(b []byte) error { return ack.Decode(b, c.v) })
	if ack.ID != c.id || len(ack.Reasons) != len(filters) {
		c.t.Fatalf("SUBACK %+v", ack)
	}
	return ack.Reasons
}

func to(filter string, qos uint8) packet.Subscription {
	return packet.Subscription{Filter: []byte(filter), QoS: qos}
}

func (c *mqttClient) unsubscribes(filter string) {
	c.t.Helper()
	c.id++
	c.send(packet.AppendUnsubscribe(nil, &packet.Unsubscribe{ID: c.id, Filters: [][]byte{[]byte(filter)}}, c.v))
	var ack packet.Unsuback
	c.expect(packet.TypeUnsuback, func(b []byte) error { return ack.Decode(b, c.v) })
}

// publishes sends a PUBLISH and takes part in its exchange to the end. It answers what
// PUBACK or PUBREC said.
func (c *mqttClient) publishes(m packet.Publish) packet.Code {
	c.t.Helper()
	c.sends(&m)
	if m.QoS == 0 {
		return packet.Success
	}
	ack := c.hearsAck()
	if ack.ID != m.ID || ack.Type != packet.TypePuback && m.QoS == 1 || ack.Type != packet.TypePubrec && m.QoS == 2 {
		c.t.Fatalf("the answer is %+v", ack)
	}
	if m.QoS == 2 && !ack.Reason.Failed() {
		c.acks(packet.TypePubrel, m.ID)
		if done := c.hearsAck(); done.Type != packet.TypePubcomp || done.ID != m.ID || done.Reason != packet.Success {
			c.t.Fatalf("the answer to PUBREL is %+v", done)
		}
	}
	return ack.Reason
}

func (c *mqttClient) sends(m *packet.Publish) {
	c.t.Helper()
	if m.QoS > 0 && m.ID == 0 {
		c.id++
		m.ID = c.id
	}
	c.send(packet.AppendPublish(nil, m, c.v))
}

func message(topic, text string, qos uint8) packet.Publish {
	return packet.Publish{Topic: []byte(topic), Payload: []byte(text), QoS: qos}
}

func (c *mqttClient) hearsAck() packet.Ack {
	c.t.Helper()
	b := c.packet()
	for ; b != nil && packet.TypeOf(b) == packet.TypePublish; b = c.packet() {
		c.later = append(c.later, b)
	}
	if b == nil {
		c.t.Fatal("the connection has ended, want an acknowledgement")
	}
	var ack packet.Ack
	if err := ack.Decode(b, c.v); err != nil {
		c.t.Fatalf("%x is no acknowledgement: %v", b, err)
	}
	return ack
}

func (c *mqttClient) acks(t packet.Type, id uint16) {
	c.t.Helper()
	c.send(packet.AppendAck(nil, &packet.Ack{Type: t, ID: id}, c.v))
}

// hears waits for a PUBLISH and does not acknowledge it.
func (c *mqttClient) hears() packet.Publish {
	c.t.Helper()
	var m packet.Publish
	if len(c.later) > 0 {
		b := c.later[0]
		c.later = c.later[1:]
		if err := m.Decode(b, c.v, packet.FromServer); err != nil {
			c.t.Fatal(err)
		}
		return m
	}
	c.expect(packet.TypePublish, func(b []byte) error { return m.Decode(b, c.v, packet.FromServer) })
	return m
}

// gets waits for a PUBLISH with this text and takes part in its exchange to the end.
func (c *mqttClient) gets(text string) packet.Publish {
	c.t.Helper()
	m := c.hears()
	if string(m.Payload) != text {
		c.t.Fatalf("got %s %q, want %q", m.Topic, m.Payload, text)
	}
	switch m.QoS {
	case 1:
		c.acks(packet.TypePuback, m.ID)
	case 2:
		c.acks(packet.TypePubrec, m.ID)
		if rel := c.hearsAck(); rel.Type != packet.TypePubrel || rel.ID != m.ID {
			c.t.Fatalf("the answer to PUBREC is %+v", rel)
		}
		c.acks(packet.TypePubcomp, m.ID)
	}
	return m
}

// quiet sees that nothing has come that this client's loop has sent.
func (c *mqttClient) quiet() {
	c.t.Helper()
	c.send(packet.AppendPingreq(nil))
	c.expect(packet.TypePingresp, func(b []byte) error { return packet.DecodePing(b, c.v) })
}

// ends sees that the connection is closed, of version 5 with this reason.
func (c *mqttClient) ends(reason packet.Code) {
	c.t.Helper()
	if c.v == packet.V5 {
		var d packet.Disconnect
		c.expect(packet.TypeDisconnect, func(b []byte) error { return d.Decode(b, c.v, packet.FromServer) })
		if d.Reason != reason {
			c.t.Fatalf("DISCONNECT says %v (%q), want %v", d.Reason, d.Properties.Bytes(packet.ReasonString), reason)
		}
	}
	if b := c.packet(); b != nil {
		c.t.Fatalf("%x came behind the end", b)
	}
	_ = c.Close()
}

// leaves says goodbye and waits until the server has closed.
func (c *mqttClient) leaves() {
	c.t.Helper()
	c.send(packet.AppendDisconnect(nil, &packet.Disconnect{}, c.v))
	if b := c.packet(); b != nil {
		c.t.Fatalf("%x came behind DISCONNECT", b)
	}
	_ = c.Close()
}

// collects answers the texts of what has come, in order, without acknowledging any.
func (c *mqttClient) collects() (texts []string) {
	c.t.Helper()
	c.send(packet.AppendPingreq(nil))
	for b := c.packet(); packet.TypeOf(b) == packet.TypePublish; b = c.packet() {
		var m packet.Publish
		if err := m.Decode(b, c.v, packet.FromServer); err != nil {
			c.t.Fatal(err)
		}
		texts = append(texts, string(m.Payload))
	}
	return texts
}

// breaks ends the connection without a word, and waits until the server knows.
func (c *mqttClient) breaks(f *fixture) {
	c.t.Helper()
	_ = c.Close()
	c.gone()
	f.await("weft_connections", float64(c.live.Load()))
}

// gone takes note of a connection that has ended.
func (c *mqttClient) gone() {
	if !c.over {
		c.over = true
		c.live.Add(-1)
	}
}

// signature signs a token with mqttAuth's key.
func signature(signed string) string {
	mac := hmac.New(sha256.New, []byte("a key of thirty-two bytes or more"))
	mac.Write([]byte(signed))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
