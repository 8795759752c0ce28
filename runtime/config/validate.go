package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/weftrun/weft/abi"
)

// Validate checks what can be checked without the rest of weft. Load has done it
// already; it is for a Config that was made or changed by hand. The error is
// Problems.
func (c *Config) Validate() error {
	if problems := c.validate(); len(problems) > 0 {
		return c.arrange(problems)
	}
	return nil
}

// checker collects problems.
type checker struct {
	c        *Config
	problems Problems
}

func (k *checker) add(path string, p Problem) {
	p.Key = path
	k.problems = append(k.problems, p)
}

func (c *Config) validate() Problems {
	k := &checker{c: c}
	for i := range c.Listeners {
		k.listener(join("listeners", strconv.Itoa(i)), &c.Listeners[i])
	}
	k.unique("listeners")
	k.sharedMQTT()
	for _, name := range sortedKeys(c.Plugins) {
		k.plugin(join("plugins", name), name, c.Plugins[name])
	}
	k.trust()
	for i := range c.Routes {
		k.route(join("routes", strconv.Itoa(i)), &c.Routes[i])
	}
	k.unique("routes")
	for i, text := range c.DefaultRoute {
		k.destination(join("default_route", strconv.Itoa(i)), text)
	}
	for _, name := range sortedKeys(c.Frames) {
		k.name(join("frames", name), name)
	}
	if c.DeadLetter.Topic != "" {
		k.topic("dead_letter.topic", c.DeadLetter.Topic)
	}
	k.backbone()
	k.devices()
	k.upstreams()
	k.consul()
	k.converters()
	k.kernel()
	k.tracing()
	k.api()
	k.addresses()
	return k.problems
}

func (k *checker) listener(path string, l *Listener) {
	if l.Name != "" {
		k.name(join(path, "name"), l.Name)
	}
	k.address(join(path, "address"), l.Address)
	if l.Frame != "" && k.c.origin != nil && k.c.origin.options.Presets != nil {
		known := slices.Concat(k.c.origin.options.Presets, []string{FrameMQTT, FrameDatagram}, sortedKeys(k.c.Frames))
		k.oneOf(join(path, "frame"), l.Frame, known, "unknown frame", "a preset or a key of frames")
	}
	k.chain(path, l.Chain)
	k.convert(path, l.Convert)
	k.mqtt(path, l)
	k.datagram(path, l)
	k.modbus(path, l)
	k.websocket(path, l)
	k.session(path, l)
	k.filter(path, l)
	if l.Topic != "" {
		k.topic(join(path, "topic"), l.Topic)
	} else if l.Frame != "" {
		k.add(join(path, "topic"), Problem{Cause: "missing value", Expected: "a topic", Fix: "remove the key for raw/{listener}"})
	}
	for i, pattern := range l.Subscribe {
		k.pattern(join(path, fmt.Sprintf("subscribe.%d", i)), pattern)
	}
	k.template(join(path, "node"), l.Node)
	k.template(join(path, "acknowledge"), l.Acknowledge)
	k.tls(join(path, "tls"), l.TLS)
	if h := l.Heartbeat; h.Every > 0 && h.CloseAfter > 0 && h.CloseAfter <= h.Every {
		k.add(join(path, "heartbeat.close_after"), Problem{Cause: "out of range", Value: h.CloseAfter.String(),
			Expected: fmt.Sprintf("more than heartbeat.every, which is %s", h.Every), Fix: fmt.Sprintf("write %s for three missed heartbeats", 3*h.Every)})
	}
	if l.Outbox.Size < l.Limits.Frame && l.Limits.Frame <= abi.MaxPayload {
		k.add(join(path, "outbox.size"), Problem{Cause: "out of range", Value: l.Outbox.Size.String(),
			Expected: fmt.Sprintf("at least limits.frame, which is %s", l.Limits.Frame), Fix: "make the outbox larger or the frames smaller"})
	}
}

func (k *checker) chain(path string, chain []ChainEntry) {
	for i, entry := range chain {
		k.convert(join(path, fmt.Sprintf("chain.%d", i)), entry.Convert)
		if entry.Plugin != "" {
			k.oneOf(join(path, fmt.Sprintf("chain.%d", i)), entry.Plugin, sortedKeys(k.c.Plugins), "unknown plugin", "a key of plugins")
		}
	}
}

func (k *checker) plugin(path, name string, p Plugin) {
	k.name(path, name)
	if len(p.Config) > abi.MaxConfig {
		k.add(join(path, "config"), Problem{Cause: "out of range", Value: Size(len(p.Config)).String(), Expected: fmt.Sprintf("at most %s", Size(abi.MaxConfig))})
	}
	if std, ok := p.Std(); ok {
		if k.c.origin != nil && k.c.origin.options.StdPlugins != nil {
			k.oneOf(join(path, "file"), std, k.c.origin.options.StdPlugins, "unknown standard plugin", "a plugin that ships with weft")
		}
	} else if p.Path != "" {
		k.module(join(path, "file"), p.Path)
	}
	if p.SHA256 != "" {
		if sum, err := hex.DecodeString(strings.TrimPrefix(p.SHA256, "sha256:")); err != nil || len(sum) != 32 {
			k.add(join(path, "sha256"), Problem{Cause: "not a SHA-256", Value: show(p.SHA256), Expected: "64 hexadecimal digits"})
		}
	}
	k.signedBy(join(path, "signed_by"), p)
	k.rollout(join(path, "rollout"), &p.Rollout)
	k.grants(join(path, "grants"), p.Grants)
}

func (k *checker) module(path, file string) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		k.add(path, Problem{Cause: "no such file", Value: show(file), Fix: `build it, correct the path (relative to this file's folder), or name one that ships with weft: "std:NAME"`})
	case err != nil:
		k.add(path, Problem{Cause: "cannot read the file", Value: show(file), Found: err.Error()})
	case info.IsDir():
		k.add(path, Problem{Cause: "not a file", Value: show(file), Found: "a folder", Expected: "a .wasm file"})
	}
}

func (k *checker) route(path string, r *Route) {
	if r.Name != "" {
		k.name(join(path, "name"), r.Name)
	}
	if r.When.Topic != "" {
		k.pattern(join(path, "when.topic"), r.When.Topic)
	}
	if r.When.Listener != "" {
		k.oneOf(join(path, "when.listener"), r.When.Listener, k.c.names("listeners"), "unknown listener", "the name of a listener")
	}
	k.template(join(path, "hash"), r.Hash)
	k.chain(path, r.Chain)
	k.convert(path, r.Convert)
	k.durable(join(path, "durable"), r.Durable)
	weighted := 0
	for i, target := range r.To {
		if target.To != "" {
			k.destination(join(path, fmt.Sprintf("to.%d", i)), target.To)
		}
		if target.Weight > 0 {
			weighted++
		}
	}
	switch {
	case len(r.To) == 0:
		k.add(join(path, "to"), Problem{Cause: "missing value", Expected: "at least one destination", Fix: "write [subscribers]"})
	case weighted > 0 && weighted < len(r.To):
		k.add(join(path, "to"), Problem{Cause: "weights are incomplete", Found: fmt.Sprintf("%d of %d destinations with a weight", weighted, len(r.To)), Expected: "a weight for each or for none", Fix: "split the route in two if some of them shall get every message"})
	case weighted == 0 && r.Hash != "":
		k.add(join(path, "hash"), Problem{Cause: "has no effect", Value: show(r.Hash), Expected: "destinations with weights, among which it chooses"})
	}
}

func (k *checker) destination(path, text string) {
	d, err := abi.ParseDestination([]byte(text))
	if err != nil {
		head, _, _ := strings.Cut(text, ":")
		kinds := []string{"subscribers", "all", "reply", "dead-letter", "topic", "node", "queue", "upstream"}
		p := Problem{Cause: "unknown destination", Value: show(text), Expected: "subscribers, topic:NAME, node:NAME, all, queue:NAME, upstream:NAME, reply or dead-letter"}
		if !slices.Contains(kinds, head) {
			p.Fix = didYouMean(head, kinds)
		}
		k.add(path, p)
		return
	}
	if name := string(d.Name); d.Kind == abi.ToUpstream && !strings.Contains(name, "{") && !k.c.isDevice(name) {
		known := slices.Concat(sortedKeys(k.c.Upstreams), k.c.deviceNames())
		k.oneOf(path, name, known, "unknown upstream", "a key of upstreams or the name of one of modbus.devices")
	}
	if d.Kind == abi.ToSubscribers && len(d.Name) > 0 {
		k.topic(path, string(d.Name))
		return
	}
	k.template(path, text)
}

func (k *checker) api() {
	if k.c.API.Address == "" {
		return
	}
	at, ok := k.address("api.address", k.c.API.Address)
	if ok {
		k.exposed(at)
	}
	k.access()
	k.apiTLS()
	for i, host := range k.c.API.Hosts {
		if host == "" || strings.ContainsAny(host, "/:@ ") {
			k.add(fmt.Sprintf("api.hosts.%d", i), Problem{Cause: "not a host name", Value: show(host), Expected: "a name without scheme and port, such as weft.example.org"})
		}
	}
	k.origins("api.cors", k.c.API.CORS)
}

func (k *checker) oneOf(path, word string, known []string, cause, expected string) {
	if slices.Contains(known, word) {
		return
	}
	p := Problem{Cause: cause, Value: show(word), Expected: expected, Fix: didYouMean(word, known)}
	if p.Fix == "" && len(known) > 0 && len(known) <= 12 {
		p.Expected += ": " + anyOf(slices.Sorted(slices.Values(known)))
	}
	k.add(path, p)
}

// unique finds names that are given twice.
func (k *checker) unique(list string) {
	first := make(map[string]int)
	for i, name := range k.c.names(list) {
		at, twice := first[name]
		if !twice {
			first[name] = i
		} else if name != "" {
			p := Problem{Cause: "name given twice", Value: show(name), Fix: "choose another name"}
			if place := k.c.Place(fmt.Sprintf("%s.%d.name", list, at)); place.Line > 0 {
				p.Found = "the same in " + place.String()
			}
			k.add(fmt.Sprintf("%s.%d.name", list, i), p)
		}
	}
}
