package server_test

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// What clients acknowledge while weft ends is read, and what waits behind their windows
// delivered, as long as there is time for it.

const drainConfig = `
loops: %d
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {window: 8}}
  - {name: narrow, address: "127.0.0.1:0", frame: mqtt, outbox: {size: 64KiB, when_full: pause}, deadlines: {write: 30s}}
drain: 20s
api: {address: ""}
`

// drains asks the server to stop; what it returns waits until it has ended.
func (f *fixture) drains() (ended func()) {
	f.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f.end() }()
	for f.State() == life.Running {
		time.Sleep(time.Millisecond)
	}
	return func() { <-done }
}

// drainsAt is like drains, and waits until the loops are to drain: the listener refuses
// connections then.
func (f *fixture) drainsAt(listener string) (ended func()) {
	f.t.Helper()
	address := f.address(listener)
	ended = f.drains()
	for f.State() != life.Stopped {
		c, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		_ = c.Close()
		time.Sleep(time.Millisecond)
	}
	return ended
}

// load has so many messages published under a topic.
func (c *mqttClient) loads(topic string, n int, qos uint8) {
	c.t.Helper()
	for i := range n {
		if code := c.publishes(message(topic, fmt.Sprint(i), qos)); code.Failed() {
			c.t.Fatalf("message %d: %v", i, code)
		}
	}
}

// completes takes part in the exchanges of what comes until the connection ends, and
// counts the messages; each is called with their number before it is acknowledged.
func (c *mqttClient) completes(each func(n int)) (n int, last []byte) {
	c.t.Helper()
	for b := c.packet(); b != nil; b = c.packet() {
		last = b
		switch packet.TypeOf(b) {
		case packet.TypePublish:
			var m packet.Publish
			if err := m.Decode(b, c.v, packet.FromServer); err != nil {
				c.t.Fatal(err)
			}
			if n++; each != nil {
				each(n)
			}
			switch m.QoS {
			case 1:
				c.tryAck(packet.TypePuback, m.ID)
			case 2:
				c.tryAck(packet.TypePubrec, m.ID)
			}
		case packet.TypePubrel:
			var ack packet.Ack
			if err := ack.Decode(b, c.v); err != nil {
				c.t.Fatal(err)
			}
			c.tryAck(packet.TypePubcomp, ack.ID)
		}
	}
	return n, last
}

// tryAck acknowledges to a server that may have ended.
func (c *mqttClient) tryAck(t packet.Type, id uint16) {
	_, _ = c.Write(packet.AppendAck(nil, &packet.Ack{Type: t, ID: id}, c.v))
}

func (f *fixture) stranded() uint64 { return f.Ledger().CopiesDropped[delivery.Draining] }

func TestMQTTDrainDelivers(t *testing.T) {
	for _, qos := range []uint8{1, 2} {
		eachMQTT(t, drainConfig, func(t *testing.T, f *fixture, v packet.Version) {
			const messages = 100
			sub, pub := f.mqtt(v, "sub", with(packet.ReceiveMaximum, 5)), f.mqtt(v, "pub")
			sub.subscribes(to("t", qos))
			pub.loads("t", messages, qos)
			ended := f.drains()
			n, last := sub.completes(func(n int) {
				if n == messages/2 { // neither is accepted now
					waitFor(t, "nothing new to be taken", f.Deaf)
					late := message("t", "late", 0)
					sub.sends(&late)
					late.QoS, late.ID = 1, 77
					sub.sends(&late)
				}
			})
			ended()
			if n != messages || f.stranded() != 0 {
				t.Errorf("heard %d of %d, %d are counted as undelivered", n, messages, f.stranded())
			}
			if got := f.Ledger().Dropped[delivery.Draining]; got != 1 {
				t.Errorf("%d messages are counted as too late, want 1", got)
			}
			var bye packet.Disconnect
			if v == packet.V5 && (packet.TypeOf(last) != packet.TypeDisconnect || bye.Decode(last, v, packet.FromServer) != nil || bye.Reason != packet.ServerShuttingDown) {
				t.Errorf("the last packet is %x", last)
			}
		})
	}
}

// Whoever acknowledges nothing, or only nonsense, or too slowly, does not make it a drain
// that was cut short.
func TestMQTTDrainHasAnEnd(t *testing.T) {
	for name, answer := range map[string]func(c *mqttClient, id uint16){
		"silent":   func(*mqttClient, uint16) {},
		"nonsense": func(c *mqttClient, _ uint16) { c.tryAck(packet.TypePuback, 60000) },
		"slow":     func(c *mqttClient, id uint16) { c.tryAck(packet.TypePuback, id) },
	} {
		for _, driver := range drivers {
			t.Run(name+", "+driver, func(t *testing.T) {
				t.Parallel()
				f := start(t, driver, withLoops(bytesOf(drainConfig, "drain: 20s", "drain: 12s"), 2))
				sub, pub := f.mqtt(packet.V311, "sub"), f.mqtt(packet.V311, "pub")
				sub.subscribes(to("t", 1))
				pub.loads("t", 20, 1)
				var ids []uint16
				for range 8 { // the window
					ids = append(ids, sub.hears().ID)
				}
				ended := f.drains()
				over := make(chan struct{})
				go func() { defer close(over); ended() }()
				for n := 0; ; n++ {
					select {
					case <-over:
						if got := f.stranded(); got < 20-8 || got > 20 {
							t.Errorf("%d are counted as undelivered", got)
						}
						return
					case <-time.After(1200 * time.Millisecond): // the slow one gets through its window at most
						answer(sub, ids[n%8])
					}
				}
			})
		}
	}
}

func bytesOf(text, old, replacement string) string {
	return string(bytes.ReplaceAll([]byte(text), []byte(old), []byte(replacement)))
}

// A client that publishes more than somebody takes is held back, and still heard when it
// acknowledges.
func TestMQTTDrainHearsWhoIsHeld(t *testing.T) {
	eachMQTT(t, drainConfig, func(t *testing.T, f *fixture, v packet.Version) {
		const messages = 100
		slow, both, pub := f.mqttDialTo("narrow", v), f.mqtt(v, "both"), f.mqtt(v, "pub")
		slow.connect("slow")
		slow.subscribes(to("big", 0))
		both.subscribes(to("t", 1))
		pub.loads("t", messages, 1)
		go func() { // more than the buffers of all sockets take
			m := message("big", string(make([]byte, 16<<10)), 0)
			unit := packet.AppendPublish(nil, &m, v)
			for range 1600 {
				if _, err := both.Write(unit); err != nil {
					return
				}
			}
		}()
		f.await("weft_loop_paused_connections", 1)
		ended := f.drains()
		n, all := make(chan int, 1), make(chan struct{})
		go func() {
			heard, _ := both.completes(func(n int) {
				if n == messages {
					close(all)
				}
			})
			n <- heard
		}()
		select { // until then nothing is taken from what it has sent
		case <-all:
		case <-time.After(10 * time.Second):
		}
		slow.completes(nil)
		if heard := <-n; heard != messages {
			t.Errorf("heard %d of %d", heard, messages)
		}
		ended()
	})
}

// Retained messages that are still owed are no reason to go on: who subscribes again gets
// them again.
func TestMQTTDrainLeavesRetained(t *testing.T) {
	eachMQTT(t, drainConfig, func(t *testing.T, f *fixture, v packet.Version) {
		const topics = 3000
		sub, pub := f.mqtt(v, "sub"), f.mqtt(v, "pub")
		for i := range topics {
			m := message(fmt.Sprintf("r/%d", i), "x", 1)
			m.Retain = true
			pub.publishes(m)
		}
		sub.subscribes(to("r/#", 1))
		ended := f.drainsAt("mqtt")
		n, _ := sub.completes(nil)
		ended()
		if n == topics {
			t.Error("it has waited for all of them")
		}
	})
}

// What members of a shared subscription have not acknowledged when all of them end is
// counted once.
func TestMQTTDrainCountsShared(t *testing.T) {
	eachMQTT(t, bytesOf(drainConfig, "drain: 20s", "drain: 12s"), func(t *testing.T, f *fixture, v packet.Version) {
		const messages = 40
		for i := range 3 {
			f.mqtt(v, fmt.Sprint("member ", i)).subscribes(to("$share/g/t", 1))
		}
		f.mqtt(v, "pub").loads("t", messages, 1)
		f.end()
		if got := f.stranded(); got != messages {
			t.Errorf("%d of %d are counted", got, messages)
		}
	})
}

// What waits for a session that is kept is the next start's, and is not counted as lost.
func TestMQTTDrainLeavesKept(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		t.Run(v.String(), func(t *testing.T) {
			const messages = 2000
			config := withLoops(bytesOf(drainConfig, "drain: 20s\n", fmt.Sprintf("drain: 20s\nbackbone: {data: %q, name: one}\n", t.TempDir())), 2)
			f := start(t, "auto", config)
			sub := f.mqtt(v, "sub", persistent)
			sub.subscribes(to("t", 1))
			f.mqtt(v, "pub").loads("t", messages, 1)
			ended := f.drainsAt("mqtt")
			first, _ := sub.completes(nil)
			ended()
			if first == messages || f.stranded() != 0 {
				t.Errorf("heard %d of %d, %d are counted as undelivered", first, messages, f.stranded())
			}
			f = start(t, "auto", config)
			again, rest := f.mqtt(v, "sub", persistent), 0
			for first+rest < messages {
				m := again.hears()
				again.acks(packet.TypePuback, m.ID)
				if !m.Dup {
					rest++
				}
			}
		})
	}
}
