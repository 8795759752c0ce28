package server

import (
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

// TestSteerComesToTheListeners: the key of the kernel block is what the engine is told.
func TestSteerComesToTheListeners(t *testing.T) {
	for _, k := range []*config.Kernel{nil, {}, {Steer: true}} {
		cfg := &config.Config{Listeners: []config.Listener{{Name: "a", Frame: config.FrameDatagram}}, Kernel: k}
		list, err := engineListeners(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if want := k != nil && k.Steer; list[0].Steer != want {
			t.Errorf("with %+v a listener's Steer is %t", k, list[0].Steer)
		}
	}
}
