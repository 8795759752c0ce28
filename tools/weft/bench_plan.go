package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/datagram"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/tools/load"
)

// The values of bench's --frame that are protocols of their own.
const (
	frameMQTT   = "mqtt"
	frameMQTT5  = "mqtt5"
	frameAPI    = "api"
	frameModbus = "modbus-tcp"
)

// benchPlan is the load of one run: what a driver tells its workers. Files that flags
// name are in it by content, so that a worker opens none but its own.
type benchPlan struct {
	To          string `json:"to"`
	Frame       string `json:"frame"`
	Declaration string `json:"declaration,omitempty"` // instead of Frame, by content
	WebSocket   string `json:"websocket,omitempty"`
	MTU         int    `json:"mtu,omitempty"`
	QoS         uint8  `json:"qos,omitempty"`
	Priority    uint8  `json:"priority,omitempty"`
	Registers   string `json:"registers,omitempty"`
	Token       string `json:"token,omitempty"`
	Sign        bool   `json:"sign,omitempty"`
	Key         string `json:"key,omitempty"`
	TLS         bool   `json:"tls,omitempty"`
	ServerName  string `json:"server_name,omitempty"`

	Rate    float64       `json:"rate,omitempty"`
	Steps   []load.Step   `json:"steps,omitempty"`
	Window  int           `json:"window,omitempty"`
	Request bool          `json:"request,omitempty"`
	Warmup  time.Duration `json:"warmup"`
	// Duration is that of the whole measurement, with the steps.
	Duration time.Duration `json:"duration"`
	Count    uint64        `json:"count,omitempty"`
	Timeout  time.Duration `json:"timeout"`

	Publishers  int `json:"publishers"`
	Subscribers int `json:"subscribers"`
	// Base and Of are those of load.Config: the part of a worker.
	Base            int      `json:"base,omitempty"`
	FirstSubscriber int      `json:"first_subscriber,omitempty"`
	Of              int      `json:"of,omitempty"`
	Topics          []string `json:"topics,omitempty"`
	Spread          int      `json:"spread,omitempty"` // topics made of each of Topics

	Size     int    `json:"size"`
	Template string `json:"template,omitempty"`
	Bytes    []byte `json:"bytes,omitempty"`
	Seed     uint64 `json:"seed"`

	Expect       string        `json:"expect,omitempty"`
	ExpectJSON   string        `json:"expect_json,omitempty"`
	ExpectSubset string        `json:"expect_subset,omitempty"`
	ExpectWithin time.Duration `json:"expect_within,omitempty"`
}

// config is the run that the plan describes.
func (p *benchPlan) config(files *secure) (load.Config, error) {
	protocol, err := p.protocol()
	if err != nil {
		return load.Config{}, err
	}
	if p.WebSocket != "" {
		protocol = &load.WebSocket{Inner: protocol, Path: p.WebSocket}
	}
	checks, err := p.checks()
	if err != nil {
		return load.Config{}, err
	}
	c := load.Config{
		Address: p.To, Protocol: protocol, Mode: load.Closed, Window: p.Window,
		Publishers: p.Publishers, Subscribers: p.Subscribers, Base: p.Base, FirstSubscriber: p.FirstSubscriber, Of: p.Of, Checks: checks,
		Payload: load.Payload{Size: p.Size, Template: p.Template, Raw: string(p.Bytes), Seed: p.Seed},
		Warmup:  p.Warmup, Duration: p.Duration, Count: p.Count, Timeout: p.Timeout,
	}
	secret := *files
	secret.on, secret.name = p.TLS, p.ServerName
	if !p.TLS {
		secret = secure{}
	}
	if c.TLS, err = secret.over(p.To); err != nil {
		return c, err
	}
	switch {
	case p.Request:
		c.Mode, c.Subscribers, c.Rate = load.Request, 0, p.Rate
	case len(p.Steps) > 0:
		c.Mode, c.Steps, c.Duration = load.Open, p.Steps, 0
	case p.Rate > 0:
		c.Mode, c.Rate = load.Open, p.Rate
	}
	if p.named() {
		for _, topic := range p.Topics {
			for range max(p.Spread, 1) {
				c.Topics = append(c.Topics, topic)
			}
		}
	} else if len(p.Topics) > 0 {
		c.Subscribe = [][]string{p.Topics}
	}
	return c, nil
}

// inWorker puts the worker's number where topics ask for it.
func (p benchPlan) inWorker(i int) benchPlan {
	topics := make([]string, len(p.Topics))
	for k, topic := range p.Topics {
		topics[k] = strings.ReplaceAll(topic, "{worker}", strconv.Itoa(i))
	}
	p.Topics = topics
	return p
}

// named tells whether clients name the topics that they publish to.
func (p *benchPlan) named() bool {
	return p.Declaration == "" && (p.Frame == frameMQTT || p.Frame == frameMQTT5 || p.Frame == frameAPI)
}

func (p *benchPlan) protocol() (load.Protocol, error) {
	if p.Declaration == "" {
		switch p.Frame {
		case frameMQTT, frameMQTT5:
			m := &load.MQTT{Version: 4, QoS: p.QoS}
			if p.Frame == frameMQTT5 {
				m.Version = 5
			}
			if p.Token != "" {
				m.User, m.Password = "bench", p.Token
			}
			return m, nil
		case frameAPI:
			return &load.API{Ask: p.Request, Token: p.Token, Host: p.To, Priority: p.Priority, QoS: p.QoS, Wait: p.Timeout}, nil
		case frameModbus:
			return modbusPoll(p.Registers)
		case frameDatagram:
			kind := abi.TypeEvent
			if p.Request {
				kind = abi.TypeRequest
			}
			return p.greeted(&load.Frames{Codec: datagram.Codec{}, Type: kind, Connect: dialDatagrams(p.MTU)})
		}
	}
	format, err := p.format()
	if err != nil {
		return nil, err
	}
	if format.Modbus() {
		return nil, usageError("%s is not what bench polls registers with: choose --frame %s", format.Name(), frameModbus)
	}
	return p.greeted(&load.Frames{Codec: format, Type: abi.TypeRequest, Priority: p.Priority})
}

func (p *benchPlan) format() (*frame.Format, error) {
	if p.Declaration == "" {
		return preset(p.Frame)
	}
	f, err := frame.Parse("the declaration", []byte(p.Declaration))
	if err != nil {
		return nil, fail(exitConfig, err, "")
	}
	return f, nil
}

// greeted adds the token that each connection shows first.
func (p *benchPlan) greeted(frames *load.Frames) (load.Protocol, error) {
	switch {
	case p.Sign:
		key := p.Key
		if key == "" {
			var err error
			if key, err = demoKey(); err != nil {
				return nil, err
			}
		}
		frames.Hello, frames.AwaitHello = load.TokenHello([]byte(key), p.Warmup+p.Duration+time.Hour), true
	case p.Token != "":
		frames.Hello, frames.AwaitHello = func(load.Peer) []byte { return []byte(p.Token) }, true
	}
	return frames, nil
}

func (p *benchPlan) checks() (*load.Checks, error) {
	c := &load.Checks{Within: p.ExpectWithin}
	var err error
	if p.Expect != "" {
		if c.Match, err = regexp.Compile(p.Expect); err != nil {
			return nil, usageError("--expect: %v", err)
		}
	}
	text := p.ExpectJSON
	if p.ExpectSubset != "" {
		text, c.Subset = p.ExpectSubset, true
	}
	if text != "" {
		if c.JSON, err = load.ParseTemplate(text); err != nil {
			return nil, usageError("--expect-json: %v", err)
		}
	}
	if c.Match == nil && c.JSON == nil && c.Within == 0 {
		return nil, nil
	}
	return c, nil
}

// modbusPoll reads UNIT:ADDRESS:COUNT, with an address as manuals have it: 40001 is the
// first holding register, 30001 the first input register, 10001 the first discrete
// input, 1 the first coil.
func modbusPoll(text string) (load.Protocol, error) {
	parts := strings.Split(text, ":")
	numbers := make([]int, 0, 3)
	for _, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		numbers = append(numbers, n)
	}
	bad := usageError("--registers %q: expected UNIT:ADDRESS:COUNT such as 1:40001:2 (4xxxx holding registers, 3xxxx input registers, 1xxxx discrete inputs, xxxx coils)", text)
	if len(numbers) != 3 || len(parts) != 3 || numbers[0] < 0 || numbers[0] > 255 || numbers[2] < 1 || numbers[2] > 2000 {
		return nil, bad
	}
	m := &load.Modbus{Unit: uint8(numbers[0]), Count: uint16(numbers[2])}
	at, ranges := numbers[1], []struct {
		first    int
		function uint8
		most     int
	}{{40001, 3, 125}, {30001, 4, 125}, {10001, 2, 2000}, {1, 1, 2000}}
	for _, r := range ranges {
		if at < r.first {
			continue
		}
		if at-r.first > 65535 || numbers[2] > r.most {
			break
		}
		m.Function, m.At = r.function, uint16(at-r.first)
		return m, nil
	}
	return nil, bad
}

// parseRamp reads FROM..TO.
func parseRamp(text string) (from, to float64, err error) {
	low, high, ok := strings.Cut(text, "..")
	if from, err = strconv.ParseFloat(low, 64); err == nil && ok {
		to, err = strconv.ParseFloat(high, 64)
	}
	if !ok || err != nil || !(from > 0) || !(to > 0) {
		return 0, 0, usageError("--ramp %q: expected FROM..TO in messages a second, such as 1000..20000", text)
	}
	return from, to, nil
}

// fileFlag reads a file that a flag names, at most as much as one message can carry.
func fileFlag(flag, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fail(exitUsage, fmt.Errorf("--%s: %w", flag, err), "")
	}
	defer f.Close()
	return readAll(f, name)
}
