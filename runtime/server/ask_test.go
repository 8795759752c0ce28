package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const requesting = `
listeners:
  - {name: seq, address: "127.0.0.1:0", frame: mcp-seq, topic: "from/seq", subscribe: ["to/seq"]}
  - {name: magic, address: "127.0.0.1:0", frame: mcp-magic, topic: "from/magic", subscribe: ["to/magic"]}
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: "from/lines", subscribe: ["to/lines"], acknowledge: ""}
  - {name: nodes, address: "127.0.0.1:0", frame: mcp-node, topic: "node/{node_id}"}
routes: [{name: node, when: {topic: "to/node"}, to: ["node:7"]}]
requests: {timeout: 200ms}
loops: 2
api: {address: ""}
`

// ask asks through the API, within so long.
func (f *fixture) ask(topic, payload string, within time.Duration) (admin.Delivery, error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), within)
	defer cancel()
	return f.Bus().Request(ctx, &abi.Message{Topic: []byte(topic), Payload: []byte(payload)})
}

// Who speaks frames answers by the frame's own way, later than the configuration's
// timeout if the asker waits.
func TestFramesAnswerTheAPI(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, requesting)
		seq, magic := f.dial("seq"), f.dial("magic")
		f.await("weft_subscriptions", 2)
		for name, c := range map[string]*client{"seq": seq, "magic": magic} {
			done := make(chan struct{})
			go func() {
				defer close(done)
				got, err := c.next()
				if err != nil || got.Type != abi.TypeRequest || string(got.Payload) != "how warm?" {
					t.Errorf("%s heard %+v, %v", name, got, err)
					return
				}
				time.Sleep(250 * time.Millisecond) // beyond requests.timeout: the asker's own holds
				c.say(abi.Message{Type: abi.TypeResponse, Seq: got.Seq, Payload: []byte("9.5")})
			}()
			d, err := f.ask("to/"+name, "how warm?", 10*time.Second)
			if err != nil || string(d.Message.Payload) != "9.5" || d.Listener != name {
				t.Errorf("%s: %+v, %v", name, d, err)
			}
			<-done
		}
	})
}

// Everybody else answers to the topic that the request names; the first one wins.
func TestAnswersByTopic(t *testing.T) {
	f := start(t, "auto", requesting)
	sub, err := f.Bus().Subscribe(t.Context(), []string{"ask/#"}, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	done := make(chan error, 1)
	go func() {
		d, err := sub.Next(t.Context())
		if err != nil {
			done <- err
			return
		}
		to, _ := d.Message.Attrs.Get(admin.AttrResponseTopic)
		correlation, _ := d.Message.Attrs.Get(admin.AttrCorrelation)
		if d.Message.Type != abi.TypeRequest || len(to) == 0 || len(correlation) == 0 {
			done <- fmt.Errorf("the request is %+v", d.Message)
			return
		}
		forged := append([]byte{}, to...)
		forged[len(forged)-1] ^= 1
		for _, answer := range []struct {
			topic   []byte
			payload string
			dropped string
		}{{forged, "forged", "late_response"}, {to, "first", ""}, {to, "second", "late_response"}} {
			r, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: answer.topic, Payload: []byte(answer.payload)})
			if err != nil || r.Dropped != answer.dropped {
				done <- fmt.Errorf("%s: %+v, %w", answer.payload, r, err)
				return
			}
		}
		done <- nil
	}()
	d, err := f.ask("ask/me", "", 10*time.Second)
	if err != nil || string(d.Message.Payload) != "first" {
		t.Errorf("%+v, %v", d, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// passing is a context whose deadline passes when the test says so.
type passing struct {
	context.Context
	over chan struct{}
}

func (p *passing) Deadline() (time.Time, bool) { return time.Now().Add(time.Minute), true }
func (p *passing) Done() <-chan struct{}       { return p.over }
func (p *passing) Err() error {
	select {
	case <-p.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestRequestsThatNobodyAnswers(t *testing.T) {
	f := start(t, "auto", requesting)
	seq, lines := f.dial("seq"), f.dial("lines")
	f.await("weft_subscriptions", 2)
	for topic, want := range map[string]error{"to/nobody": admin.ErrNobody, "to/node": admin.ErrNobody, "a/#": admin.ErrInvalidMessage} {
		if _, err := f.ask(topic, "x", 10*time.Second); !errors.Is(err, want) {
			t.Errorf("%s: %v, expected %v", topic, err, want)
		}
	}
	unanswered := func(topic string, c *client) abi.Message {
		ctx, ended := &passing{t.Context(), make(chan struct{})}, make(chan error, 1)
		go func() {
			_, err := f.Bus().Request(ctx, &abi.Message{Topic: []byte(topic), Payload: []byte("x")})
			ended <- err
		}()
		heard := c.hear()
		select {
		case err := <-ended:
			t.Fatalf("%s: %v before the deadline", topic, err)
		case <-time.After(50 * time.Millisecond):
		}
		close(ctx.over)
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, expected %v", topic, err, context.DeadlineExceeded)
		}
		return heard
	}
	unanswered("to/lines", lines)
	late := unanswered("to/seq", seq)
	seq.say(abi.Message{Type: abi.TypeResponse, Seq: late.Seq, Payload: []byte("late")})
	f.awaitOf("weft_messages_dropped_total", "late_response", 1)

	gone := make(chan error, 1)
	go func() {
		_, err := f.ask("to/seq", "x", 10*time.Second)
		gone <- err
	}()
	seq.hear()
	_ = seq.Close()
	if err := <-gone; !errors.Is(err, admin.ErrLost) {
		t.Errorf("who was asked went away: %v", err)
	}
}

// Ten thousand answers find whoever asked, and nothing is left of the requests.
func TestManyRequests(t *testing.T) {
	f := start(t, "auto", requesting)
	c := f.dial("seq")
	f.await("weft_subscriptions", 1)
	total := 10_000
	if underRace {
		total = 2_000
	}
	go func() {
		for range total {
			m, err := c.next()
			if err != nil {
				return
			}
			c.say(abi.Message{Type: abi.TypeResponse, Seq: m.Seq, Payload: append([]byte("re "), m.Payload...)})
		}
	}()
	var group sync.WaitGroup
	const askers = 50
	for a := range askers {
		group.Go(func() {
			for n := range total / askers {
				text := fmt.Sprint(a, "/", n)
				if d, err := f.ask("to/seq", text, 30*time.Second); err != nil || string(d.Message.Payload) != "re "+text {
					t.Errorf("%s: %+v, %v", text, d, err)
					return
				}
			}
		})
	}
	group.Wait()
	if n := f.Waiting(); n != 0 {
		t.Errorf("%d requests are left", n)
	}
	f.await("weft_requests_waiting", 0)
}

const answering = `
plugins: {guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}}}}
listeners: [{name: lines, address: "127.0.0.1:0", frame: line}]
routes: [{name: ask, when: {topic: "ask"}, chain: [guest], to: [subscribers]}]
api: {address: ""}
`

// A plugin answers by its verdict.
func TestAPluginAnswersTheAPI(t *testing.T) {
	f := start(t, "auto", answering)
	d, err := f.ask("ask", "reply yes", 10*time.Second)
	if err != nil || string(d.Message.Payload) != "yes" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := f.ask("ask", "drop no", 10*time.Second); !errors.Is(err, admin.ErrDropped) || !strings.Contains(err.Error(), "plugin_drop") {
		t.Error(err)
	}
}

// An MQTT 5 client is asked by a response topic and correlation data, and answers
// with them; with QoS 1 it learns whether somebody still waited.
func TestMQTTAnswersTheAPI(t *testing.T) {
	eachMQTT5(t, mqttConfig, func(t *testing.T, f *fixture) {
		c := f.mqtt(packet.V5, "device")
		c.subscribes(to("ask/me", 1))
		done := make(chan error, 1)
		go func() {
			d, err := f.ask("ask/me", "how warm?", 10*time.Second)
			if err == nil && (string(d.Message.Payload) != "9.5" || d.Listener == "") {
				err = fmt.Errorf("%+v", d)
			}
			done <- err
		}()
		asked := c.hears()
		var topic, correlation []byte
		for field := range asked.Properties.All() {
			switch field.ID {
			case packet.ResponseTopic:
				topic = field.Value
			case packet.CorrelationData:
				correlation = field.Value
			}
		}
		if len(topic) == 0 || len(correlation) == 0 || string(asked.Payload) != "how warm?" {
			t.Fatalf("asked with %+v", asked)
		}
		answer := message(string(topic), "9.5", 1)
		answer.Properties = packet.Properties(nil).AppendBytes(packet.CorrelationData, correlation)
		if code := c.publishes(answer); code != packet.Success {
			t.Errorf("the answer: %v", code)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.publishes(answer)
		f.awaitOf("weft_messages_dropped_total", "late_response", 1)
	})
}
