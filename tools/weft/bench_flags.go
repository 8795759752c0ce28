package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// mqtt tells whether the choice is MQTT of either version.
func (w *wire) mqtt() bool {
	return w.declaration == "" && (w.name == frameMQTT || w.name == frameMQTT5)
}

// api tells whether the choice is the API.
func (w *wire) api() bool { return w.declaration == "" && w.name == frameAPI }

// modbus tells whether the choice is polling registers.
func (w *wire) modbus() bool { return w.declaration == "" && w.name == frameModbus }

// consistent refuses flags that would change nothing.
func (b *benching) consistent(cmd *cobra.Command) error {
	given, p := cmd.Flags().Changed, &b.plan
	switch {
	case given("rate") && p.Rate <= 0:
		return usageError("--rate %v: expected messages a second", p.Rate)
	case (given("steps") || given("hold")) && b.ramp == "":
		return usageError("--steps and --hold are for --ramp, which is missing")
	case b.steps < 1 || b.steps > 500 || b.hold < 0:
		return usageError("--steps %d, --hold %s: expected 1 to 500 steps, and a time", b.steps, b.hold)
	case (given("p99") || given("max-rate")) && !b.knee:
		return usageError("--p99 and --max-rate are for --find-knee, which is missing; --threshold p99=5ms judges one run")
	case given("mtu") && !b.wire.datagrams():
		return usageError("--mtu is for --frame %s", frameDatagram)
	case given("qos") && !b.wire.mqtt() && !b.wire.api():
		return usageError("--qos is for --frame %s, %s and %s", frameMQTT, frameMQTT5, frameAPI)
	case p.QoS > 2:
		return usageError("--qos %d: expected 0, 1 or 2", p.QoS)
	case given("registers") && !b.wire.modbus():
		return usageError("--registers is for --frame %s", frameModbus)
	case p.Key != "" && !p.Sign:
		return usageError("--key is for --sign, which is missing")
	case given("topics") && (len(p.Topics) == 0 || !p.named() || p.Spread < 1):
		return usageError("--topics makes several of each --topic, over MQTT and the API")
	case len(p.Topics) > 0 && !p.Sign && !p.named():
		return usageError("--topic stands in the subscribers' tokens: it needs --sign")
	case len(p.Topics) > 0 && p.Request && !p.named():
		return usageError("--topic is for subscribers, which --request has none of")
	case p.Request && given("subscribers") && p.Subscribers > 0:
		return usageError("--request has no subscribers: the answers come back to the publishers")
	case (p.Template != "" || p.Bytes != nil) && given("size") && !strings.Contains(p.Template, "{pad}"):
		return usageError("--size changes nothing: the payload has no {pad}")
	case given("seed") && p.Template == "" && !strings.Contains(strings.Join(p.Topics, ""), "{"):
		return usageError("--seed changes nothing without a --template")
	case p.Timeout <= 0:
		return usageError("--timeout %s: expected a time", p.Timeout)
	}
	if err := b.crew.consistent(given); err != nil {
		return err
	}
	switch {
	case b.wire.datagrams():
		return streamOnly(cmd, "tls", "websocket", "priority")
	case b.wire.mqtt():
		return b.mqttFlags(given)
	case b.wire.api():
		return b.apiFlags()
	case b.wire.modbus():
		return b.modbusFlags(cmd)
	}
	return nil
}

func (b *benching) mqttFlags(given func(string) bool) error {
	switch {
	case b.plan.Request:
		return usageError("--request is for frames, which have an answer: MQTT has none")
	case b.plan.Sign:
		return usageError("--sign is for frames: over MQTT a --token is every client's password")
	case given("priority"):
		return usageError("--priority is for frames: MQTT has none")
	}
	return nil
}

func (b *benching) apiFlags() error {
	switch {
	case b.plan.Sign:
		return usageError("--sign is for frames: the API takes a --token")
	case b.plan.WebSocket != "":
		return usageError("--websocket is for listeners: the API speaks HTTP")
	}
	return nil
}

// modbusFlags sets what polling registers goes without saying.
func (b *benching) modbusFlags(cmd *cobra.Command) error {
	for _, name := range []string{"websocket", "sign", "token", "topic", "size", "template", "template-file", "payload-file", "priority", "subscribers", "ramp", "find-knee"} {
		if cmd.Flags().Changed(name) {
			return usageError("--%s means nothing to --frame %s, which polls registers and waits for each answer", name, frameModbus)
		}
	}
	if b.plan.Registers == "" {
		return usageError("--registers is missing: what is to be polled? Such as 1:40001:2")
	}
	b.plan.Request = true
	return nil
}
