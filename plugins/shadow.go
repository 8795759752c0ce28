package plugins

import (
	"bytes"
	"slices"
	"time"

	"github.com/weftrun/weft/abi"
)

// Drift is how the answers of a shadow differed from those of the live generation.
// A message counts once in each field that differed.
type Drift struct {
	// Compared messages; those on which one of the two failed are not among them.
	Compared uint64
	// Differed is how many of them differed in any field.
	Differed   uint64
	Verdict    uint64 // verdict, or what it carries
	Topic      uint64
	Attributes uint64 // or the session's context
	Payload    uint64
	Header     uint64 // type, priority, QoS or sequence id
	Effects    uint64 // emitted messages and subscriptions
	// Samples are some of the latest messages that differed, oldest first.
	Samples []DriftSample
}

// DriftSample is a message on which a shadow differed. The texts are cut to
// maxSample bytes.
type DriftSample struct {
	Time    time.Time
	Session uint64
	Hook    string
	Fields  []string // which of Drift's fields
	// What came in, and what the two made of it.
	Topic        string
	Payload      []byte
	Live, Shadow SampleAnswer
}

// SampleAnswer is one generation's answer.
type SampleAnswer struct {
	Verdict    string
	Out        string
	Topic      string
	Attributes map[string]string
	Payload    []byte
	Emitted    int
}

const (
	maxSamples  = 16
	maxSample   = 512
	sampleEvery = 50 * time.Millisecond
)

// mirror is what a shadow works on: copies of the messages, over the same bytes.
type mirror struct {
	batch Batch
	given []abi.Message // as the two have got them
	list  []int32       // all of batch
	of    []int32       // where they are in the live batch
}

// mirrored hands the messages to the shadow, then to the live seat, and compares.
func (c *Chain) mirrored(h *hop, b *Batch, hook abi.Hook) {
	h.split(b, c.live)
	if hook == abi.HookTick {
		h.trial = append(h.trial[:0], c.live...)
	}
	m := &h.mirror
	seen := len(h.trial) > 0 && h.candidate.wants(hook)
	if seen {
		m.load(b, h.trial)
		c.serve(h.candidate, &m.batch, hook, m.list)
		clear(c.changed)
	}
	d := difference{hop: h, hook: hook, live: b, emits: len(b.emits), subscriptions: len(b.Subscriptions)}
	if h.live.wants(hook) {
		c.serve(h.live, b, hook, c.live)
	}
	if seen {
		d.compare()
		m.batch.Reset()
	}
}

// load copies the messages.
func (m *mirror) load(b *Batch, list []int32) {
	m.batch.Reset()
	m.list, m.of = m.list[:0], append(m.of[:0], list...)
	for n, i := range list {
		m.batch.Messages = append(m.batch.Messages, b.Messages[i])
		m.list = append(m.list, int32(n))
	}
	m.given = append(m.given[:0], m.batch.Messages...)
	m.batch.begin(abi.HookMessages)
	for n, i := range list {
		m.batch.Outcomes[n].hook = b.Outcomes[i].hook
	}
}

// field is one in which two answers can differ, as a bit.
type field uint8

const (
	inVerdict field = 1 << iota
	inTopic
	inAttributes
	inPayload
	inHeader
	inEffects
)

var fieldNames = []string{"verdict", "topic", "attributes", "payload", "header", "effects"}

func (f field) names() []string {
	var names []string
	for i, name := range fieldNames {
		if f>>i&1 == 1 {
			names = append(names, name)
		}
	}
	return names
}

// difference compares what two generations made of the same messages.
type difference struct {
	hop                  *hop
	hook                 abi.Hook
	live                 *Batch
	emits, subscriptions int // how many the live batch had before
}

func (d *difference) compare() {
	m := &d.hop.mirror
	var sum Drift
	var sample *DriftSample
	liveEmits, shadowEmits := d.live.emits[d.emits:], m.batch.emits
	own, other := d.live.Subscriptions[d.subscriptions:], m.batch.Subscriptions
	for n, i := range m.of {
		la, lb := take(&liveEmits, i), take(&shadowEmits, int32(n))
		sa, sb := take(&own, i), take(&other, int32(n))
		a, b := &d.live.Outcomes[i], &m.batch.Outcomes[n]
		if a.Cause > CausePlugin || b.Cause > CausePlugin {
			continue
		}
		f := differs(&d.live.Messages[i], &m.batch.Messages[n], a, b)
		if !slices.EqualFunc(la, lb, sameEmit) || !slices.EqualFunc(sa, sb, sameSubscription) {
			f |= inEffects
		}
		sum.count(f)
		if f != 0 && sample == nil && d.hop.candidate.plugin.maySample() {
			sample = d.sample(n, f, len(la), len(lb))
		}
	}
	d.hop.candidate.plugin.drifted(&sum, sample)
}

// effectOf is an effect that waits, with the message that caused it.
type effectOf interface{ cause() int32 }

func (e emit) cause() int32         { return e.after }
func (s Subscription) cause() int32 { return s.after }

// take cuts off the effects that message after has caused; those before it belong to
// messages that were not compared.
func take[E effectOf](effects *[]E, after int32) []E {
	from := 0
	for from < len(*effects) && (*effects)[from].cause() < after {
		from++
	}
	to := from
	for to < len(*effects) && (*effects)[to].cause() == after {
		to++
	}
	mine := (*effects)[from:to]
	*effects = (*effects)[to:]
	return mine
}

func differs(x, y *abi.Message, a, b *Outcome) field {
	var f field
	if a.Verdict != b.Verdict || !bytes.Equal(a.Out, b.Out) {
		f |= inVerdict
	}
	if !bytes.Equal(x.Topic, y.Topic) {
		f |= inTopic
	}
	if !bytes.Equal(x.Attrs, y.Attrs) || !bytes.Equal(x.Context, y.Context) {
		f |= inAttributes
	}
	if !bytes.Equal(x.Payload, y.Payload) {
		f |= inPayload
	}
	if x.Type != y.Type || x.Priority != y.Priority || x.QoS != y.QoS || x.Seq != y.Seq {
		f |= inHeader
	}
	return f
}

func sameEmit(x, y emit) bool {
	a, b := &x.message, &y.message
	return bytes.Equal(a.Topic, b.Topic) && bytes.Equal(a.Attrs, b.Attrs) && bytes.Equal(a.Payload, b.Payload) &&
		a.Type == b.Type && a.Priority == b.Priority && a.QoS == b.QoS && a.Seq == b.Seq && a.Flags == b.Flags
}

func sameSubscription(x, y Subscription) bool {
	return x.Session == y.Session && bytes.Equal(x.Pattern, y.Pattern) && x.QoS == y.QoS && x.Remove == y.Remove
}

// count counts a compared message.
func (d *Drift) count(f field) {
	d.Compared++
	if f == 0 {
		return
	}
	d.Differed++
	for i, n := range []*uint64{&d.Verdict, &d.Topic, &d.Attributes, &d.Payload, &d.Header, &d.Effects} {
		*n += uint64(f >> i & 1)
	}
}

func (d *difference) sample(n int, f field, liveEmits, shadowEmits int) *DriftSample {
	m := &d.hop.mirror
	given, i := &m.given[n], m.of[n]
	return &DriftSample{
		Time: time.Now(), Session: given.Session, Hook: d.hook.String(), Fields: f.names(),
		Topic: printable(given.Topic, maxSample), Payload: cut(given.Payload),
		Live:   answerOf(&d.live.Messages[i], &d.live.Outcomes[i], liveEmits),
		Shadow: answerOf(&m.batch.Messages[n], &m.batch.Outcomes[n], shadowEmits),
	}
}

func answerOf(m *abi.Message, o *Outcome, emitted int) SampleAnswer {
	a := SampleAnswer{
		Verdict: o.Verdict.String(), Out: printable(o.Out, maxSample), Topic: printable(m.Topic, maxSample),
		Attributes: make(map[string]string), Payload: cut(m.Payload), Emitted: emitted,
	}
	for name, value := range m.Attrs.All() {
		if len(a.Attributes) < maxSamples {
			a.Attributes[printable(name, maxSample)] = printable(Shown(name, value), maxSample)
		}
	}
	return a
}

func cut(b []byte) []byte { return bytes.Clone(b[:min(len(b), maxSample)]) }

// maySample reports whether it is time for another sample.
func (p *Plugin) maySample() bool {
	now := p.env.cfg.Clock.Monotonic()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.drift.Samples) > 0 && now-p.sampled < int64(sampleEvery) {
		return false
	}
	p.sampled = now
	return true
}

// drifted adds what a comparison has found.
func (p *Plugin) drifted(d *Drift, sample *DriftSample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drift.Compared += d.Compared
	p.drift.Differed += d.Differed
	p.drift.Verdict += d.Verdict
	p.drift.Topic += d.Topic
	p.drift.Attributes += d.Attributes
	p.drift.Payload += d.Payload
	p.drift.Header += d.Header
	p.drift.Effects += d.Effects
	if sample == nil {
		return
	}
	if len(p.drift.Samples) == maxSamples {
		p.drift.Samples = slices.Delete(p.drift.Samples, 0, 1)
	}
	p.drift.Samples = append(p.drift.Samples, *sample)
}

// Drift is how the plugin, a shadow, has differed from the live generation so far.
func (p *Plugin) Drift() Drift {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.drift
	d.Samples = slices.Clone(d.Samples)
	return d
}
