package server_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// A client that begins anew while its kept session is being claimed for a connection of
// it before has nothing to do with that any more: whether the connection waits or has gone.
func TestACleanStartEndsAClaim(t *testing.T) {
	for _, waits := range []bool{true, false} {
		t.Run(fmt.Sprint("the former waits: ", waits), func(t *testing.T) {
			servers := alone(t)
			a := nodeOf(t, servers, "a", fmt.Sprintf(mqttConfig, 1))
			sub := a.mqtt(packet.V5, "sub", persistent)
			sub.subscribes(to("former", 1))
			sub.leaves()
			a.end()
			b := nodeOf(t, servers, "b", fmt.Sprintf(mqttConfig, 1))

			next := b.HoldClaims()
			former := b.mqttDial(packet.V5)
			connect := packet.Connect{Version: packet.V5, ClientID: []byte("sub"), KeepAlive: 60}
			persistent(&connect)
			former.send(packet.AppendConnect(nil, &connect))
			b.until("the session is being claimed", func() bool { return b.Claiming() == 1 })
			if !waits {
				_ = former.Conn.(*net.TCPConn).SetLinger(0) // it is not read from: only a reset is heard
				former.breaks(b)
			}
			anew := b.mqtt(packet.V5, "sub")
			anew.subscribes(to("anew", 1))
			next() // the claim, then what ends the record
			b.until("the session was claimed", func() bool { return b.Claiming() == 0 })
			if waits {
				var ack packet.Connack
				former.expect(packet.TypeConnack, func(b []byte) error { return ack.Decode(b, packet.V5) })
				if ack.Reason != packet.ServerBusy {
					t.Errorf("who was overtaken hears %v", ack.Reason)
				}
			}
			pub := b.mqtt(packet.V5, "pub")
			if code := pub.publishes(message("former", "x", 1)); code != packet.NoMatchingSubscribers {
				t.Errorf("what was discarded is there: %v", code)
			}
			pub.publishes(message("anew", "y", 1))
			anew.gets("y")
			for range 127 { // the rest of those that wait
				next()
			}
			last := b.mqttDial(packet.V5)
			if ack := last.connect("sub", persistent); ack.Reason != packet.Success || ack.SessionPresent {
				t.Errorf("%+v", ack)
			}
			anew.ends(packet.SessionTakenOver)
		})
	}
}

// What a session has not been sent yet is kept for it while it is being given to another node.
func TestALogIsKeptForASessionThatIsGiven(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		config := strings.Replace(withLoops(durableConfig(t.TempDir(), ""), loops), "frame: mqtt}", "frame: mqtt, mqtt: {queue: {messages: 20}, window: 8}}", 1)
		f := start(t, "auto", config)
		sub, pub := f.mqtt(packet.V5, "sub", persistent), f.mqtt(packet.V5, "pub")
		sub.subscribes(to("d/#", 1))
		for i := range 100 {
			pub.publishes(message("d/x", fmt.Sprint(i), 1))
		}
		f.await("weft_log_lag", 0)
		floor, read := f.FloorWhileGiving("mqtt", "sub")
		if floor == 0 || floor >= read {
			t.Errorf("the log, read up to %d, may be released up to %d", read, floor)
		}
	})
}
