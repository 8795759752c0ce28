package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// While a session's record cannot be written, no position is that passes what it has, and
// it is written when it can be: after a crash nothing would be there for the session else.
func TestNoPositionPassesASessionThatIsNotWritten(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, "auto", fmt.Sprintf(`
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
routes: [{name: kept, when: {topic: "d/#"}, to: [subscribers], durable: {}}]
backbone: {data: %q}
`, loops, t.TempDir()))
		pub := f.mqtt(packet.V311, "pub")
		publish := func(text string) {
			t.Helper()
			if code := pub.publishes(message("d/x", text, 1)); code != packet.Success {
				t.Fatalf("PUBACK says %v", code)
			}
		}
		c := f.mqtt(packet.V5, "away", persistent)
		c.subscribes(to("d/#", 1))
		publish("0")
		c.gets("0")
		c.leaves()
		moves := func(from uint64) {
			t.Helper()
			for end := time.Now().Add(20 * time.Second); f.StoredPosition() <= from; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("the position stays at %d", from)
				}
			}
		}
		moves(0)
		refused, accept := f.RefuseSessions()
		stored := f.StoredPosition()
		publish("1")
		for end := time.Now().Add(20 * time.Second); refused() < 3; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the session was to be written %d times only", refused())
			}
		}
		if now := f.StoredPosition(); now != stored {
			t.Errorf("the position went from %d to %d", stored, now)
		}
		accept()
		moves(stored)
		c = f.mqtt(packet.V5, "away", persistent)
		c.gets("1")
	})
}
