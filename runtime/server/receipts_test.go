package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// TestMQTTAcknowledgesWhatOtherLoopsTook: a message of QoS 1 for a session of whichever
// loop is acknowledged as what became of it there.
func TestMQTTAcknowledgesWhatOtherLoopsTook(t *testing.T) {
	const tight = `
loops: 2
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {queue: {messages: 5}}}]
api: {address: ""}
`
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, tight)
			pub := f.mqtt(packet.V5, "pub")
			for i := range 8 { // on both loops
				topic := fmt.Sprintf("t/%d", i)
				sub := f.mqtt(packet.V5, fmt.Sprintf("sub-%d", i), persistent)
				sub.subscribes(to(topic, 1))
				sub.leaves()
				for n := range 8 {
					want := packet.Success
					if n >= 5 {
						want = packet.QuotaExceeded
					}
					if got := pub.publishes(packet.Publish{QoS: 1, Topic: []byte(topic), Payload: []byte("x")}); got != want {
						t.Errorf("%s, message %d: %v, want %v", topic, n, got, want)
					}
				}
			}
			if got := f.Ledger().CopiesDropped[delivery.SessionFull]; got != 8*3 {
				t.Errorf("%d copies were dropped, want %d", got, 8*3)
			}
		})
	}
}

// TestMQTTLosesNothingBetweenLoops: publishers that are faster than one subscriber that
// reads lose nothing, whichever loops they live on.
func TestMQTTLosesNothingBetweenLoops(t *testing.T) {
	for _, driver := range drivers {
		for loops := 1; loops <= 2; loops++ {
			t.Run(fmt.Sprintf("%s, loops %d", driver, loops), func(t *testing.T) {
				f := start(t, driver, withLoops(mqttConfig, loops))
				sub := f.mqtt(packet.V311, "sub")
				sub.subscribes(to("a", 1))
				const publishers, each = 8, 2000
				for i := range publishers {
					pub := f.mqtt(packet.V311, fmt.Sprintf("pub-%d", i))
					go floodQoS1(pub, each)
				}
				got := readPublishes(t, sub, publishers*each)
				if got != publishers*each {
					t.Errorf("%d of %d came; dropped: %v", got, publishers*each, f.Ledger().CopiesDropped)
				}
			})
		}
	}
}

// floodQoS1 publishes without waiting for acknowledgements, which it reads.
func floodQoS1(pub *mqttClient, messages int) {
	go func() {
		b := make([]byte, 64<<10)
		for {
			if _, err := pub.Read(b); err != nil {
				return
			}
		}
	}()
	var batch []byte
	for id := range messages {
		batch = packet.AppendPublish(batch, &packet.Publish{QoS: 1, ID: uint16(id + 1), Topic: []byte("a"), Payload: make([]byte, 1024)}, packet.V311)
		if len(batch) > 64<<10 || id == messages-1 {
			if _, err := pub.Write(batch); err != nil {
				return
			}
			batch = batch[:0]
		}
	}
}

// readPublishes reads and acknowledges messages until there are so many, or none comes
// for a while.
func readPublishes(t *testing.T, sub *mqttClient, want int) (got int) {
	in, filled := make([]byte, 256<<10), 0
	var p packet.Publish
	for got < want {
		_ = sub.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := sub.Read(in[filled:])
		if err != nil {
			return got
		}
		filled += n
		at := 0
		var out []byte
		for {
			n, _, err := packet.Cut(in[at:filled], 0)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			if err := p.Decode(in[at:at+n], sub.v, packet.FromServer); err != nil {
				t.Fatal(err)
			}
			out = packet.AppendAck(out, &packet.Ack{Type: packet.TypePuback, ID: p.ID}, sub.v)
			at += n
			got++
		}
		filled = copy(in, in[at:filled])
		sub.send(out)
	}
	return got
}
