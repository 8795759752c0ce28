package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/cases"
	"github.com/weftrun/weft/plugins/recording"
)

// made is what one side made of a message.
type made struct {
	verdict, cause string // cause only if the plugin failed
	out            []byte
	message        recording.Message // as it stood afterwards
	emitted        []recording.Message
	subscriptions  []recording.Subscription
}

// failureOf is the name of a cause if it is a failure, else nothing.
func failureOf(cause string) string {
	if cause == "none" || cause == "plugin" {
		return ""
	}
	return cause
}

// recordedOf is what the recording says became of a batch.
func recordedOf(batch []*recording.Entry) []made {
	list := make([]made, len(batch))
	for i, e := range batch {
		o := &e.Outcome
		m := e.Message
		if c := o.Changed; c != nil {
			take(&m.Topic, c.Topic)
			take(&m.Attributes, c.Attributes)
			take(&m.Context, c.Context)
			take(&m.Payload, c.Payload)
			take(&m.Seq, c.Seq)
			take(&m.Type, c.Type)
			take(&m.Priority, c.Priority)
			take(&m.QoS, c.QoS)
		}
		list[i].verdict, list[i].cause, list[i].out, list[i].message, list[i].emitted = o.Verdict, failureOf(o.Cause), o.Out, m, o.Emitted
		at := lastOf(batch, e.Session)
		list[at].subscriptions = append(list[at].subscriptions, o.Subscriptions...)
	}
	return list
}

func take[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// replayReport is what --json prints.
type replayReport struct {
	Messages  uint64 `json:"messages"`
	Different uint64 `json:"different"`
	// Resumed is what the recording says of messages that came back from a pause. Nothing
	// is compared with it: what they waited for is not in the recording.
	Resumed uint64 `json:"resumed,omitempty"`
	// Fields counts the messages that differ in each field; Causes those on which
	// the candidate failed, by cause.
	Fields map[string]uint64 `json:"fields"`
	Causes map[string]uint64 `json:"failed"`
	// Fuel is what a message cost on average: the candidate's, and the other
	// module's if there was one.
	Fuel        []float64           `json:"fuel"`
	CutOff      bool                `json:"cut_off"` // the recording has no end
	Differences []messageDifference `json:"differences"`
}

// messageDifference is one message of which the sides make different things.
type messageDifference struct {
	Line    int          `json:"line"`
	Hook    string       `json:"hook"`
	Session uint64       `json:"session,string"`
	Topic   string       `json:"topic,omitempty"`
	Fields  []difference `json:"fields"`
}

type difference struct {
	Field     string `json:"field"`
	Live      string `json:"live"`
	Candidate string `json:"candidate"`
}

// add compares what the sides made of a message. At most show differences are
// kept, 0 for all.
func (r *replayReport) add(e *recording.Entry, line int, live, candidate *made, show int) {
	r.Messages++
	if candidate.cause != "" {
		r.Causes[candidate.cause]++
	}
	list := compareMade(live, candidate)
	if len(list) == 0 {
		return
	}
	r.Different++
	seen := map[string]bool{}
	for _, d := range list {
		field, _, _ := strings.Cut(strings.NewReplacer(" ", ".", "[", ".").Replace(d.Field), ".")
		if !seen[field] {
			seen[field] = true
			r.Fields[field]++
		}
	}
	if show == 0 || len(r.Differences) < show {
		r.Differences = append(r.Differences, messageDifference{line, e.Hook, e.Session, string(e.Topic), list})
	}
}

// fuel adds what the sides have spent.
func (r *replayReport) fuel(sides []*side) {
	for _, s := range sides {
		r.Fuel = append(r.Fuel, float64(s.plugin.Stats().Fuel)/float64(max(r.Messages, 1)))
	}
}

// compareMade lists what differs.
func compareMade(live, candidate *made) (list []difference) {
	text := func(field, a, b string) {
		if a != b {
			list = append(list, difference{field, a, b})
		}
	}
	bytes := func(field string, a, b []byte) {
		for _, d := range cases.CompareBytes(field, a, b) {
			list = append(list, difference{d.Field, d.Want, d.Got})
		}
	}
	if live.verdict != candidate.verdict || live.cause != candidate.cause {
		return []difference{{"verdict", live.verdictText(), candidate.verdictText()}} // the rest follows from it
	}
	bytes("out", live.out, candidate.out)
	compareMessages("", &live.message, &candidate.message, text, bytes)
	compareBlocks("context", live.message.Context, candidate.message.Context, text)
	if len(live.emitted) != len(candidate.emitted) {
		text("emitted", count(live.emitted), count(candidate.emitted))
	}
	for i := range min(len(live.emitted), len(candidate.emitted)) {
		compareMessages(fmt.Sprintf("emitted %d ", i+1), &live.emitted[i], &candidate.emitted[i], text, bytes)
	}
	text("subscriptions", subscriptionsText(live.subscriptions), subscriptionsText(candidate.subscriptions))
	return list
}

func (m *made) verdictText() string {
	text := m.verdict
	if len(m.out) > 0 {
		text += " " + cases.Show(m.out)
	}
	if m.cause != "" {
		text += " (failed: " + m.cause + ")"
	}
	return text
}

// compareMessages compares what messages and emitted ones have in common.
func compareMessages(prefix string, live, candidate *recording.Message, text func(field, a, b string), bytes func(field string, a, b []byte)) {
	bytes(prefix+"topic", live.Topic, candidate.Topic)
	bytes(prefix+"payload", live.Payload, candidate.Payload)
	compareBlocks(prefix+"attributes", live.Attributes, candidate.Attributes, text)
	kind := func(t string) string {
		if t == "" {
			return abi.TypeEvent.String()
		}
		return t
	}
	text(prefix+"type", kind(live.Type), kind(candidate.Type))
	text(prefix+"priority", fmt.Sprint(live.Priority), fmt.Sprint(candidate.Priority))
	text(prefix+"qos", fmt.Sprint(live.QoS), fmt.Sprint(candidate.QoS))
	text(prefix+"seq", fmt.Sprint(live.Seq), fmt.Sprint(candidate.Seq))
	text(prefix+"retain", fmt.Sprint(live.Flags&abi.FlagRetain != 0), fmt.Sprint(candidate.Flags&abi.FlagRetain != 0))
}

// compareBlocks compares attributes by name; their order does not count.
func compareBlocks(field string, live, candidate recording.Attributes, text func(field, a, b string)) {
	a, b := valuesOf(live), valuesOf(candidate)
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		left, right := "nothing", "nothing"
		if v, ok := a[name]; ok {
			left = v
		}
		if v, ok := b[name]; ok {
			right = v
		}
		text(field+"."+name, left, right)
	}
}

// valuesOf are the values of a block by name, as they are shown; the first of a
// name counts.
func valuesOf(block recording.Attributes) map[string]string {
	values := map[string]string{}
	for name, value := range abi.Attributes(block).All() {
		if _, ok := values[string(name)]; !ok {
			values[string(name)] = cases.Show(value)
		}
	}
	return values
}

func count(messages []recording.Message) string {
	topics := make([]string, len(messages))
	for i := range messages {
		topics[i] = string(messages[i].Topic)
	}
	return fmt.Sprintf("%d %v", len(messages), topics)
}

func subscriptionsText(list []recording.Subscription) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = fmt.Sprintf("%s (qos %d)", s.Pattern, s.QoS)
		if s.Remove {
			texts[i] = "not " + string(s.Pattern)
		}
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// print writes the report for a person.
func (r *replayReport) print(w io.Writer) error {
	var b strings.Builder
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "line %d: %s of session %d", d.Line, d.Hook, d.Session)
		if d.Topic != "" {
			fmt.Fprintf(&b, ", %s", d.Topic)
		}
		b.WriteByte('\n')
		for _, f := range d.Fields {
			fmt.Fprintf(&b, "  %s\n    live       %s\n    candidate  %s\n", f.Field, f.Live, f.Candidate)
		}
	}
	if hidden := r.Different - uint64(len(r.Differences)); hidden > 0 {
		fmt.Fprintf(&b, "... and %d more (--show 0 prints all)\n", hidden)
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%d messages, %d the same, %d different", r.Messages, r.Messages-r.Different, r.Different)
	fmt.Fprintf(&b, "%s\n", countsText(": ", r.Fields))
	if len(r.Causes) > 0 {
		fmt.Fprintf(&b, "the candidate failed%s\n", countsText(": ", r.Causes))
	}
	names := []string{"candidate", "live"}
	for i, f := range r.Fuel {
		fmt.Fprintf(&b, "fuel a message, %s: %.0f\n", names[i], f)
	}
	if r.CutOff {
		b.WriteString("the recording was cut off\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func countsText(prefix string, counts map[string]uint64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	if len(parts) == 0 {
		return ""
	}
	return prefix + strings.Join(parts, ", ")
}
