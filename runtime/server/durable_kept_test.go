package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

// calm sees that no loop has panicked, and that nothing was lost.
func (f *fixture) calm() {
	f.t.Helper()
	if n := f.Metric("weft_loop_panics_total"); n != 0 {
		f.t.Errorf("loops have panicked %v times", n)
	}
	if l := f.Ledger(); l.Lost() != 0 || l.InFlight() != 0 {
		f.t.Errorf("the ledger: %+v", l)
	}
}

// tells publishes by the API, with QoS 1.
func (f *fixture) tells(topic, text string) {
	f.t.Helper()
	r, err := f.Bus().Publish(f.t.Context(), &abi.Message{Topic: []byte(topic), Payload: []byte(text), QoS: 1})
	if err != nil || !r.Logged {
		f.t.Fatalf("%+v, %v", r, err)
	}
}

// What a listener subscribes its connections to reaches a kept session as well. One that is
// subscribed itself gets it once, in order and as it asked for; when it is behind nobody
// else misses anything.
func TestAListenersSubscriptionAndAKeptSession(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, "auto", fmt.Sprintf(`
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, subscribe: ["d/#"], mqtt: {queue: {messages: 10}}}]
routes: [{name: kept, when: {topic: "d/#"}, to: [subscribers], durable: {}}]
backbone: {data: %q, name: one}
api: {address: "127.0.0.1:0"}
`, loops, t.TempDir()))
		keeper := f.mqtt(packet.V5, "keeper", persistent)
		keeper.subscribes(to("d/#", 1))
		f.tells("d/x", "live")
		if m := keeper.gets("live"); m.QoS != 1 {
			t.Errorf("it came with QoS %d", m.QoS)
		}
		keeper.quiet()
		plain := f.mqtt(packet.V5, "not subscribed", persistent)
		keeper.leaves()
		const missed, more = 60, 3
		for i := range missed {
			f.tells("d/x", fmt.Sprint(i))
			plain.gets(fmt.Sprint(i))
		}
		others := make([]*mqttClient, 8) // some come behind the keeper in a loop's order
		for i := range others {
			others[i] = f.mqtt(packet.V5, fmt.Sprint("other", i), persistent)
			others[i].subscribes(to("d/#", 1))
		}
		keeper = comesBack(f, packet.V5, "keeper") // and acknowledges nothing
		for i := range more {
			f.tells("d/x", fmt.Sprint(missed+i))
		}
		for i := range more {
			plain.gets(fmt.Sprint(missed + i))
			for _, other := range others {
				other.gets(fmt.Sprint(missed + i))
			}
		}
		for i := range missed + more {
			keeper.gets(fmt.Sprint(i))
		}
		keeper.quiet()
		f.calm()
	})
}

// all and reply go to connections: also to one that has a kept session, which may be
// behind with what it is subscribed to.
func TestAConnectionsCopyAndAKeptSession(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, "auto", fmt.Sprintf(`
loops: %d
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt, node: keeper, mqtt: {queue: {messages: 10}}}
  - {name: others, address: "127.0.0.1:0", frame: mqtt}
routes:
  - {name: both, when: {topic: "both/#"}, to: [subscribers, all], durable: {}}
  - {name: everyone, when: {topic: "all/#"}, to: [all], durable: {}}
  - {name: back, when: {topic: "reply/#"}, to: [reply], durable: {}}
backbone: {data: %q, name: one}
api: {address: "127.0.0.1:0"}
`, loops, t.TempDir()))
		keeper := f.mqtt(packet.V5, "keeper", persistent)
		keeper.subscribes(to("both/#", 1))
		other := f.mqttDialTo("others", packet.V5)
		other.connect("other", persistent)
		other.subscribes(to("both/#", 1))
		for i := range 3 {
			f.tells("both/x", fmt.Sprint(i))
			keeper.gets(fmt.Sprint(i)) // as a subscriber
			keeper.gets(fmt.Sprint(i)) // and as one of all
			other.gets(fmt.Sprint(i))
			f.tells("all/x", fmt.Sprint("all ", i))
			keeper.gets(fmt.Sprint("all ", i))
			keeper.publishes(message("reply/x", fmt.Sprint("reply ", i), 1))
			keeper.gets(fmt.Sprint("reply ", i))
		}
		keeper.quiet()
		keeper.leaves()
		const missed = 30
		for i := range missed {
			f.tells("both/x", fmt.Sprint("missed ", i))
			other.gets(fmt.Sprint("missed ", i))
		}
		keeper = comesBack(f, packet.V5, "keeper")
		held := keeper.hears()
		f.tells("all/x", "all")
		f.tells("both/x", "now")
		other.gets("now")
		// What is for the connection does not wait for what the session has missed.
		keeper.acks(packet.TypePuback, held.ID)
		next, addressed := 1, 0
		for next <= missed || addressed < 2 {
			m := keeper.hears()
			keeper.acks(packet.TypePuback, m.ID)
			switch text := string(m.Payload); {
			case text == fmt.Sprint("missed ", next), text == "now" && next == missed:
				next++
			case text == "all", text == "now":
				addressed++
			default:
				t.Fatalf("got %q, want %d", text, next)
			}
		}
		keeper.quiet()
		f.calm()
	})
}

// A panic at one receiver costs this one the message, counted, and nobody else: neither
// those behind it nor what comes later.
func TestAPanicAtAReceiverOfALog(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, "auto", withLoops(durableConfig(t.TempDir(), ""), loops))
		all := make([]*mqttClient, 6)
		for i := range all {
			all[i] = f.mqtt(packet.V5, fmt.Sprint("c", i), persistent)
			all[i].subscribes(to("d/#", 1))
		}
		mend := f.BreakDelivery("c2")
		t.Cleanup(mend)
		f.tells("d/x", "one")
		f.tells("d/x", "two")
		for i, c := range all {
			if i != 2 {
				c.gets("one")
				c.gets("two")
			}
		}
		mend()
		f.tells("d/x", "three")
		for i, c := range all {
			c.gets("three")
			if i == 2 {
				c.quiet()
			}
		}
		if n := f.Metric("weft_loop_panics_total"); n != 2 {
			t.Errorf("loops have panicked %v times", n)
		}
		if l := f.Ledger(); l.CopiesDropped[delivery.Internal] != 2 || l.Copies != 3*6-2 || l.InFlight() != 0 {
			t.Errorf("the ledger: %+v", l)
		}
	})
}

// A kept session for which there was no memory gets what it has missed when there is some
// again, though nothing is under way to it that it could acknowledge.
func TestAKeptSessionGoesOnWhenThereIsMemory(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, "auto", fmt.Sprintf(`
loops: %d
listeners:
  - name: mqtt
    address: "127.0.0.1:0"
    frame: mqtt
    mqtt: {queue: {messages: 100000, size: 64MiB, total: 1MiB}}
routes: [{name: kept, when: {topic: "d/#"}, to: [subscribers], durable: {}}]
backbone: {data: %q, name: one}
api: {address: "127.0.0.1:0"}
`, loops, t.TempDir()))
		hog := f.mqtt(packet.V5, "hog", persistent)
		hog.subscribes(to("h/#", 1))
		hog.leaves()
		keeper := f.mqtt(packet.V5, "keeper", persistent)
		keeper.subscribes(to("d/#", 1))
		f.tells("d/x", "before")
		keeper.gets("before")
		pub := f.mqtt(packet.V5, "pub")
		large := strings.Repeat("z", 4000)
		for range 300 {
			pub.publishes(message("h/x", large, 1))
		}
		f.tells("d/x", large)
		keeper.quiet()
		f.mqtt(packet.V5, "hog").leaves() // it begins anew: what it held is gone
		keeper.gets(large)
		f.tells("d/x", "after")
		keeper.gets("after")
		keeper.quiet()
	})
}

const twoPlaces = `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {queue: {messages: 5}, window: 3}}]
routes: [{name: kept, when: {topic: "d/#"}, to: [subscribers, "topic:copy/{topic...}"], durable: {}}]
backbone: {data: %q, name: one}
api: {address: "127.0.0.1:0"}
`

// getsBoth gets messages from one number to another by both destinations of twoPlaces, each
// once and in order. place is the destination that comes first.
func (c *mqttClient) getsBoth(from, place, to, until int) {
	c.t.Helper()
	for n := from; n < to || n == to && place < until; {
		m := c.gets(fmt.Sprint(n))
		if want := []string{"d/x", "copy/d/x"}[place]; string(m.Topic) != want {
			c.t.Fatalf("%d came as %s, want %s", n, m.Topic, want)
		}
		if place++; place == 2 {
			n, place = n+1, 0
		}
	}
}

// A kept session gets what a route has for it by each of its destinations, live and when it
// reads back what it has missed; also where it had room for one of an entry's two alone,
// and weft was stopped then. Nothing comes twice, of no quality of service.
func TestAKeptSessionGetsAllDestinations(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		for qos := uint8(1); qos <= 2; qos++ {
			t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
				config := fmt.Sprintf(twoPlaces, loops, t.TempDir())
				f := start(t, "auto", config)
				tell := func(n int) {
					t.Helper()
					r, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("d/x"), Payload: []byte(fmt.Sprint(n)), QoS: qos})
					if err != nil || !r.Logged {
						t.Fatalf("%+v, %v", r, err)
					}
				}
				filters := []packet.Subscription{to("d/#", qos), to("copy/#", qos), to("d/+", qos)}
				kept, clean := f.mqtt(packet.V5, "kept", persistent), f.mqtt(packet.V5, "clean")
				kept.subscribes(filters...)
				clean.subscribes(filters...)
				for n := range 5 {
					tell(n)
					kept.getsBoth(n, 0, n+1, 0)
					clean.getsBoth(n, 0, n+1, 0)
				}
				// It is there, and full between the two of an entry.
				for n := 5; n < 15; n++ {
					tell(n)
					clean.getsBoth(n, 0, n+1, 0)
				}
				kept.getsBoth(5, 0, 15, 0)
				kept.quiet()
				// So is it while it is away.
				kept.leaves()
				for n := 15; n < 30; n++ {
					tell(n)
					clean.getsBoth(n, 0, n+1, 0)
				}
				kept = comesBack(f, packet.V5, "kept")
				kept.getsBoth(15, 0, 17, 1) // what comes next is the other one of 17
				kept.quietBut()
				f.end()

				f = start(t, "auto", config)
				kept = comesBack(f, packet.V5, "kept")
				kept.getsBoth(17, 1, 30, 0)
				tell(30)
				kept.getsBoth(30, 0, 31, 0)
				kept.quiet()
				f.calm()
			})
		}
	})
}

// quietBut leaves in good order while messages are under way to the client, and forgets
// them.
func (c *mqttClient) quietBut() {
	c.t.Helper()
	c.send(packet.AppendDisconnect(nil, &packet.Disconnect{}, c.v))
	for c.packet() != nil {
	}
	_ = c.Close()
}

// A session that comes while the loop has panicked at an entry reads that one itself: the
// loop may have passed it by.
func TestASessionThatComesBetweenAPanicAndItsSecondTry(t *testing.T) {
	for _, c := range []struct {
		fed, reached, seq uint64
		behind            bool
	}{{5, 5, 5, false}, {5, 5, 4, true}, {5, 6, 5, true}, {5, 6, 6, false}, {5, 0, 5, false}} {
		if behind := server.RestoredBehind(c.fed, c.reached, c.seq); behind != c.behind {
			t.Errorf("%+v: %v", c, behind)
		}
	}
}
