package std_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

// routed says in one line for each message what became of it.
func routed(b *plugins.Batch) string {
	var lines []string
	for i, m := range b.Messages {
		o := b.Outcomes[i]
		line := fmt.Sprintf("%s %s", o.Verdict, m.Topic)
		if len(o.Out) > 0 {
			line += " " + strings.ReplaceAll(string(o.Out), "\n", "|")
		}
		if o.Emitted {
			line += " emitted"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func TestRules(t *testing.T) {
	rule := func(rules string) string { return `{"rules":[` + rules + `],"defaults":{"d":"{e}","f":"fixed"}}` }
	for _, c := range []struct {
		name, rules string
		attributes  abi.Attributes
		context     abi.Attributes
		want        string
	}{
		{"topic", `{"topic":"truck/{id}/telemetry"}`, attrs("id", "7"), nil, "continue truck/7/telemetry"},
		{"context before attributes", `{"topic":"t/{id}"}`, attrs("id", "8"), attrs("id", "7"), "continue t/7"},
		{"several values", `{"topic":"{a}-{b}/{listener}/{a}"}`, attrs("a", "x", "b", "y"), nil, "continue x-y/lines/x"},
		{"old topic", `{"topic":"copy/{topic}"}`, nil, nil, "continue copy/raw/in"},
		{"braces", `{"topic":"a/{{b}}"}`, nil, nil, "continue a/{b}"},
		{"levels", `{"topic":"a/{x...}"}`, attrs("x", "b/c"), nil, "continue a/b/c"},
		{"no rule", ``, nil, nil, "continue raw/in"},
		{"first rule ends", `{"topic":"a"},{"topic":"b"}`, nil, nil, "continue a"},
		{"continue", `{"topic":"a","continue":true},{"topic":"b/{topic}"}`, nil, nil, "continue b/a"},
		{"when", `{"when":{"x":"1"},"topic":"a"},{"topic":"b"}`, attrs("x", "1"), nil, "continue a"},
		{"when another", `{"when":{"x":"1"},"topic":"a"},{"topic":"b"}`, attrs("x", "2"), nil, "continue b"},
		{"when a number", `{"when":{"x":1},"topic":"a"},{"topic":"b"}`, attrs("x", "1"), nil, "continue a"},
		{"when any", `{"when":{"x":"*"},"topic":"a"},{"topic":"b"}`, attrs("x", "2"), nil, "continue a"},
		{"when none", `{"when":{"x":"*"},"topic":"a"},{"topic":"b"}`, nil, nil, "continue b"},
		{"when listener and topic", `{"when":{"listener":"lines","topic":"raw/in"},"topic":"a"}`, nil, nil, "continue a"},
		{"priority", `{"priority":">=4","topic":"a"},{"priority":"<4","topic":"b"}`, nil, nil, "continue b"},
		{"type", `{"type":"request","topic":"a"},{"topic":"b"}`, nil, nil, "continue a"},
		{"emit", `{"emit":"alarm/{id}"},{"topic":"t/{id}"}`, attrs("id", "7"), nil, "continue t/7; continue alarm/7 emitted"},
		{"emit and end", `{"emit":"alarm","continue":false},{"topic":"t"}`, nil, nil, "continue raw/in; continue alarm emitted"},
		{"route", `{"route":["topic:t/{id}","node:{id}","queue:work","reply"]}`, attrs("id", "7"), nil, "route raw/in topic:t/7|node:7|queue:work|reply"},
		{"drop", `{"drop":"not wanted"}`, nil, nil, "drop raw/in not wanted"},

		{"missing value", `{"topic":"t/{id}"}`, nil, nil, "drop raw/in topic: bad value of id"},
		{"empty value", `{"topic":"t/{id}"}`, attrs("id", ""), nil, "drop raw/in topic: bad value of id"},
		{"value with levels", `{"topic":"t/{id}"}`, attrs("id", "a/b"), nil, "drop raw/in topic: bad value of id"},
		{"wildcard", `{"topic":"t/{id}"}`, attrs("id", "+"), nil, "drop raw/in topic: bad value of id"},
		{"wildcard", `{"topic":"t/{id}"}`, attrs("id", "a#"), nil, "drop raw/in topic: bad value of id"},
		{"wildcard", `{"topic":"t/{id...}"}`, attrs("id", "a/*"), nil, "drop raw/in topic: bad value of id"},
		{"zero byte", `{"topic":"t/{id}"}`, attrs("id", "a\x00"), nil, "drop raw/in topic: bad value of id"},
		{"not UTF-8", `{"topic":"t/{id}"}`, attrs("id", "a\xff"), nil, "drop raw/in topic: bad value of id"},
		{"UTF-8", `{"topic":"t/{id}"}`, attrs("id", "größe"), nil, "continue t/größe"},
		{"long value", `{"topic":"t/{id}"}`, attrs("id", strings.Repeat("x", 1025)), nil, "drop raw/in topic: bad value of id"},
		{"dollar in front", `{"topic":"{id}/t"}`, attrs("id", "$sys"), nil, "drop raw/in topic: bad value of id"},
		{"a further destination", `{"route":["node:{id}"]}`, attrs("id", "a\nall"), nil, "drop raw/in topic: bad value of id"},
		{"bad emit", `{"emit":"t/{id}"},{"topic":"t"}`, nil, nil, "drop raw/in topic: bad value of id"},
		{"default", `{"topic":"t/{d}"}`, attrs("e", "x"), nil, "continue t/x"},
		{"default for a bad value", `{"topic":"t/{d}"}`, attrs("d", "a/b", "e", "x"), nil, "continue t/x"},
		{"default text", `{"topic":"t/{f}"}`, nil, nil, "continue t/fixed"},
		{"default that is missing", `{"topic":"t/{d}"}`, nil, nil, "drop raw/in topic: bad value of e"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, use{name: "topic-router", config: rule(c.rules)})
			b := s.run(abi.Message{
				Session: 1, Listener: 1, Type: abi.TypeRequest, Priority: 3, Topic: []byte("raw/in"),
				Attrs: c.attributes, Context: c.context, Payload: []byte("p"),
			})
			if got := routed(b); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestEmittedCopy(t *testing.T) {
	s := newStage(t, use{name: "topic-router", config: `{"rules":[{"emit":"copy"}]}`})
	var many abi.Attributes
	for i := range 100 {
		many = many.AppendString(fmt.Sprintf("name-%d", i), "value")
	}
	large := bytes.Repeat([]byte("x"), 100_000)
	b := s.run(
		abi.Message{Session: 1, Seq: 9, Priority: 6, QoS: 1, Topic: []byte("a"), Attrs: attrs("k", "v"), Payload: []byte("p")},
		abi.Message{Session: 2, Topic: []byte("a"), Attrs: many, Payload: large},
	)
	if len(b.Messages) != 4 {
		t.Fatalf("%d messages", len(b.Messages))
	}
	m := b.Messages[1]
	if string(m.Payload) != "p" || m.Priority != 6 || m.QoS != 1 || m.Session != 1 || pairsOf(m.Attrs)["k"] != "v" {
		t.Errorf("%+v", m)
	}
	if m = b.Messages[3]; !bytes.Equal(m.Payload, large) || !bytes.Equal(m.Attrs, many) {
		t.Errorf("a copy with %d bytes and %d attributes", len(m.Payload), len(pairsOf(m.Attrs)))
	}
}

// TestRunsOfMessages has sessions, attributes, priorities and topics that are
// alike and that are not follow each other, in one call and in several: what is
// answered for a run must not be answered for what comes behind it.
func TestRunsOfMessages(t *testing.T) {
	s := newStage(t, use{name: "topic-router", config: `{"rules":[
		{"when":{"alarm":"high"},"emit":"alarm/{id}"},
		{"when":{"quiet":"*"},"drop":"quiet"},
		{"priority":7,"topic":"urgent/{id}"},
		{"when":{"keep":"*"},"priority":0,"type":"event","topic":"{topic}/kept"},
		{"when":{"id":"*"},"topic":"t/{id}"}]}`})
	contexts := []abi.Attributes{attrs("id", "1"), attrs("id", "2"), attrs("other", "x"), nil}
	attributes := []abi.Attributes{nil, attrs("id", "9"), attrs("alarm", "high", "id", "3"), attrs("quiet", "1"), attrs("keep", "1"),
		attrs("temperature", "4"), attrs("temperature", "5")}
	topics := [][]byte{[]byte("a"), []byte("b")}
	var messages []abi.Message
	var want []string
	for i := range 2000 {
		n := i / (1 + i%3) * 7919 % 104729
		m := abi.Message{
			Session: uint64(i%5 + 1), Context: contexts[n%4], Attrs: attributes[n/4%7], Topic: topics[n/28%2],
			Priority: uint8(n / 56 % 2 * 7), Type: abi.Type(n / 112 % 2),
		}
		messages = append(messages, m)
		alone := routed(s.run(m))
		want = append(want, alone)
	}
	for _, size := range []int{1, 2, 3, 64, 512, 2000} {
		for at := 0; at < len(messages); at += size {
			end := min(at+size, len(messages))
			if got := routed(s.run(messages[at:end]...)); got != strings.Join(want[at:end], "; ") {
				t.Fatalf("messages %d to %d:\ngot  %s\nwant %s", at, end, got, strings.Join(want[at:end], "; "))
			}
		}
	}
}

func TestRouterConfigErrors(t *testing.T) {
	rule := func(r string) string { return `{"rules":[{"topic":"a"},` + r + `]}` }
	many := strings.Repeat("{a}", 17)
	refused(t, "topic-router", map[string]string{
		`{}`:                                    "rules: expected an array of rules, found nothing",
		`{"rules":{}}`:                          "rules: expected an array of rules",
		`{"rule":[]}`:                           `rule: unknown key, did you mean "rules"`,
		rule(`{}`):                              "rules[1]: expected one of topic, emit, route and drop, found none",
		rule(`{"topic":"a","drop":"b"}`):        "rules[1]: expected one of topic, emit, route and drop, found topic and drop",
		rule(`{"topik":"a"}`):                   `rules[1].topik: unknown key, did you mean "topic"`,
		rule(`{"topic":""}`):                    "rules[1].topic: expected a text",
		rule(`{"topic":7}`):                     "rules[1].topic: expected a string, found 7",
		rule(`{"topic":"a/#"}`):                 "rules[1].topic: a wildcard",
		rule(`{"topic":"a/{b"}`):                "rules[1].topic: a lone {",
		rule(`{"topic":"a/{}"}`):                "rules[1].topic: {} is no placeholder",
		rule(`{"topic":"a\u0000"}`):             "rules[1].topic: a control character",
		rule(`{"topic":"` + many + `"}`):        "rules[1].topic: 17 placeholders, at most 16",
		rule(`{"route":[]}`):                    "rules[1].route: expected an array of destinations",
		rule(`{"route":["everyone"]}`):          `rules[1].route[0]: unknown destination "everyone"`,
		rule(`{"route":["topic"]}`):             "rules[1].route[0]: a name is missing",
		rule(`{"route":["nodes:a"]}`):           `rules[1].route[0]: unknown kind of destination "nodes", did you mean "node"`,
		rule(`{"drop":"a","continue":true}`):    "rules[1].continue: is true, but nothing can follow",
		rule(`{"topic":"a","priority":8}`):      "rules[1].priority: expected a number from 0 to 7",
		rule(`{"topic":"a","type":"call"}`):     "rules[1].type: unknown value",
		rule(`{"topic":"a","when":{"x":null}}`): "rules[1].when.x: expected a string, a number",
		`{"rules":[],"defaults":{"a":"+"}}`:     "defaults.a: a wildcard",
		`{"rules":[],"defaults":["a"]}`:         "defaults: expected an object",
	})
}
