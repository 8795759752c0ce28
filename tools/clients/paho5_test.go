package clients

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// client5 is Eclipse Paho's client for MQTT 5.
type client5 struct {
	*paho.Client
	t    *testing.T
	in   chan *paho.Publish
	gone chan *paho.Disconnect
	ack  *paho.Connack
}

func (w *weft) paho5(id string, options ...func(*paho.Connect)) *client5 {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.address("mqtt"))
	if err != nil {
		w.t.Fatal(err)
	}
	c := &client5{t: w.t, in: make(chan *paho.Publish, 10_000), gone: make(chan *paho.Disconnect, 1)}
	c.Client = paho.NewClient(paho.ClientConfig{
		ClientID: id, Conn: conn, PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			c.in <- r.Packet
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) { c.gone <- d },
		OnClientError:      func(error) {},
	})
	connect := &paho.Connect{ClientID: id, CleanStart: true, KeepAlive: 30, Properties: &paho.ConnectProperties{RequestProblemInfo: true}}
	for _, option := range options {
		option(connect)
	}
	if c.ack, err = c.Connect(c.within(), connect); err != nil {
		w.t.Fatalf("%v: %+v", err, c.ack)
	}
	w.t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) })
	return c
}

func (c *client5) within() context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	c.t.Cleanup(cancel)
	return ctx
}

func (c *client5) subscribe(filter string, qos byte, options ...func(*paho.Subscribe)) byte {
	c.t.Helper()
	s := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}}
	for _, option := range options {
		option(s)
	}
	ack, err := c.Subscribe(c.within(), s)
	if err != nil {
		c.t.Fatalf("%v: %+v", err, ack)
	}
	return ack.Reasons[0]
}

func (c *client5) publish(p *paho.Publish) byte {
	c.t.Helper()
	r, err := c.Publish(c.within(), p)
	if err != nil {
		c.t.Fatalf("%v: %+v", err, r)
	}
	if r == nil {
		return 0
	}
	return r.ReasonCode
}

func (c *client5) gets(want string) *paho.Publish {
	c.t.Helper()
	p := c.next(want)
	if got := fmt.Sprintf("%s %s %d %v", p.Topic, p.Payload, p.QoS, p.Retain); got != want {
		c.t.Fatalf("got %q, want %q", got, want)
	}
	return p
}

// next is the next message, whatever it is.
func (c *client5) next(want string) *paho.Publish {
	c.t.Helper()
	select {
	case p := <-c.in:
		return p
	case <-time.After(patience):
		c.t.Fatalf("%q did not come", want)
	}
	return nil
}

func TestPaho5(t *testing.T) {
	w := start(t, broker)
	sub, pub := w.paho5("sub"), w.paho5("pub")
	if got := sub.subscribe("plant/#", 2, func(s *paho.Subscribe) {
		id := 77
		s.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &id}
		s.Subscriptions[0].RetainAsPublished = true
	}); got != 2 {
		t.Fatalf("SUBACK says %#x", got)
	}
	expiry := uint32(100)
	for qos := range byte(3) {
		pub.publish(&paho.Publish{Topic: "plant/a", QoS: qos, Payload: []byte("hello"), Retain: true, Properties: &paho.PublishProperties{
			ContentType: "text/plain", ResponseTopic: "answers", CorrelationData: []byte("c"), MessageExpiry: &expiry,
			User: paho.UserProperties{{Key: "colour", Value: "blue"}, {Key: "colour", Value: "red"}},
		}})
		p := sub.gets(fmt.Sprintf("plant/a hello %d true", qos))
		o := p.Properties
		if o.ContentType != "text/plain" || o.ResponseTopic != "answers" || string(o.CorrelationData) != "c" || *o.MessageExpiry > 100 ||
			len(o.User) != 2 || o.User[1].Value != "red" || *o.SubscriptionIdentifier != 77 {
			t.Errorf("QoS %d: %+v", qos, o)
		}
	}
	if got := pub.publish(&paho.Publish{Topic: "nobody", QoS: 1, Payload: []byte("x")}); got != 0x10 {
		t.Errorf("PUBACK says %#x", got)
	}
}

func TestPaho5Aliases(t *testing.T) {
	w := start(t, broker)
	most := uint16(5)
	sub, pub := w.paho5("sub", func(c *paho.Connect) { c.Properties.TopicAliasMaximum = &most }), w.paho5("pub")
	sub.subscribe("long/#", 1)
	alias := uint16(2)
	pub.publish(&paho.Publish{Topic: "long/topic", QoS: 1, Payload: []byte("1"), Properties: &paho.PublishProperties{TopicAlias: &alias}})
	pub.publish(&paho.Publish{QoS: 1, Payload: []byte("2"), Properties: &paho.PublishProperties{TopicAlias: &alias}})
	first, second := sub.next("1"), sub.next("2")
	if first.Topic != "long/topic" || first.Properties.TopicAlias == nil || second.Properties.TopicAlias == nil || *second.Properties.TopicAlias != *first.Properties.TopicAlias {
		t.Errorf("%+v, then %+v", first, second)
	}
}

func TestPaho5Takeover(t *testing.T) {
	w := start(t, broker)
	expiry := uint32(60)
	keep := func(c *paho.Connect) { c.CleanStart, c.Properties.SessionExpiryInterval = false, &expiry }
	old := w.paho5("same", keep)
	old.subscribe("a", 1)
	c := w.paho5("same", keep)
	if !c.ack.SessionPresent {
		t.Error("the session is gone")
	}
	select {
	case d := <-old.gone:
		if d.ReasonCode != 0x8E {
			t.Errorf("DISCONNECT says %#x", d.ReasonCode)
		}
	case <-time.After(patience):
		t.Error("the old connection was not told")
	}
	w.paho5("pub").publish(&paho.Publish{Topic: "a", QoS: 1, Payload: []byte("x")})
	c.gets("a x 1 false")
}

func TestPaho5Will(t *testing.T) {
	w := start(t, broker)
	watcher := w.paho5("watcher")
	watcher.subscribe("gone/#", 1)
	delay := uint32(1)
	expiry := uint32(60)
	begun := time.Now()
	dying := w.paho5("dying", func(c *paho.Connect) {
		c.Properties.SessionExpiryInterval = &expiry
		c.WillMessage = &paho.WillMessage{Topic: "gone/dying", Payload: []byte("bye"), QoS: 1}
		c.WillProperties = &paho.WillProperties{WillDelayInterval: &delay, User: paho.UserProperties{{Key: "k", Value: "v"}}}
	})
	dying.TerminateConnectionForTest()
	p := watcher.gets("gone/dying bye 1 false")
	if p.Properties.User.Get("k") != "v" || time.Since(begun) < time.Second {
		t.Errorf("after %v: %+v", time.Since(begun), p.Properties)
	}
}

func TestPaho5Shared(t *testing.T) {
	w := start(t, broker)
	one, two, pub := w.paho5("one"), w.paho5("two"), w.paho5("pub")
	one.subscribe("$share/g/jobs", 1)
	two.subscribe("$share/g/jobs", 1)
	const n = 100
	for i := range n {
		pub.publish(&paho.Publish{Topic: "jobs", QoS: 1, Payload: fmt.Append(nil, i)})
	}
	seen := map[string]int{}
	counts := [2]int{}
	for range n {
		select {
		case p := <-one.in:
			seen[string(p.Payload)]++
			counts[0]++
		case p := <-two.in:
			seen[string(p.Payload)]++
			counts[1]++
		case <-time.After(patience):
			t.Fatalf("%d of %d came", len(seen), n)
		}
	}
	if len(seen) != n || counts[0] < n/4 || counts[1] < n/4 {
		t.Errorf("%d different messages, %v to each", len(seen), counts)
	}
}
