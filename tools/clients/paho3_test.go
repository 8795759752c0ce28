package clients

import (
	"fmt"
	"testing"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"
)

// paho3Client is Eclipse Paho's client for MQTT 3.1.1, connected.
func (w *weft) paho3(id string, options ...func(*paho3.ClientOptions)) paho3.Client {
	w.t.Helper()
	o := paho3.NewClientOptions().AddBroker("tcp://" + w.address("mqtt")).SetClientID(id).SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectTimeout(patience)
	for _, option := range options {
		option(o)
	}
	c := paho3.NewClient(o)
	done3(w.t, c.Connect())
	w.t.Cleanup(func() { c.Disconnect(100) })
	return c
}

func done3(t *testing.T, token paho3.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatal("nothing came of it")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}

// inbox3 collects messages.
type inbox3 chan paho3.Message

func (i inbox3) handle(_ paho3.Client, m paho3.Message) { i <- m }

func (i inbox3) gets(t *testing.T, want string) paho3.Message {
	t.Helper()
	select {
	case m := <-i:
		if got := fmt.Sprintf("%s %s %d %v", m.Topic(), m.Payload(), m.Qos(), m.Retained()); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		return m
	case <-time.After(patience):
		t.Fatalf("%q did not come", want)
	}
	return nil
}

func TestPaho3(t *testing.T) {
	w := start(t, broker)
	in := make(inbox3, 100)
	sub := w.paho3("sub", func(o *paho3.ClientOptions) { o.SetDefaultPublishHandler(in.handle) }) // what it has not subscribed to, too
	pub := w.paho3("pub")
	done3(t, sub.Subscribe("plant/+", 2, in.handle))
	for qos := range byte(3) {
		done3(t, pub.Publish("plant/a", qos, false, fmt.Sprint("message ", qos)))
		in.gets(t, fmt.Sprintf("plant/a message %d %d false", qos, qos))
	}
	done3(t, pub.Publish("plant/state", 1, true, "on"))
	in.gets(t, "plant/state on 1 false")
	late := make(inbox3, 1)
	done3(t, w.paho3("late").Subscribe("plant/state", 1, late.handle))
	late.gets(t, "plant/state on 1 true")
	done3(t, sub.Unsubscribe("plant/+"))
	done3(t, sub.Subscribe("end", 1, in.handle))
	done3(t, pub.Publish("plant/a", 1, false, "for nobody"))
	done3(t, pub.Publish("end", 1, false, ""))
	in.gets(t, "end  1 false")
}

func TestPaho3PersistentSession(t *testing.T) {
	w := start(t, broker)
	in := make(inbox3, 2000)
	keep := func(o *paho3.ClientOptions) {
		o.SetCleanSession(false).SetDefaultPublishHandler(in.handle).SetOrderMatters(true)
	}
	sub := w.paho3("meter", keep)
	done3(t, sub.Subscribe("orders/#", 2, nil))
	sub.Disconnect(100)
	pub := w.paho3("pub")
	const n = 1000 // more than a window
	for i := range n {
		done3(t, pub.Publish(fmt.Sprintf("orders/%d", i), byte(1+i%2), false, fmt.Sprint(i)))
	}
	w.paho3("meter", keep)
	for i := range n {
		in.gets(t, fmt.Sprintf("orders/%d %d %d false", i, i, 1+i%2))
	}
}

// What the library does when connections break in the middle of everything: each
// message arrives. That one of QoS 2 arrives once is for the server's own tests to show:
// this library publishes again what it was about to send when its connection broke,
// and hands over what comes to it again.
func TestPaho3Reconnects(t *testing.T) {
	w := start(t, broker)
	relay := newRelay(t, w.address("mqtt"))
	in := make(inbox3, 10_000)
	through := func(o *paho3.ClientOptions) {
		o.Servers = nil
		o.AddBroker("tcp://" + relay.address()).SetCleanSession(false).SetAutoReconnect(true).SetMaxReconnectInterval(50 * time.Millisecond).
			SetDefaultPublishHandler(in.handle)
	}
	sub, pub := w.paho3("sub", through), w.paho3("pub", through)
	done3(t, sub.Subscribe("exact/#", 2, nil))
	const n = 300
	var tokens []paho3.Token
	for i := range n {
		tokens = append(tokens, pub.Publish("exact/x", byte(1+i%2), false, fmt.Sprint(i)))
		if i%60 == 59 {
			relay.cut()
		}
	}
	for _, token := range tokens {
		if !token.WaitTimeout(patience) { // its error may be that of a connection since replaced
			t.Fatal("a message is not acknowledged")
		}
	}
	seen := map[string]int{}
	deadline := time.After(patience)
	for len(seen) < n {
		select {
		case m := <-in:
			seen[string(m.Payload())]++
		case <-deadline:
			t.Fatalf("%d of %d came", len(seen), n)
		}
	}
}
