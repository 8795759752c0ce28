package cases

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

// judge compares what a batch became with what was expected.
type judge struct {
	stage     *stage
	mode      mode
	step      int // counts from 1
	hook      abi.Hook
	first, of int // the batch's first message within the step, and how many the step has
}

func (j *judge) batch(messages []message) []Failure {
	var failures []Failure
	log := j.stage.log.take()
	for i := range messages {
		d := j.message(i, &messages[i])
		if len(d) == 0 {
			continue
		}
		line := messages[i].line
		if e := messages[i].expect; e != nil {
			line = e.line
		}
		failures = append(failures, Failure{Line: line, Where: j.where(i), Differences: d, Log: log})
		log = nil // once is enough
	}
	return failures
}

func (j *judge) where(i int) string {
	text := fmt.Sprintf("step %d, %v", j.step, j.hook)
	if j.hook == abi.HookMessages {
		text = fmt.Sprintf("step %d, message %d of %d", j.step, j.first+i+1, j.of)
	}
	if j.mode.named {
		text += ", one at a time"
	}
	return text
}

// message compares one message.
func (j *judge) message(i int, m *message) []Difference {
	b := &j.stage.batch
	if j.hook == abi.HookTick {
		d := differences{}
		if after := j.stage.plugin.Stats(); after.Traps+after.Faults > j.stage.before.Traps+j.stage.before.Faults {
			d.add("cause", plugins.CauseNone.String(), "the plugin failed: see its log below")
		}
		if m.expect != nil {
			d.emitted(m.expect.emitted, b, func(o *plugins.Outcome) bool { return true })
			d.filtered(m.expect.filtered, j.stage.said.list)
		}
		return d
	}
	at := slices.IndexFunc(b.Outcomes, func(o plugins.Outcome) bool { return !o.Emitted && int(o.Origin) == i })
	if at < 0 {
		return []Difference{{Field: "message", Want: "an outcome", Got: "none"}}
	}
	o, got := &b.Outcomes[at], &b.Messages[at]
	e := m.expect
	if e == nil {
		e = &expect{}
		if j.hook == abi.HookOpen {
			e.verdict = to(abi.VerdictContinue)
		}
	}
	d := differences{}
	d.outcome(e, o)
	d.fields(e, got)
	d.emitted(e.emitted, b, func(o *plugins.Outcome) bool { return o.Emitted && int(o.Origin) == i })
	if j.mode.single || j.mode.last {
		d.subscriptions(e, b, got.Session)
	}
	if j.mode.single || j.hook != abi.HookMessages || j.of == 1 {
		d.filtered(e.filtered, j.stage.said.list)
	}
	if spent := j.stage.plugin.Stats().Fuel - j.stage.before.Fuel; j.mode.single && e.fuelBelow != nil && spent >= *e.fuelBelow {
		d.add("fuel", fmt.Sprintf("below %d", *e.fuelBelow), fmt.Sprint(spent))
	}
	return d
}

// differences gathers what is not as expected.
type differences []Difference

func (d *differences) add(field, want, got string) {
	*d = append(*d, Difference{Field: field, Want: want, Got: got})
}

func (d *differences) outcome(e *expect, o *plugins.Outcome) {
	switch {
	case e.cause != nil && *e.cause != o.Cause:
		d.add("cause", e.cause.String(), o.Cause.String())
	case e.cause == nil && o.Cause != plugins.CauseNone && o.Cause != plugins.CausePlugin:
		d.add("cause", "none or plugin", o.Cause.String()+": the plugin failed on this message")
	}
	if e.verdict != nil && *e.verdict != o.Verdict {
		got := o.Verdict.String()
		if len(o.Out) > 0 {
			got += ", out " + show(o.Out)
		}
		d.add("verdict", e.verdict.String(), got)
	}
	d.content("out", e.out, o.Out)
}

func (d *differences) fields(e *expect, got *abi.Message) {
	d.content("topic", e.topic, got.Topic)
	d.content("payload", e.payload, got.Payload)
	value(d, "type", e.kind, got.Type)
	value(d, "priority", e.priority, got.Priority)
	value(d, "qos", e.qos, got.QoS)
	value(d, "seq", e.seq, got.Seq)
	d.block("attributes", e.attributes, got.Attrs)
	d.block("context", e.context, got.Context)
}

// value compares a field that is printed as it is.
func value[V comparable](d *differences, field string, want *V, got V) {
	if want != nil && *want != got {
		d.add(field, fmt.Sprint(*want), fmt.Sprint(got))
	}
}

// emitted compares what the plugin made, in order.
func (d *differences) emitted(want *[]emitted, b *plugins.Batch, mine func(*plugins.Outcome) bool) {
	if want == nil {
		return
	}
	var got []*abi.Message
	for k := range b.Messages {
		if mine(&b.Outcomes[k]) {
			got = append(got, &b.Messages[k])
		}
	}
	if len(*want) != len(got) {
		var topics []string
		for _, m := range got {
			topics = append(topics, show(m.Topic)+" "+show(m.Payload))
		}
		text := count(len(got))
		if len(got) > 0 {
			text += ": " + strings.Join(topics, ", ")
		}
		d.add("emitted", count(len(*want)), text)
	}
	for k := range min(len(*want), len(got)) {
		w, g := &(*want)[k], got[k]
		var inner differences
		inner.content("topic", w.topic, g.Topic)
		inner.content("payload", w.payload, g.Payload)
		value(&inner, "type", w.kind, g.Type)
		value(&inner, "priority", w.priority, g.Priority)
		value(&inner, "qos", w.qos, g.QoS)
		value(&inner, "seq", w.seq, g.Seq)
		value(&inner, "retain", w.retain, g.Flags&abi.FlagRetain != 0)
		inner.block("attributes", w.attributes, g.Attrs)
		for _, one := range inner {
			one.Field = fmt.Sprintf("emitted %d %s", k+1, one.Field)
			*d = append(*d, one)
		}
	}
}

func count(messages int) string {
	if messages == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", messages)
}

func (d *differences) subscriptions(e *expect, b *plugins.Batch, session uint64) {
	list := func(field string, want *[]string, removed bool) {
		if want == nil {
			return
		}
		got := []string{}
		for _, s := range b.Subscriptions {
			if s.Session == session && s.Remove == removed {
				got = append(got, string(s.Pattern))
			}
		}
		if !slices.Equal(*want, got) {
			d.add(field, "["+strings.Join(*want, ", ")+"]", "["+strings.Join(got, ", ")+"]")
		}
	}
	list("subscribed", e.subscribed, false)
	list("unsubscribed", e.unsubbed, true)
}

// filtered compares what the plugin said of sources, in order.
func (d *differences) filtered(want *[]string, got []string) {
	if want != nil && !slices.Equal(*want, got) {
		d.add("filtered", "["+strings.Join(*want, ", ")+"]", "["+strings.Join(got, ", ")+"]")
	}
}

// block compares attributes, name by name.
func (d *differences) block(field string, want *block, got abi.Attributes) {
	if want == nil {
		return
	}
	named := map[string]bool{}
	for _, p := range want.pairs {
		named[p.name] = true
		v, ok := got.Get(p.name)
		switch {
		case p.absent && ok:
			d.add(field+"."+p.name, "nothing", show(v))
		case !p.absent && !ok:
			d.add(field+"."+p.name, show([]byte(p.value)), "nothing")
		case !p.absent && string(v) != p.value:
			d.add(field+"."+p.name, show([]byte(p.value)), show(v))
		}
	}
	if !want.all {
		return
	}
	for name, v := range got.All() {
		if !named[string(name)] {
			named[string(name)] = true
			d.add(field+"."+string(name), "nothing", show(v))
		}
	}
}
