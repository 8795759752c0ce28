package cases

import (
	"math"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
)

// defaultListener is whose messages they are where nothing else is said.
const defaultListener = "test"

// defaultStart is what the clock says where nothing else is said.
var defaultStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (r *reader) file(root *yaml.Node) *File {
	f := &File{Path: r.path, Start: defaultStart, listeners: []string{defaultListener}}
	var list *yaml.Node
	r.mapping(root, "the file", fields{
		"plugin": func(n *yaml.Node) { f.Plugin = r.text(n, "plugin") },
		"config": func(n *yaml.Node) { f.Spec.Config = r.json(n) },
		"grants": func(n *yaml.Node) { f.Spec.Grants = r.grants(n) },
		"memory": func(n *yaml.Node) { f.Spec.Memory = r.size(n, "memory") },
		"cpu":    func(n *yaml.Node) { f.Spec.CPU = r.duration(n, "cpu") },
		"on_failure": func(n *yaml.Node) {
			f.Spec.OnFailure = plugins.Policy(r.oneOf(n, "on_failure", "closed", "open", "quarantine"))
		},
		"start": func(n *yaml.Node) { f.Start = r.start(n) },
		"cases": func(n *yaml.Node) { list = n },
	})
	if list == nil {
		r.fail(root, "no cases: expected cases, a list of mappings with name and steps")
		return f
	}
	names := map[string]int{}
	r.list(list, "cases", func(n *yaml.Node) {
		c := r.testCase(f, n)
		if line, twice := names[c.Name]; twice {
			r.fail(n, "case %q: another one in line %d has this name", c.Name, line)
		}
		names[c.Name] = c.Line
		f.Cases = append(f.Cases, c)
	})
	if len(f.Cases) == 0 {
		r.fail(list, "cases is empty: a file without cases tests nothing")
	}
	return f
}

func (r *reader) grants(n *yaml.Node) hostfuncs.Grants {
	given := map[string]map[string]any{}
	r.pairs(n, "grants", func(key, value *yaml.Node) {
		scope := map[string]any{}
		if value = resolve(value); !isNull(value) {
			if err := value.Decode(&scope); err != nil {
				r.fail(value, "grants.%s is %s: expected a mapping, {} for the defaults", key.Value, found(value))
			}
		}
		given[key.Value] = scope
	})
	g, err := hostfuncs.ParseGrants(given)
	if err != nil {
		r.fail(n, "%v", err)
	}
	return g
}

func (r *reader) start(n *yaml.Node) time.Time {
	at, err := time.Parse(time.RFC3339Nano, r.text(n, "start"))
	if err != nil {
		r.fail(n, "start is %s: expected a time such as 2026-01-01T00:00:00Z", found(resolve(n)))
	}
	return at
}

func (r *reader) testCase(f *File, n *yaml.Node) Case {
	c := Case{Line: n.Line}
	r.mapping(n, "a case", fields{
		"name":   func(n *yaml.Node) { c.Name = r.text(n, "name") },
		"config": func(n *yaml.Node) { c.config = r.json(n) },
		"refused": func(n *yaml.Node) {
			text := r.text(n, "refused")
			c.refused, c.refusedLine = &text, n.Line
		},
		"one_at_a_time": func(n *yaml.Node) { c.asGiven = !r.boolean(n, "one_at_a_time") },
		"steps": func(n *yaml.Node) {
			r.list(n, "steps", func(n *yaml.Node) {
				if s, ok := r.step(f, n); ok {
					c.steps = append(c.steps, s)
				}
			})
		},
	})
	switch {
	case c.Name == "":
		r.fail(n, "a case has no name")
	case c.refused != nil && len(c.steps) > 0:
		r.fail(n, "case %q: a plugin that refuses its configuration takes no steps", c.Name)
	case c.asGiven && c.looksAlone():
		r.fail(n, "case %q: fuel_below or filtered in a batch of several messages, which one_at_a_time: false keeps together: give the message a step of its own", c.Name)
	case c.refused == nil && len(c.steps) == 0:
		r.fail(n, "case %q has no steps", c.Name)
	}
	return c
}

// looksAlone tells whether something is expected of a message of a larger batch that is
// seen only when it is alone.
func (c *Case) looksAlone() bool {
	for i := range c.steps {
		for k := range c.steps[i].messages {
			if e := c.steps[i].messages[k].expect; e != nil && (e.fuelBelow != nil || e.filtered != nil) && len(c.steps[i].messages) > 1 {
				return true
			}
		}
	}
	return false
}

func (r *reader) step(f *File, n *yaml.Node) (s step, ok bool) {
	s.line = n.Line
	kinds := 0
	of := func(hook abi.Hook, read func(n *yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) {
			if kinds++; kinds == 2 {
				r.fail(n, "a step is one thing: begin another one with -")
			}
			s.hook = hook
			read(n)
		}
	}
	r.mapping(n, "a step", fields{
		"open":    of(abi.HookOpen, func(n *yaml.Node) { s.messages = append(s.messages, r.session(f, n, "open")) }),
		"close":   of(abi.HookClose, func(n *yaml.Node) { s.messages = append(s.messages, r.session(f, n, "close")) }),
		"tick":    of(abi.HookTick, func(n *yaml.Node) { s.messages = append(s.messages, r.tick(n)) }),
		"advance": of(0, func(n *yaml.Node) { s.advance = r.duration(n, "advance") }),
		"messages": of(abi.HookMessages, func(n *yaml.Node) {
			r.list(n, "messages", func(n *yaml.Node) { s.messages = append(s.messages, r.message(f, n)) })
			if len(s.messages) == 0 {
				r.fail(n, "messages is empty")
			}
			r.contextsFirst(s.messages)
		}),
	})
	if kinds == 0 {
		r.fail(n, "an empty step: expected open, messages, advance, tick or close")
	}
	return s, kinds == 1
}

// contextsFirst refuses a context that is given in the middle of a batch: weft
// fills in a session's context before the plugin has seen the batch.
func (r *reader) contextsFirst(messages []message) {
	seen := map[uint64]bool{}
	for i := range messages {
		m := &messages[i]
		if m.hasContext && seen[m.message.Session] {
			r.fail(&yaml.Node{Line: m.line}, "context: session %d has a message before in this batch: give the context there, or begin another messages step", m.message.Session)
		}
		seen[m.message.Session] = true
	}
}

func (r *reader) tick(n *yaml.Node) message {
	m := message{line: n.Line}
	r.mapping(n, "tick", fields{"expect": func(n *yaml.Node) { m.expect = r.expectation(n, "emitted", "filtered") }})
	return m
}

// session reads open and close.
func (r *reader) session(f *File, n *yaml.Node, what string) message {
	m := message{line: n.Line, message: abi.Message{Session: 1}}
	known := r.common(f, &m)
	if what == "close" {
		known["expect"] = func(n *yaml.Node) { m.expect = r.expectation(n, "emitted", "filtered") }
	}
	r.mapping(n, what, known)
	return m
}

// common are the keys that messages and sessions share.
func (r *reader) common(f *File, m *message) fields {
	return fields{
		"session":    func(n *yaml.Node) { m.message.Session = r.number(n, "session", math.MaxUint64) },
		"source":     func(n *yaml.Node) { m.source = r.source(n) },
		"attributes": func(n *yaml.Node) { m.message.Attrs = r.attributes(n, "attributes") },
		"context": func(n *yaml.Node) {
			m.context, m.hasContext = r.attributes(n, "context"), true
		},
		"listener": func(n *yaml.Node) { m.message.Listener = f.listener(r.text(n, "listener")) },
		"expect":   func(n *yaml.Node) { m.expect = r.expectation(n) },
	}
}

// listener is the place of a name in the list, which it joins if it is new.
func (f *File) listener(name string) uint32 {
	at := slices.Index(f.listeners, name)
	if at < 0 {
		at = len(f.listeners)
		f.listeners = append(f.listeners, name)
	}
	return uint32(at)
}

func (r *reader) message(f *File, n *yaml.Node) message {
	m := message{line: n.Line, message: abi.Message{Session: 1, Topic: []byte("test")}}
	known := r.common(f, &m)
	var payload content
	given := 0
	r.bytesFields(known, &given, &payload)
	known["topic"] = func(n *yaml.Node) { m.message.Topic = []byte(r.text(n, "topic")) }
	known["type"] = func(n *yaml.Node) { m.message.Type = r.kind(n) }
	known["priority"] = func(n *yaml.Node) { m.message.Priority = uint8(r.number(n, "priority", abi.MaxPriority)) }
	known["qos"] = func(n *yaml.Node) { m.message.QoS = uint8(r.number(n, "qos", abi.MaxQoS)) }
	known["seq"] = func(n *yaml.Node) { m.message.Seq = r.number(n, "seq", math.MaxUint64) }
	known["retain"] = func(n *yaml.Node) {
		if r.boolean(n, "retain") {
			m.message.Flags |= abi.FlagRetain
		}
	}
	known["redelivered"] = func(n *yaml.Node) {
		if r.boolean(n, "redelivered") {
			m.message.Flags |= abi.FlagRedelivered
		}
	}
	r.mapping(n, "a message", known)
	m.message.Payload = payload.bytes
	return m
}

func (r *reader) kind(n *yaml.Node) abi.Type {
	return abi.Type(r.oneOf(n, "type", "event", "request", "response", "ack", "heartbeat"))
}
