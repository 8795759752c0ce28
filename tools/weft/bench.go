package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/tools/load"
)

type benching struct {
	to, template string
	wire         wire
	secure       secure
	rate         float64
	window       int
	request      bool
	publishers   int
	subscribers  int
	topics       []string
	size         int
	duration     time.Duration
	warmup       time.Duration
	count        uint64
	token, key   string
	pid          int
	mtu          int
	qos          uint8
	thresholds   []string
	json         bool
	priority     uint8
	sign         bool
	websocket    string
}

func benchCommand(sys system) *cobra.Command {
	var b benching
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Generates load and reports rates, losses, order and latencies",
		Long: `Sends frames from one or more publishers to a listener and counts what its subscribers receive.

Closed loop (the default): as fast as at most --window undelivered messages allow; shows what weft can carry.
Open loop (--rate): at a fixed rate, come what may; each latency counts from the time at which the message was due, so
a stall is not hidden (no coordinated omission).
Request (--request): each publisher waits for the answer to its message before it sends the next.

With --sign each connection shows a token of its own first, as the built-in example wants it: the publishers' identities
are publisher-0, publisher-1, ...; subscribers are subscribed to --topic by their token.`,
		Example: `weft bench --sign --to 127.0.0.1:7400 --topic 'truck/#'                       # the built-in example, closed loop
weft bench --sign --topic 'truck/#' --rate 20000 --duration 10s --threshold p99=5ms
weft bench --to 127.0.0.1:7401 --frame line --request --publishers 50
weft bench --to 127.0.0.1:7402 --websocket / --request
weft bench --to 127.0.0.1:1883 --frame mqtt --qos 1 --publishers 50
weft bench --sign --topic 'truck/#' --json >result.json`,
		Args: arguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd, sys) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&b.to, "to", "127.0.0.1:7400", "the listener's `ADDRESS`")
	b.wire.flags(cmd, "mcp-seq")
	cmd.Flags().Lookup("frame").Usage = "frame `FORMAT` (weft frames lists them; mcp-dgram is reliable datagrams over UDP, mqtt is MQTT 3.1.1)"
	b.secure.flags(cmd)
	f.StringVar(&b.websocket, "websocket", "", "speak WebSocket at this `PATH` of the listener")
	f.Float64Var(&b.rate, "rate", 0, "open loop: messages a second over all publishers")
	f.IntVar(&b.window, "window", 10000, "closed loop: messages in flight at most")
	f.BoolVar(&b.request, "request", false, "wait for the answer to each message")
	f.IntVar(&b.publishers, "publishers", 1, "publishing connections")
	f.IntVar(&b.subscribers, "subscribers", 1, "subscribing connections; 0 only sends")
	f.StringArrayVar(&b.topics, "topic", nil, "`PATTERN` that the subscribers' tokens ask for; with --frame mqtt the topic that all publish and subscribe to (repeatable)")
	f.IntVar(&b.size, "size", 128, "payload in bytes")
	f.StringVar(&b.template, "template", "", "payload as `TEXT` with {stamp}, {n}, {topic} and {pad} (for JSON, say)")
	f.Uint8Var(&b.priority, "priority", 0, "priority of the messages")
	f.DurationVar(&b.duration, "duration", 5*time.Second, "how long to measure")
	f.DurationVar(&b.warmup, "warmup", time.Second, "how long to send before that")
	f.Uint64Var(&b.count, "count", 0, "end after so many messages")
	f.StringVar(&b.token, "token", "", "`TOKEN` that every connection shows first")
	f.BoolVar(&b.sign, "sign", false, "sign a token for each connection")
	f.StringVar(&b.key, "key", "", "shared `SECRET` for --sign; none: that of the built-in example")
	f.Uint8Var(&b.qos, "qos", 0, "with --frame mqtt: quality of service of messages and subscriptions, 0, 1 or 2")
	f.IntVar(&b.mtu, "mtu", 0, "with --frame mcp-dgram: datagrams of at most so many bytes; 0: 1200")
	f.IntVar(&b.pid, "pid", 0, "`PID` of the server, to report its CPU time")
	f.StringArrayVar(&b.thresholds, "threshold", nil, "`WHAT=LIMIT`: p50, p90, p99, p99.9, p99.99 or max at most so long, rate at least so many, lost at most so many; exit code 5 if not (repeatable)")
	f.BoolVar(&b.json, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("rate", "request")
	cmd.MarkFlagsMutuallyExclusive("rate", "window")
	cmd.MarkFlagsMutuallyExclusive("request", "window")
	cmd.MarkFlagsMutuallyExclusive("request", "topic")
	cmd.MarkFlagsMutuallyExclusive("token", "sign")
	cmd.MarkFlagsMutuallyExclusive("token", "key")
	cmd.MarkFlagsMutuallyExclusive("token", "topic")
	return cmd
}

func (b *benching) run(cmd *cobra.Command, sys system) error {
	limits, err := parseThresholds(b.thresholds)
	if err != nil {
		return err
	}
	if err := b.consistent(cmd); err != nil {
		return err
	}
	cfg, err := b.config(cmd, sys)
	if err != nil {
		return err
	}
	result, err := load.Run(cmd.Context(), cfg)
	if err != nil {
		return fail(exitRuntime, err, "Is a weft running there, and do the subscribers' patterns match the topics that its plugins make?")
	}
	if b.json {
		text, err := result.JSON()
		if err != nil {
			return err
		}
		if _, err := cmd.OutOrStdout().Write(text); err != nil {
			return err
		}
	} else if err := result.WriteTable(cmd.OutOrStdout()); err != nil {
		return err
	}
	var broken []string
	for _, l := range limits {
		if text := l.broken(result); text != "" {
			broken = append(broken, text)
		}
	}
	if len(broken) > 0 {
		return fail(exitFailed, fmt.Errorf("thresholds: %s", strings.Join(broken, "; ")), "")
	}
	return nil
}

// consistent refuses flags that would change nothing.
func (b *benching) consistent(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	switch {
	case given("rate") && b.rate <= 0:
		return usageError("--rate %v: expected messages a second", b.rate)
	case given("mtu") && !b.wire.datagrams():
		return usageError("--mtu is for --frame %s", frameDatagram)
	case given("qos") && !b.wire.mqtt():
		return usageError("--qos is for --frame %s", frameMQTT)
	case b.key != "" && !b.sign:
		return usageError("--key is for --sign, which is missing")
	case len(b.topics) > 0 && !b.sign && !b.wire.mqtt():
		return usageError("--topic stands in the subscribers' tokens: it needs --sign")
	case b.request && given("subscribers") && b.subscribers > 0:
		return usageError("--request has no subscribers: the answers come back to the publishers")
	case b.template != "" && given("size") && !strings.Contains(b.template, "{pad}"):
		return usageError("--size changes nothing: the --template has no {pad}")
	}
	return nil
}

func (b *benching) config(cmd *cobra.Command, sys system) (load.Config, error) {
	if b.wire.datagrams() {
		return b.datagrams(cmd, sys)
	}
	if b.wire.mqtt() {
		return b.mqtt(cmd, sys)
	}
	format, err := b.wire.format()
	if err != nil {
		return load.Config{}, err
	}
	if format.Modbus() {
		return load.Config{}, usageError("%s carries Modbus PDUs only, and no payload to measure with: choose another frame format", format.Name())
	}
	return b.with(&load.Frames{Codec: format, Type: abi.TypeRequest, Priority: b.priority}, cmd, sys)
}

// with is the configuration for frames.
func (b *benching) with(frames *load.Frames, cmd *cobra.Command, sys system) (cfg load.Config, err error) {
	switch {
	case b.sign:
		key := b.key
		if key == "" {
			if key, err = demoKey(); err != nil {
				return load.Config{}, err
			}
		}
		frames.Hello, frames.AwaitHello = load.TokenHello([]byte(key), b.warmup+b.duration+time.Hour), true
	case b.token != "":
		frames.Hello, frames.AwaitHello = func(load.Peer) []byte { return []byte(b.token) }, true
	}
	return b.over(frames, cmd, sys)
}

// over is the configuration for a protocol, through what is below it.
func (b *benching) over(protocol load.Protocol, cmd *cobra.Command, sys system) (cfg load.Config, err error) {
	if b.websocket != "" {
		protocol = &load.WebSocket{Inner: protocol, Path: b.websocket}
	}
	secret, err := b.secure.over(b.to)
	if err != nil {
		return load.Config{}, err
	}
	cfg = load.Config{
		TLS:     secret,
		Address: b.to, Protocol: protocol, Mode: load.Closed, Window: b.window, Publishers: b.publishers, Subscribers: b.subscribers,
		Payload: load.Payload{Size: b.size, Template: b.template}, Duration: b.duration, Warmup: b.warmup, Count: b.count,
		ServerPID: b.pid,
	}
	if len(b.topics) > 0 {
		cfg.Subscribe = [][]string{b.topics}
	}
	switch {
	case b.request:
		cfg.Mode, cfg.Subscribers = load.Request, 0
	case b.rate > 0:
		cfg.Mode, cfg.Rate = load.Open, b.rate
	}
	if sys.progress {
		cfg.Progress = cmd.ErrOrStderr()
	}
	return cfg, nil
}
