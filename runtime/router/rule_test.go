package router_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/router"
)

var listeners = []string{"trucks", "lines"}

func to(texts ...string) []router.Target {
	var list []router.Target
	for _, text := range texts {
		list = append(list, router.Target{To: text})
	}
	return list
}

func compile(t testing.TB, rules ...router.Rule) *router.Table {
	t.Helper()
	table, err := router.Compile(rules, to("subscribers"), listeners)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// route says in one line where the table sends the message.
func route(table *router.Table, in *router.Input) string {
	var line []string
	for _, c := range table.Route(in, table.Candidates(in.Message.Topic, nil), nil) {
		for i := range c.To {
			line = append(line, fmt.Sprintf("%s>%s", c.Name, c.To[i].String()))
		}
	}
	return strings.Join(line, " ")
}

func TestRoute(t *testing.T) {
	qos := uint8(1)
	table := compile(t,
		router.Rule{Name: "audit", When: router.When{Topic: "alarm/#"}, To: to("topic:audit"), Continue: true},
		router.Rule{Name: "high", When: router.When{Topic: "alarm/#", Attributes: map[string]string{"level": "high", "site": "*"}}, To: to("subscribers", "queue:ops"), QoS: &qos},
		router.Rule{Name: "either", When: router.When{Attributes: map[string]string{"level": "high", "site": "*"}, Match: "any"}, To: to("node:{site}")},
		router.Rule{Name: "urgent", When: router.When{Priority: ">=4", Type: "request"}, To: to("all")},
		router.Rule{Name: "lines", When: router.When{Topic: "line/+", Listener: "lines"}, To: to("reply")},
	)
	for _, c := range []struct {
		topic string
		attrs []string
		m     abi.Message
		want  string
	}{
		{"x", nil, abi.Message{}, "default>subscribers"},
		{"alarm/7", nil, abi.Message{}, "audit>topic:audit"},
		{"alarm/7", []string{"level", "high", "site", "n"}, abi.Message{}, "audit>topic:audit high>subscribers high>queue:ops"},
		{"alarm/7", []string{"level", "high"}, abi.Message{}, "audit>topic:audit either>node:{site}"},
		{"alarm/7", []string{"level", "low"}, abi.Message{}, "audit>topic:audit"},
		{"x", []string{"site", "n"}, abi.Message{}, "either>node:{site}"},
		{"x", nil, abi.Message{Priority: 4, Type: abi.TypeRequest}, "urgent>all"},
		{"x", nil, abi.Message{Priority: 3, Type: abi.TypeRequest}, "default>subscribers"},
		{"x", nil, abi.Message{Priority: 7}, "default>subscribers"},
		{"line/a", nil, abi.Message{Listener: 1}, "lines>reply"},
		{"line/a", nil, abi.Message{Listener: 0}, "default>subscribers"},
		{"line/a/b", nil, abi.Message{Listener: 1}, "default>subscribers"},
	} {
		m := c.m
		m.Topic = []byte(c.topic)
		m.Context = values(c.attrs...).First
		if got := route(table, &router.Input{Message: &m}); got != c.want {
			t.Errorf("%s %v in the context: got %q, want %q", c.topic, c.attrs, got, c.want)
		}
		m.Attrs, m.Context = m.Context, nil
		if got := route(table, &router.Input{Message: &m}); got != c.want {
			t.Errorf("%s %v in the attributes: got %q, want %q", c.topic, c.attrs, got, c.want)
		}
		if len(c.attrs) == 0 {
			continue
		}
		// What a client says about itself does not outweigh what is known of it.
		m.Attrs, m.Context = abi.Attributes(nil).AppendString(c.attrs[0], "forged"), m.Attrs
		if got := route(table, &router.Input{Message: &m}); got != c.want {
			t.Errorf("%s %v against a forged attribute: got %q, want %q", c.topic, c.attrs, got, c.want)
		}
	}
	m := abi.Message{Topic: []byte("alarm/1"), Attrs: values("level", "high", "site", "n").First, QoS: 2}
	choices := table.Route(&router.Input{Message: &m}, table.Candidates(m.Topic, nil), nil)
	if len(choices) != 2 || choices[0].QoS != 2 || choices[1].QoS != 1 || choices[1].Rule != 1 {
		t.Errorf("got %+v", choices)
	}
}

func TestRoutePriorities(t *testing.T) {
	for text, want := range map[string]string{
		"3": "3", "=3": "3", "==3": "3", "!=3": "0124567", ">3": "4567", ">= 3": "34567", "<3": "012", "<=3": "0123", "": "01234567", "0": "0", "7": "7", "2-5": "2345", "0-7": "01234567", "3-3": "3",
	} {
		table := compile(t, router.Rule{Name: "r", When: router.When{Priority: text}, To: to("all")})
		got := ""
		for p := range uint8(8) {
			if strings.HasPrefix(route(table, &router.Input{Message: &abi.Message{Priority: p, Topic: []byte("x")}}), "r>") {
				got += fmt.Sprint(p)
			}
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// shares counts how often each destination is chosen.
func shares(table *router.Table, n int, next func(i int, in *router.Input)) map[string]int {
	count := map[string]int{}
	in := router.Input{Message: &abi.Message{Topic: []byte("work/1")}}
	for i := range n {
		next(i, &in)
		count[route(table, &in)]++
	}
	return count
}

func TestRouteWeights(t *testing.T) {
	rule := router.Rule{Name: "w", When: router.When{Topic: "work/#"}, To: []router.Target{{To: "queue:blue", Weight: 90}, {To: "queue:green", Weight: 10}}}
	byNonce := func(i int, in *router.Input) { in.Nonce = uint64(i) }
	bySeq := func(i int, in *router.Input) { in.Message.Seq = uint64(i) }
	for name, next := range map[string]func(int, *router.Input){"nonce": byNonce, "seq": bySeq} {
		count := shares(compile(t, rule), 20_000, next)
		if green := count["w>queue:green"]; math.Abs(float64(green)-2000) > 200 || green+count["w>queue:blue"] != 20_000 {
			t.Errorf("by %s: %v", name, count)
		}
	}
	rule.Hash = "{key}"
	table := compile(t, rule)
	byKey := func(i int, in *router.Input) {
		in.Nonce = uint64(i)
		in.Message.Attrs = values("key", fmt.Sprint("truck-", i%10_000)).First
	}
	count := shares(table, 20_000, byKey)
	if green := count["w>queue:green"]; math.Abs(float64(green)-2000) > 200 || green%2 != 0 {
		t.Errorf("by key: %v", count)
	}
}

// TestRouteConsistentHash takes one of five destinations away: nothing else moves.
func TestRouteConsistentHash(t *testing.T) {
	names := []string{"node:a", "node:b", "node:c", "node:d", "node:e"}
	five := compile(t, router.Rule{Name: "h", To: to(names...), Hash: "{key}"})
	four := compile(t, router.Rule{Name: "h", To: to(names[4], names[1], names[0], names[3]), Hash: "{key}"})
	per := map[string]int{}
	for i := range 5000 {
		m := abi.Message{Topic: []byte("x"), Attrs: values("key", fmt.Sprint(i)).First}
		in := router.Input{Message: &m}
		before, after := route(five, &in), route(four, &in)
		per[before]++
		if before != after && before != "h>node:c" {
			t.Fatalf("key %d moved from %s to %s", i, before, after)
		}
	}
	for name, n := range per {
		if math.Abs(float64(n)-1000) > 150 {
			t.Errorf("%s: %d of 5000", name, n)
		}
	}
	in := router.Input{Message: &abi.Message{Topic: []byte("x")}}
	if got := route(five, &in); !strings.HasPrefix(got, "h>node:") || strings.Contains(got, " ") {
		t.Errorf("without the key: %q", got)
	}
}

func TestCompileRefuses(t *testing.T) {
	tooHigh := uint8(3)
	for _, c := range []struct {
		rule   router.Rule
		remedy string
	}{
		{router.Rule{Name: "x"}, `routes[0] (x): to: no destination`},
		{router.Rule{To: to("elsewhere")}, `routes[0]: to[0]: unknown destination`},
		{router.Rule{To: to("topic:a/#")}, "wildcards belong in patterns"},
		{router.Rule{To: to("node:{a b}")}, "expected a name"},
		{router.Rule{To: to("all"), When: router.When{Topic: "a/#/b"}}, "when.topic"},
		{router.Rule{To: to("all"), When: router.When{Match: "some"}}, "expected all or any"},
		{router.Rule{To: to("all"), When: router.When{Priority: "=>4"}}, "with one of >= >"},
		{router.Rule{To: to("all"), When: router.When{Priority: "high"}}, "expected a number from 0 to 7"},
		{router.Rule{To: to("all"), When: router.When{Priority: "8"}}, "expected a number from 0 to 7"},
		{router.Rule{To: to("all"), When: router.When{Priority: ">7"}}, "no priority is >7"},
		{router.Rule{To: to("all"), When: router.When{Priority: "5-2"}}, "a range such as 2-5"},
		{router.Rule{To: to("all"), When: router.When{Priority: "2-8"}}, "expected a number from 0 to 7"},
		{router.Rule{To: to("all"), When: router.When{Type: "heartbeat"}}, "expected event, request"},
		{router.Rule{To: to("all"), When: router.When{Listener: "ships"}}, "expected one of trucks, lines"},
		{router.Rule{To: to("all"), QoS: &tooHigh}, "expected 0, 1 or 2"},
		{router.Rule{To: to("all"), Hash: "{"}, "hash: "},
		{router.Rule{To: []router.Target{{"all", 1}, {"reply", 0}}}, "1 of 2 destinations have a weight"},
	} {
		_, err := router.Compile([]router.Rule{c.rule}, to("subscribers"), listeners)
		if !errors.Is(err, router.ErrRule) || !strings.Contains(err.Error(), c.remedy) {
			t.Errorf("%+v: got %v, want %q in it", c.rule, err, c.remedy)
		}
	}
	_, err := router.Compile([]router.Rule{{}, {To: to("x")}}, nil, nil)
	for _, place := range []string{"routes[0]: to", "routes[1]: to[0]", "default_route: to"} {
		if err == nil || !strings.Contains(err.Error(), place) {
			t.Errorf("got %v, want %q in it", err, place)
		}
	}
}

// twentyRules is a table as large operators have it.
func twentyRules(t testing.TB) *router.Table {
	var rules []router.Rule
	for i := range 10 {
		rules = append(rules,
			router.Rule{Name: fmt.Sprint("topic", i), When: router.When{Topic: fmt.Sprintf("line/%d/#", i)}, To: to("queue:q")},
			router.Rule{Name: fmt.Sprint("attr", i), When: router.When{Attributes: map[string]string{"level": fmt.Sprint(i)}}, To: to("queue:q")})
	}
	return compile(t, rules...)
}

func TestRouteDoesNotAllocate(t *testing.T) {
	table := compile(t,
		router.Rule{Name: "h", When: router.When{Topic: "truck/#", Attributes: map[string]string{"level": "high"}}, To: to("node:a", "node:b"), Hash: "{identity}", Continue: true},
		router.Rule{Name: "w", When: router.When{Topic: "+/7/#"}, To: []router.Target{{"all", 3}, {"reply", 1}}})
	m := abi.Message{Topic: []byte("truck/7/telemetry"), Attrs: values("level", "high", "identity", "7").First}
	in := router.Input{Message: &m}
	choices, rules := make([]router.Choice, 0, 8), make(router.Candidates, 0, 8)
	run := func() {
		in.Nonce++
		rules = table.Candidates(m.Topic, rules[:0])
		choices = table.Route(&in, rules, choices[:0])
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 || len(choices) != 2 {
		t.Errorf("%v allocations, %d choices", n, len(choices))
	}
}

func BenchmarkRoute(b *testing.B) {
	table := twentyRules(b)
	m := abi.Message{Topic: []byte("truck/7/telemetry"), Attrs: values("identity", "truck-7", "level", "high").First}
	in := router.Input{Message: &m}
	rules := table.Candidates(m.Topic, nil)
	choices := make([]router.Choice, 0, 8)
	b.ReportAllocs()
	for b.Loop() {
		choices = table.Route(&in, rules, choices[:0])
	}
}

func BenchmarkRouteTopicsOnly(b *testing.B) {
	var rules []router.Rule
	for i := range 20 {
		rules = append(rules, router.Rule{When: router.When{Topic: fmt.Sprintf("line/%d/#", i)}, To: to("queue:q")})
	}
	table := compile(b, rules...)
	m := abi.Message{Topic: []byte("truck/7/telemetry")}
	in := router.Input{Message: &m}
	candidates := table.Candidates(m.Topic, nil)
	choices := make([]router.Choice, 0, 8)
	b.ReportAllocs()
	for b.Loop() {
		choices = table.Route(&in, candidates, choices[:0])
	}
}
