package std_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/std"
)

// filter passes payloads through a json-filter, each as a message of its own.
func filter(t *testing.T, config string, payloads ...string) *plugins.Batch {
	t.Helper()
	var messages []abi.Message
	for _, p := range payloads {
		messages = append(messages, abi.Message{Session: 1, Topic: []byte("raw"), Payload: []byte(p)})
	}
	return newStage(t, use{name: "json-filter", config: config}).run(messages...)
}

// filterCase is one payload and what becomes of it; an empty want is the payload
// itself, unchanged.
type filterCase struct {
	payload, want string
	attributes    map[string]string
}

func testFilter(t *testing.T, config string, cases []filterCase) {
	t.Helper()
	var payloads []string
	for _, c := range cases {
		payloads = append(payloads, c.payload)
	}
	b := filter(t, config, payloads...)
	for i, c := range cases {
		m, o := b.Messages[i], b.Outcomes[i]
		want := c.want
		if want == "" {
			want = c.payload
			if o.Changes&abi.ChangedPayload != 0 {
				t.Errorf("%s: was written anew", c.payload)
			}
		}
		if o.Verdict != abi.VerdictContinue || string(m.Payload) != want {
			t.Errorf("%s\n got %s (%v)\nwant %s", c.payload, m.Payload, o.Verdict, want)
		}
		if got := pairsOf(m.Attrs); !maps.Equal(got, c.attributes) {
			t.Errorf("%s: attributes %v, want %v", c.payload, got, c.attributes)
		}
	}
}

func TestFilterRenames(t *testing.T) {
	testFilter(t, `{"rename": {"temp": "temperature", "t": "temperature", "identification": "id", "a": "b", "b": "c", "q": "say \"hi\""}}`, []filterCase{
		{payload: `{"temp":4}`, want: `{"temperature":4}`},
		{payload: " {\t\"temp\" :\r\n4 } ", want: " {\t\"temperature\" :\r\n4 } "},
		{payload: `{"x":1,"identification":"7","y":[1]}`, want: `{"x":1,"id":"7","y":[1]}`},
		{payload: `{"x":{"temp":4},"y":[{"t":4}]}`},
		{payload: `{"tem":1,"temps":2,"":3,"temperature":4}`},
		{payload: `{"te\u006dp":4,"x\"":"}"}`, want: `{"temperature":4,"x\"":"}"}`},
		// What is renamed onto a key that is there goes.
		{payload: `{"temp":1,"temperature":2}`, want: `{"temperature":2}`},
		{payload: `{"temperature":2,"temp":1}`, want: `{"temperature":2}`},
		{payload: `{"temp":1,"x":0,"t":2,"y":0}`, want: `{"x":0,"temperature":2,"y":0}`},
		{payload: `{"temp":1,"t":2,"temperature":3,"t":4,"z":5}`, want: `{"temperature":3,"z":5}`},
		// All at once, not one after the other.
		{payload: `{"a":1,"b":2}`, want: `{"b":1,"c":2}`},
		{payload: `{"q":1}`, want: `{"say \"hi\"":1}`},
		{payload: `{}`},
		{payload: `{ }`},
	})
}

func TestFilterRemovesAndKeeps(t *testing.T) {
	testFilter(t, `{"remove": ["a", "b"], "rename": {"c": "b"}}`, []filterCase{
		{payload: `{"a":1}`, want: `{}`},
		{payload: `{ "a" : 1 , "b" : 2 }`, want: `{}`},
		{payload: `{"a":1,"x":2}`, want: `{"x":2}`},
		{payload: `{"x":2,"a":1}`, want: `{"x":2}`},
		{payload: `{"x":1,"a":1,"y":2,"b":{},"z":3}`, want: `{"x":1,"y":2,"z":3}`},
		{payload: `{"a":1,"x":1,"b":1,"a":1}`, want: `{"x":1}`},
		{payload: `{"c":1,"x":1}`, want: `{"x":1}`},
		{payload: `{"x":{"a":1}}`},
	})
	testFilter(t, `{"keep": ["a", "b"], "rename": {"c": "b"}, "attributes": {"secret": "s"}}`, []filterCase{
		{payload: `{"a":1}`},
		{payload: `{"x":1}`, want: `{}`},
		{payload: `{"x":1,"a":2,"y":3,"c":4,"z":5}`, want: `{"a":2,"b":4}`},
		{payload: `{"x":1,"y":2,"a":3}`, want: `{"a":3}`},
		// What goes can still be an attribute.
		{payload: `{"a":1,"s":"k"}`, want: `{"a":1}`, attributes: map[string]string{"secret": "k"}},
	})
}

func TestFilterAttributes(t *testing.T) {
	config := `{"rename": {"temp": "temperature"}, "attributes": {"truck": "id", "celsius": "temperature", "größe": "käse"}}`
	set := func(pairs ...string) map[string]string { return pairsOf(attrs(pairs...)) }
	testFilter(t, config, []filterCase{
		{payload: `{"id":"7","temp":-1.5e3}`, want: `{"id":"7","temperature":-1.5e3}`, attributes: set("truck", "7", "celsius", "-1.5e3")},
		{payload: `{"id":true,"temperature":false}`, attributes: set("truck", "true", "celsius", "false")},
		{payload: `{"id":null,"temperature":[1]}`},
		{payload: `{"id":{"id":1}}`},
		{payload: `{"id":""}`, attributes: set("truck", "")},
		{payload: `{"id":"a\"\\\/\n\u00e4\ud83d\ude00\ud800"}`, attributes: set("truck", "a\"\\/\nä😀\ufffd")},
		{payload: `{"käse":"ß"}`, attributes: set("größe", "ß")},
		{payload: `{"k\u00e4se":1}`, attributes: set("größe", "1")},
		// The last of several counts, and the key's own goes before a renamed one.
		{payload: `{"id":1,"id":2}`, attributes: set("truck", "2")},
		{payload: `{"temperature":1,"temp":2}`, want: `{"temperature":1}`, attributes: set("celsius", "1")},
		{payload: `{"temp":1,"temp":2}`, want: `{"temperature":2}`, attributes: set("celsius", "2")},
		{payload: `{"id":"` + strings.Repeat("x", 4096) + `"}`, attributes: set("truck", strings.Repeat("x", 4096))},
		{payload: `{"id":"` + strings.Repeat("x", 4097) + `"}`},
	})
	// Attributes that are there stay, but for those that are set.
	s := newStage(t, use{name: "json-filter", config: config})
	b := s.run(abi.Message{Session: 1, Payload: []byte(`{"id":8}`), Attrs: attrs("node_id", "3", "truck", "7")})
	if got := pairsOf(b.Messages[0].Attrs); !maps.Equal(got, set("node_id", "3", "truck", "8")) {
		t.Errorf("attributes %v", got)
	}
	// A block that is nearly full is no fault.
	full := attrs("a", strings.Repeat("x", 61<<10))
	b = s.run(abi.Message{Session: 1, Payload: []byte(`{"id":"` + strings.Repeat("x", 4000) + `"}`), Attrs: full})
	if !bytes.Equal(b.Messages[0].Attrs, full) {
		t.Errorf("attributes of %d bytes became %d", len(full), len(b.Messages[0].Attrs))
	}
}

func TestFilterRules(t *testing.T) {
	for rule, holds := range map[string]map[string]bool{
		`"above": 8`: {
			`8.0001`: true, `8`: false, `-9`: false, `1e1`: true, `0.9E+1`: true, `100000000000000000000`: true, `"9.5"`: true, `"9.5x"`: false,
			`""`: false, `" 9"`: false, `true`: false, `null`: false, `[9]`: false, `{}`: false, `8.000000000000000001`: false, `8.00000000000001`: true,
		},
		`"below": -0.5`:             {`-0.6`: true, `-0.5`: false, `0`: false, `-1e300`: true, `"-1"`: true},
		`"above": 2, "below": 8`:    {`5`: true, `2`: false, `8`: false, `9`: false},
		`"equals": 8`:               {`8`: true, `8.0`: true, `80e-1`: true, `"8"`: false, `9`: false},
		`"equals": "open"`:          {`"open"`: true, `"o\u0070en"`: true, `"Open"`: false, `1`: false},
		`"equals": true`:            {`true`: true, `false`: false, `"true"`: false},
		`"equals": null`:            {`null`: true, `0`: false},
		`"present": true`:           {`null`: true, `{"a":1}`: true},
		`"present": false`:          {`1`: false},
		`"equals": 8, "above": 7.5`: {`8`: true, `9`: false},
	} {
		config := `{"rename": {"v": "value"}, "rules": [{"field": "value", ` + rule + `, "set": {"alarm": "high", "level": 3, "on": true}}]}`
		var payloads []string
		var want []bool
		for value, hold := range holds {
			payloads = append(payloads, `{"x":[],"value":`+value+`}`, `{"v":`+value+`,"w":0}`)
			want = append(want, hold, hold)
		}
		payloads, want = append(payloads, `{"x":1}`), append(want, rule == `"present": false`)
		b := filter(t, config, payloads...)
		for i, m := range b.Messages {
			expected := map[string]string{}
			if want[i] {
				expected = map[string]string{"alarm": "high", "level": "3", "on": "true"}
			}
			if got := pairsOf(m.Attrs); !maps.Equal(got, expected) {
				t.Errorf("%s: %s: attributes %v", rule, payloads[i], got)
			}
		}
	}
	// Rules are asked in order; the last one that holds sets the value.
	b := filter(t, `{"rules": [{"field":"t","above":8,"set":{"alarm":"high"}},{"field":"t","above":20,"set":{"alarm":"very high"}}]}`, `{"t":9}`, `{"t":21}`)
	for i, want := range []string{"high", "very high"} {
		if got := pairsOf(b.Messages[i].Attrs)["alarm"]; got != want {
			t.Errorf("alarm %q, want %q", got, want)
		}
	}
}

var notObjects = []string{
	``, ` `, `[]`, `"x"`, `1`, `null`, `{`, `{]`, `{"a"}`, `{"a":}`, `{"a":1`, `{"a":1,}`, `{,}`, `{"a":1}}`, `{"a":1} x`, `{a:1}`, `{'a':1}`,
	`{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":-}`, `{"a":1e}`, `{"a":1e+}`, `{"a":tru}`, `{"a":nul}`, `{"a":falsy}`, `{"a":True}`,
	"{\"a\":\"\n\"}", "{\"a\x01\":1}", `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\u123`, `{"a":"`, `{"a":"\`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":[1}`,
	`{"a":{"b"}}`, `{"a":{"b":1,}}`, `{"a":[}`, `{"a":1 "b":2}`, "\xef\xbb\xbf{}", `{"a":NaN}`, "\x00\x01", `{"temp":4}{"temp":5}`,
}

func TestFilterInvalid(t *testing.T) {
	const changes = `"rename": {"temp": "temperature"}, "attributes": {"a": "a"}`
	kept := filter(t, `{`+changes+`}`, notObjects...)
	dropped := filter(t, `{`+changes+`, "invalid": "drop"}`, notObjects...)
	for i, payload := range notObjects {
		if o := kept.Outcomes[i]; o.Verdict != abi.VerdictContinue || o.Changes != 0 || string(kept.Messages[i].Payload) != payload {
			t.Errorf("continue: %q became %v %q", payload, o.Verdict, kept.Messages[i].Payload)
		}
		if o := dropped.Outcomes[i]; o.Verdict != abi.VerdictDrop || string(o.Out) != "json: invalid" {
			t.Errorf("drop: %q: %v %q", payload, o.Verdict, o.Out)
		}
	}
}

// TestFilterLarge: payloads of many members, many levels and several megabytes.
func TestFilterLarge(t *testing.T) {
	long := `"` + strings.Repeat("x", 3<<20) + `"`
	var many strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&many, `,"k%d":%d,"gone":1`, i, i)
	}
	deep := strings.Repeat(`[`, 512) + strings.Repeat(`]`, 512)
	testFilter(t, `{"rename": {"temp": "temperature"}, "remove": ["gone"]}`, []filterCase{
		{payload: `{"temp":` + long + `}`, want: `{"temperature":` + long + `}`},
		{payload: `{"temp":1` + many.String() + `}`, want: `{"temperature":1` + strings.ReplaceAll(many.String(), `,"gone":1`, "") + `}`},
		{payload: `{"temp":` + deep + `}`, want: `{"temperature":` + deep + `}`},
		{payload: `{"temp":[` + deep + `]}`}, // deeper than is looked at: invalid, and invalid continues
		{payload: `{"temp":1}`, want: `{"temperature":1}`},
	})
}

// TestFilterMemoryStays: a million messages in 2 MiB of memory.
func TestFilterMemoryStays(t *testing.T) {
	if testing.Short() {
		t.Skip("a million messages")
	}
	env := newEnv(t)
	wasm, err := std.Open("json-filter")
	if err != nil {
		t.Fatal(err)
	}
	p, err := env.Load(t.Context(), plugins.Spec{Name: "filter", Wasm: wasm, Config: json.RawMessage(normaliseConfig), Memory: 2 << 20, CPU: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := plugins.NewChain(t.Context(), []string{"trucks"}, p)
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close(t.Context())
	var b plugins.Batch
	payloads := []string{
		reading, `{"t\u0065mp":123456789012345678901,"id":"\u00e4"}`, `{"temp":1e300}`, `{"t":"9.5","temp":9}`, `{"temp":`,
	}
	const rounds, batch = 400, 500
	for _, payload := range payloads {
		for range rounds {
			b.Reset()
			for range batch {
				b.Messages = append(b.Messages, abi.Message{Session: 1, Payload: []byte(payload)})
			}
			chain.Messages(&b)
		}
		if s := p.Stats(); s.Traps+s.Faults+s.Policy > 0 {
			t.Fatalf("%s: %+v", payload, s)
		}
	}
}

func TestFilterConfiguration(t *testing.T) {
	env := newEnv(t)
	for config, want := range map[string]string{
		`[]`:                          `the configuration: expected an object, found []`,
		`{"renam": {}}`:               `renam: unknown key, did you mean "rename"? Expected one of rename, attributes, keep, remove, rules, invalid`,
		`{"transform": {}}`:           `transform: unknown key; expected one of rename, attributes, keep, remove, rules, invalid`,
		`{"rename": ["a"]}`:           `rename: expected an object {"from": "to"}, found ["a"]`,
		`{"rename": {"a": 1}}`:        `rename.a: expected a string, found 1`,
		`{"rename": {"a": "a"}}`:      `rename.a: is renamed to itself`,
		`{"attributes": "x"}`:         `attributes: expected an object {"attribute": "key"}, found "x"`,
		`{"attributes": {"a": []}}`:   `attributes.a: expected a string, found []`,
		`{"attributes": {"": "a"}}`:   `attributes.: expected a name of 1 to 255 bytes`,
		`{"keep": [], "remove": []}`:  `remove: is set beside keep; expected one of the two`,
		`{"keep": "a"}`:               `keep: expected an array of keys, found "a"`,
		`{"remove": ["a", 5]}`:        `remove[1]: expected a string, found 5`,
		`{"rules": {}}`:               `rules: expected an array of rules, found {}`,
		`{"rules": [5]}`:              `rules[0]: expected an object, found 5`,
		`{"rules": [{"feild": "a"}]}`: `rules[0].feild: unknown key, did you mean "field"? Expected one of field, above, below, equals, present, set`,
		`{"rules": [{"above": 1}]}`:   `rules[0].field: expected the name of a key, found nothing`,
		`{"rules": [{"field": "a", "above": "8", "set": {"x": "y"}}]}`:                             `rules[0].above: expected a number, found "8"`,
		`{"rules": [{"field": "a", "set": {"x": "y"}}]}`:                                           `rules[0]: expected at least one of above, below, equals and present`,
		`{"rules": [{"field": "a", "present": 1, "set": {"x": "y"}}]}`:                             `rules[0].present: expected true or false, found 1`,
		`{"rules": [{"field": "a", "present": false, "above": 1, "set": {"x": "y"}}]}`:             `rules[0].present: is false beside a condition on the value`,
		`{"rules": [{"field": "a", "equals": [1], "set": {"x": "y"}}]}`:                            `rules[0].equals: expected a string, a number, true, false or null, found [1]`,
		`{"rules": [{"field": "a", "above": 1}]}`:                                                  `rules[0].set: expected an object {"attribute": value}, found nothing`,
		`{"rules": [{"field": "a", "above": 1, "set": {}}]}`:                                       `rules[0].set: expected at least one attribute, found {}`,
		`{"rules": [{"field": "a", "above": 1, "set": {"x": null}}]}`:                              `rules[0].set.x: expected a string, a number, true or false, found null`,
		`{"rename": {"t": "temperature"}, "rules": [{"field": "t", "above": 1, "set": {"x": 1}}]}`: `rules[0].field: the key "t" is renamed; expected its new name`,
		`{"rename": {"t": "temperature"}, "attributes": {"x": "t"}}`:                               `attributes.x: the key "t" is renamed; expected its new name`,
		`{"invalid": "ignore"}`: `invalid: expected "continue" or "drop", found "ignore"`,
		`{"invalid": 1}`:        `invalid: expected "continue" or "drop", found 1`,
	} {
		checkRefused(t, env, use{name: "json-filter", config: config}, want)
	}
}

// checkRefused checks that a configuration is refused with a text.
func checkRefused(t *testing.T, env *plugins.Env, u use, want string) {
	t.Helper()
	_, err := load(t, env, u)
	if err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
		t.Errorf("%s\n got %v\nwant %s", u.config, err, want)
	}
}
