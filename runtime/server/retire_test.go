package server_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// A loop that is too busy to say what it holds of a listener that ends may hold something.
func TestRetireTakesNoAnswerForNone(t *testing.T) {
	f := startFiltering(t, "auto", strings.Replace(reloaded, "loops: 2", "loops: 1", 1))
	c := f.mqtt(packet.V5, "lasting", func(m *packet.Connect) {
		m.CleanStart, m.Properties = false, m.Properties.AppendNumber(packet.SessionExpiry, 3600)
	})
	const index = 1
	f.reload("  - {name: mqtt, address: \"127.0.0.1:0\", frame: mqtt}\n", "")
	c.ends(packet.ServerShuttingDown)
	f.until("the listener has ended", func() bool { ended, _ := f.Ended(index); return ended })
	free := f.Occupy(0)
	var asked sync.WaitGroup
	asked.Go(func() {
		if f.LaneQuiet(index) {
			t.Error("a loop that says nothing holds no messages")
		}
	})
	asked.Go(func() {
		f.ReleaseListeners()
		if _, released := f.Ended(index); released {
			t.Error("the index of a listener with a session is somebody else's")
		}
	})
	asked.Wait()
	free()
	if !f.LaneQuiet(index) {
		t.Error("a listener that has ended holds messages")
	}
}
