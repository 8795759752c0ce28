package cases

import (
	"math"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

// expectation reads what is expected. only names the keys that make sense where
// it stands; none: all.
func (r *reader) expectation(n *yaml.Node, only ...string) *expect {
	e := &expect{line: n.Line}
	known := fields{
		"verdict": func(n *yaml.Node) {
			v := abi.Verdict(r.oneOf(n, "verdict", "continue", "drop", "reply", "route", "close", "pause"))
			e.verdict = &v
		},
		"cause":      func(n *yaml.Node) { e.cause = r.cause(n) },
		"out":        func(n *yaml.Node) { e.out = r.content(n, "out") },
		"seq":        func(n *yaml.Node) { e.seq = to(r.number(n, "seq", math.MaxUint64)) },
		"emitted":    func(n *yaml.Node) { e.emitted = r.emitted(n) },
		"subscribed": func(n *yaml.Node) { e.subscribed = r.texts(n, "subscribed") },
		"unsubscribed": func(n *yaml.Node) {
			e.unsubbed = r.texts(n, "unsubscribed")
		},
		"filtered":   func(n *yaml.Node) { e.filtered = r.filtered(n) },
		"fuel_below": func(n *yaml.Node) { e.fuelBelow = to(r.number(n, "fuel_below", math.MaxUint64)) },
	}
	r.blocks(known, "context", &e.context)
	r.made(known, &e.topic, &e.payload, &e.kind, &e.priority, &e.qos, &e.attributes)
	if len(only) > 0 {
		for key := range known {
			if !slices.Contains(only, key) {
				delete(known, key)
			}
		}
	}
	r.mapping(n, "expect", known)
	return e
}

// made adds the keys that messages which went through and messages that a plugin
// made have in common.
func (r *reader) made(known fields, topic, payload **content, kind **abi.Type, priority, qos **uint8, attributes **block) {
	given, bytes := 0, &content{}
	r.bytesFields(known, &given, bytes)
	for key, read := range known {
		switch key {
		case "text", "json", "hex", "base64", "file":
			known[key] = func(n *yaml.Node) { read(n); *payload = bytes }
		}
	}
	known["payload"] = func(n *yaml.Node) { *payload = r.content(n, "payload") }
	known["topic"] = func(n *yaml.Node) { *topic = r.content(n, "topic") }
	known["type"] = func(n *yaml.Node) { *kind = to(r.kind(n)) }
	known["priority"] = func(n *yaml.Node) { *priority = to(uint8(r.number(n, "priority", abi.MaxPriority))) }
	known["qos"] = func(n *yaml.Node) { *qos = to(uint8(r.number(n, "qos", abi.MaxQoS))) }
	r.blocks(known, "attributes", attributes)
}

// blocks adds the two ways to say what is expected of attributes: all of them, or
// some.
func (r *reader) blocks(known fields, name string, to **block) {
	for key, all := range map[string]bool{name: true, "has_" + name: false} {
		known[key] = func(n *yaml.Node) {
			if *to != nil {
				r.fail(n, "%s and has_%s exclude each other", name, name)
			}
			*to = r.block(n, key, all)
		}
	}
}

func (r *reader) emitted(n *yaml.Node) *[]emitted {
	list := []emitted{}
	r.list(n, "emitted", func(n *yaml.Node) {
		e := emitted{line: n.Line}
		known := fields{
			"seq":    func(n *yaml.Node) { e.seq = to(r.number(n, "seq", math.MaxUint64)) },
			"retain": func(n *yaml.Node) { e.retain = to(r.boolean(n, "retain")) },
		}
		r.made(known, &e.topic, &e.payload, &e.kind, &e.priority, &e.qos, &e.attributes)
		r.mapping(n, "emitted", known)
		list = append(list, e)
	})
	return &list
}

func (r *reader) texts(n *yaml.Node, what string) *[]string {
	list := []string{}
	r.list(n, what, func(n *yaml.Node) { list = append(list, r.text(n, what)) })
	return &list
}

// cause reads why the plugin's policy answered.
func (r *reader) cause(n *yaml.Node) *plugins.Cause {
	var names []string
	for c := plugins.CauseNone; c.String() != "unknown"; c++ {
		names = append(names, c.String())
	}
	return to(plugins.Cause(r.oneOf(n, "cause", names...)))
}

func to[T any](v T) *T { return &v }
