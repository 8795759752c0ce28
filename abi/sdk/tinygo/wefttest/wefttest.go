//go:build !wasm && !tinygo.wasm

// Package wefttest runs a plugin in an ordinary test, without weft and without
// WebAssembly: the same code over the same records, with stand-ins for the host
// functions.
//
//	guest, err := wefttest.New(&router{}, `{}`)
//	...
//	out := guest.Message(wefttest.Input{Topic: "raw", Payload: "21.5"})
//	if out.Decision != wefttest.Drop("no identity") {
//		t.Error(out.Decision)
//	}
package wefttest

import (
	"encoding/binary"
	"strings"
	"sync"

	weft "github.com/weftrun/weft/abi/sdk/tinygo"
	"github.com/weftrun/weft/abi/sdk/tinygo/internal/bridge"
	"github.com/weftrun/weft/abi/sdk/tinygo/internal/host"
)

// Attribute is a named value.
type Attribute = bridge.Attribute

// Input is a message as it comes to the plugin.
type Input struct {
	Topic, Payload string
	Attributes     []Attribute
	Context        []Attribute // of the session
	Type           weft.Type
	Priority, QoS  uint8
	Retain         bool
	Session, Seq   uint64
	Time           int64
	Listener       string
	Answer         weft.Answer // for Resume
}

// Output is a message as the plugin left it.
type Output struct {
	Decision       Decision
	Changed        []string // the fields that were changed: topic, attributes, context, payload, seq, type, priority, qos
	Topic, Payload string
	Attributes     []Attribute
	Context        []Attribute
	Type           weft.Type
	Priority, QoS  uint8
	Seq            uint64
	Effects        []Effect
}

// Attribute is the value of an attribute, empty if there is none.
func (o *Output) Attribute(name string) string { return lookup(o.Attributes, name) }

// ContextValue is a value of the session's context, empty if there is none.
func (o *Output) ContextValue(name string) string { return lookup(o.Context, name) }

func lookup(list []Attribute, name string) string {
	for _, a := range list {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// Effect is something that the message caused beside its verdict.
type Effect struct {
	Kind          EffectKind
	Topic         string // of an emitted message, or the pattern of a subscription
	Payload       string
	Attributes    []Attribute
	Type          weft.Type
	Priority, QoS uint8
	Seq           uint64
	Retain        bool
}

// EffectKind is what an effect is.
type EffectKind uint8

// The kinds of effects.
const (
	Emitted EffectKind = iota + 1
	Subscribed
	Unsubscribed
)

// Decision is a verdict with what it carries. Compare it with ==.
type Decision struct {
	kind  uint32
	out   string
	token uint64
}

// Continue, Drop and so on are the decisions that the functions of the same
// names in package weft make.
func Continue() Decision { return Decision{} }

// Drop is the decision of weft.Drop.
func Drop(reason string) Decision { return Decision{kind: 1, out: reason} }

// Reply is the decision of weft.Reply.
func Reply(payload string) Decision { return Decision{kind: 2, out: payload} }

// Route is the decision of weft.Route.
func Route(destinations ...string) Decision {
	return Decision{kind: 3, out: strings.Join(destinations, "\n")}
}

// Close is the decision of weft.Close.
func Close(reason string) Decision { return Decision{kind: 4, out: reason} }

// Pause is the decision of weft.Pause.
func Pause(token uint64) Decision { return Decision{kind: 5, token: token} }

// String is the decision in words.
func (d Decision) String() string {
	words := [...]string{"continue", "drop", "reply", "route", "close", "pause"}
	if d.out == "" {
		return words[d.kind]
	}
	return words[d.kind] + " " + d.out
}

// calls keeps guests of parallel tests apart: package weft has one memory.
var calls sync.Mutex

// Guest is one instance of a plugin, with host functions of its own. Its methods
// may be called from any goroutine.
type Guest struct {
	plugin weft.Plugin
	host   *host.Standin
	needs  weft.Needs
}

// New configures the plugin, which must be a new one.
func New(plugin weft.Plugin, config string) (*Guest, error) {
	g := &Guest{plugin: plugin, host: &host.Standin{}}
	return g, g.start(config, "")
}

// Swap ends this instance and hands its snapshot to the next one, which keeps
// the host functions' state.
func (g *Guest) Swap(next weft.Plugin, config string) (*Guest, error) {
	var state string
	g.do(func() { state = bridge.Snapshot() })
	to := &Guest{plugin: next, host: g.host}
	return to, to.start(config, state)
}

func (g *Guest) start(config, state string) error {
	var failure string
	g.do(func() {
		if failure = bridge.Init(config); failure != "" {
			return
		}
		g.needs = weft.Needs(bridge.Needs())
		if state != "" {
			failure = bridge.Restore(state)
		}
	})
	if failure != "" {
		return weft.Error(failure)
	}
	return nil
}

func (g *Guest) do(f func()) {
	calls.Lock()
	defer calls.Unlock()
	bridge.Forget()
	host.Current = g.host
	weft.Register(g.plugin)
	f()
}

// Needs is what the plugin asked for, without the hooks that it does not have.
// Guests in tests are given everything all the same.
func (g *Guest) Needs() weft.Needs { return g.needs }

// Message passes one message.
func (g *Guest) Message(m Input) Output { return g.Messages(m)[0] }

// Messages passes a batch.
func (g *Guest) Messages(batch ...Input) []Output { return g.run(weft.HookMessages, batch) }

// Open begins a session.
func (g *Guest) Open(session Input) Output { return g.run(weft.HookOpen, []Input{session})[0] }

// Close ends a session.
func (g *Guest) Close(session Input) Output { return g.run(weft.HookClose, []Input{session})[0] }

// Resume brings a paused message back.
func (g *Guest) Resume(m Input) Output { return g.run(weft.HookResume, []Input{m})[0] }

// Tick lets time pass, to ns nanoseconds on both clocks.
func (g *Guest) Tick(ns int64) Output {
	g.SetTime(ns)
	return g.run(weft.HookTick, []Input{{Time: ns}})[0]
}

// SetTime sets both clocks, in nanoseconds.
func (g *Guest) SetTime(ns int64) { g.Do(func() { g.host.Wall, g.host.Mono = ns, ns }) }

// Do calls f with the guest's host functions, so that f can prepare keys or read
// them.
func (g *Guest) Do(f func()) { g.do(f) }

// Logs is the lines that the guest has logged.
func (g *Guest) Logs() (lines []string) {
	g.Do(func() { lines = append(lines, g.host.Logs...) })
	return lines
}

// Request is a request that the guest has begun.
type Request struct {
	Method, URL, Body string
	Header            []Attribute
	Deadline          int64 // in milliseconds; 0 is the operator's
}

// Requests is the HTTP requests that the guest has begun; the first has the token
// 1.
func (g *Guest) Requests() (list []Request) {
	g.Do(func() {
		for _, r := range g.host.Requests {
			list = append(list, Request{r.Method, r.URL, string(r.Body), fields(r.Header), r.Deadline})
		}
	})
	return list
}

// Answered is the answer of a server to the request with this token, for
// Input.Answer. Where there is none, make a weft.Answer with a Status.
func Answered(token uint64, status int, header []Attribute, body string) weft.Answer {
	var block []byte
	for _, f := range header {
		block = binary.LittleEndian.AppendUint16(block, uint16(len(f.Name)))
		block = binary.LittleEndian.AppendUint16(block, uint16(len(f.Value)))
		block = append(append(block, f.Name...), f.Value...)
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(status))
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(block))), block...)
	return weft.Answer{Token: token, Bytes: append(b, body...)}
}

func fields(block []byte) (list []Attribute) {
	for len(block) > 0 {
		n := 4 + binary.LittleEndian.Uint16(block)
		end := n + binary.LittleEndian.Uint16(block[2:])
		list = append(list, Attribute{Name: string(block[4:n]), Value: string(block[n:end])})
		block = block[end:]
	}
	return list
}

// Rule is what the guest has said of a source. TTL is in milliseconds, 0 for the
// operator's longest.
type Rule = host.Rule

// Rules is what the guest has said of sources, in order; one that was unblocked is
// not there.
func (g *Guest) Rules() (list []Rule) {
	g.Do(func() { list = append(list, g.host.Rules...) })
	return list
}

// SetSource sets where a session comes from.
func (g *Guest) SetSource(session uint64, address string) {
	g.Do(func() {
		if g.host.Sources == nil {
			g.host.Sources = make(map[uint64]string)
		}
		g.host.Sources[session] = address
	})
}

// Metric is the value of a counter or gauge, or how many values a histogram was
// given; false if the guest has made no such metric.
func (g *Guest) Metric(name string) (value float64, ok bool) {
	g.Do(func() {
		for _, m := range g.host.Metrics {
			if m.Name == name {
				value, ok = m.Value, true
			}
		}
	})
	return value, ok
}

func (g *Guest) run(hook weft.Hook, batch []Input) []Output {
	in := make([]bridge.Input, len(batch))
	for i := range batch {
		in[i] = batch[i].record()
	}
	var answers []bridge.Output
	g.do(func() { answers = bridge.Run(uint8(hook), in) })
	out := make([]Output, len(answers))
	for i := range answers {
		out[i] = output(&answers[i])
	}
	return out
}

const retain = 1 << 1

func (in *Input) record() bridge.Input {
	r := bridge.Input{
		Topic: in.Topic, Payload: in.Payload, Attributes: in.Attributes, Context: in.Context,
		Type: uint8(in.Type), Priority: in.Priority, QoS: in.QoS, Session: in.Session, Seq: in.Seq, Time: in.Time,
		Listener: in.Listener, Answer: string(in.Answer.Bytes), Status: in.Answer.Status, Token: in.Answer.Token,
	}
	if in.Retain {
		r.Flags = retain
	}
	return r
}

func output(r *bridge.Output) Output {
	out := Output{
		Decision: Decision{kind: r.Verdict, out: r.Out},
		Topic:    r.Topic, Payload: r.Payload, Attributes: r.Attributes, Context: r.Context,
		Type: weft.Type(r.Type), Priority: r.Priority, QoS: r.QoS, Seq: r.Seq,
	}
	if r.Verdict == Pause(0).kind {
		out.Decision.token = r.Token
	}
	for bit, name := range []string{"topic", "attributes", "context", "payload", "seq", "type", "priority", "qos"} {
		if r.Changes>>bit&1 == 1 {
			out.Changed = append(out.Changed, name)
		}
	}
	for _, e := range r.Effects {
		out.Effects = append(out.Effects, Effect{
			Kind: EffectKind(e.Kind), Topic: e.Topic, Payload: e.Payload, Attributes: e.Attributes,
			Type: weft.Type(e.Type), Priority: e.Priority, QoS: e.QoS, Seq: e.Seq, Retain: e.Flags&retain != 0,
		})
	}
	return out
}
