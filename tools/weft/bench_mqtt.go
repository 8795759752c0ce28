package main

import (
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/tools/load"
)

// frameMQTT is the --frame of weft bench that speaks MQTT 3.1.1.
const frameMQTT = "mqtt"

// mqtt tells whether the choice is MQTT.
func (w *wire) mqtt() bool { return w.declaration == "" && w.name == frameMQTT }

// mqtt is load over MQTT: publishers and subscribers name their topics themselves, and
// a token is the password.
func (b *benching) mqtt(cmd *cobra.Command, sys system) (load.Config, error) {
	given := cmd.Flags().Changed
	switch {
	case b.qos > 2:
		return load.Config{}, usageError("--qos %d: expected 0, 1 or 2", b.qos)
	case b.request:
		return load.Config{}, usageError("--request is for frames, which have an answer: MQTT has none")
	case b.sign:
		return load.Config{}, usageError("--sign is for frames: over MQTT a --token is every client's password")
	case b.qos > 0 && b.websocket != "":
		return load.Config{}, usageError("--qos %d goes over TCP and TLS; over --websocket bench measures --qos 0", b.qos)
	case given("priority"):
		return load.Config{}, usageError("--priority is for frames: MQTT has none")
	}
	protocol := &load.MQTT{QoS: b.qos}
	if b.token != "" {
		protocol.User, protocol.Password = "bench", b.token
	}
	cfg, err := b.over(protocol, cmd, sys)
	cfg.Topics, cfg.Subscribe = b.topics, nil
	return cfg, err
}
