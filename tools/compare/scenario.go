package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/weftrun/weft/tools/load"
	"github.com/weftrun/weft/tools/program"
)

// scenario is one load on all servers.
type scenario struct {
	name, about string
	publishers  int
	subscribers int
	topics      int // 1: "truck/bench/telemetry"; more: "truck/N/telemetry"
	size        int
	rate        float64 // 0: full load
	json        bool    // else opaque bytes
	mqtt        bool    // only peers that speak MQTT, at this QoS; not run unless asked for
	qos         uint8
	run         func(context.Context, scenario, options, []server, io.Writer) ([]row, error)
}

var scenarios = []scenario{
	{name: "1to1-128", about: "1 publisher, 1 subscriber, 128 opaque bytes, full load", publishers: 1, subscribers: 1, topics: 1, size: 128, run: traffic},
	{name: "1to1-128-json", about: "the same with 128 B of JSON, which weft's plugins parse", publishers: 1, subscribers: 1, topics: 1, size: 128, json: true, run: traffic},
	{name: "1to1-1k", about: "1 publisher, 1 subscriber, 1 KiB opaque, full load", publishers: 1, subscribers: 1, topics: 1, size: 1024, run: traffic},
	{name: "50to1-128", about: "50 publishers, 1 subscriber, 128 opaque bytes, full load", publishers: 50, subscribers: 1, topics: 1, size: 128, run: traffic},
	{name: "1000topics", about: "1 publisher, 1,000 topics in turn, 100 subscribers with 10 topics each, 128 B of JSON, full load", publishers: 1, subscribers: 100, topics: 1000, size: 128, json: true, run: traffic},
	{name: "latency-20k", about: "20,000 messages a second, 1 publisher, 1 subscriber, 128 opaque bytes", publishers: 1, subscribers: 1, topics: 1, size: 128, rate: 20_000, run: traffic},
	{name: "memory", about: "resident memory of idle connections after one exchange", run: memory},
}

// mqttScenarios are the same loads at each quality of service.
func mqttScenarios() (list []scenario) {
	for qos := range uint8(3) {
		for _, size := range []int{128, 1024} {
			for _, publishers := range []int{1, 50} {
				list = append(list, scenario{
					name:       fmt.Sprintf("mqtt-q%d-%dto1-%d", qos, publishers, size),
					about:      fmt.Sprintf("MQTT QoS %d, %d publishers, 1 subscriber, %d opaque bytes, full load", qos, publishers, size),
					publishers: publishers, subscribers: 1, topics: 1, size: size, mqtt: true, qos: qos, run: traffic,
				})
			}
		}
	}
	return list
}

// scenarioNames are what runs where nothing is asked for, or all.
func scenarioNames(all bool) (names []string) {
	for _, s := range allScenarios() {
		if all || !s.mqtt {
			names = append(names, s.name)
		}
	}
	return names
}

func allScenarios() []scenario { return append(slices.Clone(scenarios), mqttScenarios()...) }

func scenarioCalled(name string) (scenario, bool) {
	for _, s := range allScenarios() {
		if s.name == name {
			return s, true
		}
	}
	return scenario{}, false
}

// row is what one server reached in a scenario, round by round.
type row struct {
	server  server
	results []*load.Result // traffic
	bytes   []float64      // memory: bytes a connection
}

// jsonPayload has a truck's number, which weft routes by, and no alarm.
const jsonPayload = `{"truck":"{n}","temperature":4.2,"bench":"{stamp}","pad":"{pad}"}`

// config is the load on one server.
func (s scenario) config(p *running, o options) (load.Config, error) {
	protocol, err := p.protocol()
	if err != nil {
		return load.Config{}, err
	}
	if mqtt, ok := protocol.(*load.MQTT); ok {
		mqtt.QoS = s.qos
	}
	topics := []string{"truck/bench/telemetry"}
	payload := load.Payload{Size: s.size}
	if s.json {
		payload.Template = strings.Replace(jsonPayload, "{n}", "bench", 1)
	}
	if s.topics > 1 {
		topics = load.Series("truck/{n}/telemetry", s.topics)
		payload.Template = jsonPayload
	}
	for i := range topics {
		topics[i] = strings.ReplaceAll(topics[i], "/", p.separator)
	}
	c := load.Config{
		Address: p.address, Protocol: protocol, Mode: load.Closed, Publishers: s.publishers, Subscribers: s.subscribers,
		Topics: topics, Subscribe: load.Partition(topics, min(s.subscribers, len(topics))), Payload: payload,
		Warmup: 500 * time.Millisecond, Duration: time.Duration(o.seconds * float64(time.Second)), Drain: 2 * time.Second,
		ServerPID: p.PID(), Window: max(1, o.window*128/s.size),
	}
	if s.rate > 0 {
		c.Mode, c.Rate = load.Open, s.rate
	}
	return c, nil
}

// traffic runs a load on all servers in turn, round by round.
func traffic(ctx context.Context, s scenario, o options, servers []server, words io.Writer) (rows []row, err error) {
	if s.mqtt {
		if servers = speakingMQTT(servers); len(servers) == 0 {
			return nil, errors.New("none of the peers speaks MQTT: choose among weft-mqtt and mosquitto")
		}
	}
	running, stop, err := startAll(ctx, servers)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return nil, err
	}
	rows = make([]row, len(running))
	for round := range o.rounds {
		for i, p := range running {
			rows[i].server = p.server
			result, err := s.once(ctx, p, o)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w; the server's last words:\n%s", p.name, round+1, err, p.Tail())
			}
			rows[i].results = append(rows[i].results, result)
			program.Say(words, "  round %d %-10s %10.0f msg/s, server CPU %.3f us, p50 %v, p99 %v", round+1, p.name, result.Measured.Rate,
				result.Server.PerMessage, time.Duration(result.Latency.P50), time.Duration(result.Latency.P99))
		}
	}
	return rows, nil
}

func speakingMQTT(servers []server) []server {
	return slices.DeleteFunc(slices.Clone(servers), func(s server) bool { return !s.mqtt })
}

// once is one round on one server, bounded in time.
func (s scenario) once(ctx context.Context, p *running, o options) (*load.Result, error) {
	c, err := s.config(p, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.seconds*float64(time.Second))+30*time.Second)
	defer cancel()
	return load.Run(ctx, c)
}
