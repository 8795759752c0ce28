package config_test

import (
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/config"
)

func TestSessionTTL(t *testing.T) {
	for _, test := range []struct {
		text string
		want time.Duration
	}{
		{`listeners: [{name: a, address: "127.0.0.1:0", frame: line}]`, 1800 * time.Second},
		{`listeners: [{name: a, address: "127.0.0.1:0", frame: mqtt}]`, 1800 * time.Second},
		{`listeners: [{name: a, address: "127.0.0.1:0", frame: mqtt, mqtt: {session: {expiry_max: 1m}}}]`, time.Minute},
		{`listeners: [{name: a, address: "127.0.0.1:0", frame: mqtt, session: {ttl: 2h}}]`, 2 * time.Hour},
		{"session: {ttl: 5s}\n" + `listeners: [{name: a, address: "127.0.0.1:0", frame: line}]`, 5 * time.Second},
		{"session: {ttl: 5s}\n" + `listeners: [{name: a, address: "127.0.0.1:0", frame: line, session: {ttl: 0s}}]`, 0},
	} {
		c, err := config.Load(config.Options{File: "weft.yaml", Data: []byte(test.text), Presets: presets})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.SessionTTL(&c.Listeners[0]).Std(); got != test.want {
			t.Errorf("%s: %v, not %v", test.text, got, test.want)
		}
	}
}
