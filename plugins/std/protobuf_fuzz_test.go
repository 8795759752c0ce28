package std_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/weftrun/weft/abi"
)

// goLenient is what Go reads as a time and RFC 3339 does not allow: hours of one
// digit, a comma before the fraction, offsets beyond a day; and numbers with an
// exponent without digits, which is no JSON.
var goLenient = regexp.MustCompile(`\d[eE][+-]?([^0-9+-]|$)|T\d:|:\d\d,\d|[+-](2[4-9]|[3-9]\d):\d\d"|[+-]\d\d:[6-9]\d"`)

// checkToProtobuf converts JSON and holds the answer against Go's.
func checkToProtobuf(t *testing.T, s *stage, options protojson.UnmarshalOptions, text []byte) {
	t.Helper()
	s.tb = t
	want := newMessage("t.All")
	err := options.Unmarshal(text, want)
	wire, reason := converted(s, text)
	if reason == "protobuf: nested too deep" || goLenient.Match(text) {
		return
	}
	if (err == nil) != (reason == "") {
		t.Fatalf("%q\nGo says %v, the plugin %q", text, err, reason)
	}
	if err != nil {
		return
	}
	got := newMessage("t.All")
	if err := proto.Unmarshal(wire, got); err != nil || !proto.Equal(got, want) {
		t.Fatalf("%q\nbecame %x, %v\n%v\nwant\n%v", text, wire, err, got, want)
	}
}

// checkToJSON converts Protobuf and holds the answer against Go's.
func checkToJSON(t *testing.T, s *stage, wire []byte) {
	t.Helper()
	s.tb = t
	want, panicked, err := goToJSON(wire)
	if panicked {
		return
	}
	got, reason := converted(s, wire)
	// Go also looks at what a later value of the same field replaces.
	replaced := err != nil && reason == "" && protojson.Unmarshal(got, newMessage("t.All")) == nil &&
		(strings.Contains(err.Error(), "invalid UTF-8") || strings.Contains(err.Error(), "cannot parse"))
	if reason == "protobuf: nested too deep" || replaced {
		return
	}
	if (err == nil) != (reason == "") {
		t.Fatalf("%x\nGo says %s %v, the plugin %s %q", wire, want, err, got, reason)
	}
	if err == nil && !sameJSON(t, got, want) {
		t.Fatalf("%x\n%s\nGo writes\n%s", wire, got, want)
	}
}

// goToJSON is what Go makes of Protobuf. Its dynamic messages panic on map entries
// without a key, which the plugin reads as the specification says.
func goToJSON(wire []byte) (text []byte, panicked bool, err error) {
	defer func() { panicked = recover() != nil }()
	m := newMessage("t.All")
	if err = proto.Unmarshal(wire, m); err == nil {
		text, err = protojson.Marshal(m)
	}
	return text, false, err
}

// jsonCases are texts on the edges of the mapping.
var jsonCases = []string{
	`{}`, ` { } `, ``, `null`, `[]`, `{"i32":1}x`, `{"i32":1,}`, `{,}`, `{"i32" 1}`, `{"i32":1 "i64":2}`,
	`{"i32":"1"}`, `{"i32":" 1"}`, `{"i32":"1 "}`, `{"i32":""}`, `{"i32":1.0}`, `{"i32":"1.0"}`, `{"i32":1e2}`, `{"i32":1.5}`, `{"i32":1e-1}`,
	`{"i32":2147483647}`, `{"i32":2147483648}`, `{"i32":-2147483648}`, `{"i32":-2147483649}`, `{"i32":-0}`, `{"u32":-0}`, `{"u32":-1}`, `{"u32":4294967296}`,
	`{"i64":"9223372036854775807"}`, `{"i64":9223372036854775808}`, `{"u64":"18446744073709551615"}`, `{"u64":18446744073709551616}`, `{"i32":01}`, `{"i32":+1}`, `{"i32":.5}`,
	`{"i32":0x1}`, `{"i32":1e99999999999}`, `{"i32":0e99999999999}`, `{"i32":10e-1}`, `{"i32":true}`, `{"i32":null}`, `{"i32":[]}`,
	`{"d":"NaN"}`, `{"d":NaN}`, `{"d":"-Infinity"}`, `{"d":"1e400"}`, `{"d":1e400}`, `{"d":"0x1p4"}`, `{"d":"inf"}`, `{"d":"1"}`, `{"d":" 1"}`, `{"d":1e-400}`,
	`{"f":[3.5e38]}`, `{"f":[3.4e38,"NaN",-0.0]}`, `{"f":[null]}`, `{"f":null}`, `{"f":1}`,
	`{"flag":true}`, `{"flag":"true"}`, `{"flag":1}`, `{"flag":truex}`, `{"flag":tru}`,
	`{"someText":"a"}`, `{"some_text":"a"}`, `{"someText":"a","some_text":"b"}`, `{"someText":null,"some_text":"b"}`, `{"sometext":"a"}`, `{"some\u0054ext":"a"}`,
	`{"someText":"\ud83d\ude00"}`, `{"someText":"\ud83d"}`, `{"someText":"\ude00"}`, `{"someText":"\ud83d\u0041"}`, "{\"someText\":\"\xff\"}", "{\"someText\":\"\n\"}", `{"someText":"\x"}`, `{"someText":1}`,
	`{"raw":"AAA="}`, `{"raw":"AAA"}`, `{"raw":"AA"}`, `{"raw":"AA=="}`, `{"raw":"A"}`, `{"raw":"-_+/"}`, `{"raw":"-_-_"}`, `{"raw":"+/+/"}`, `{"raw":"AA=\n="}`, `{"raw":"AA\nAA"}`, `{"raw":"A==="}`, `{"raw":"===="}`, `{"raw":"AB=="}`, `{"raw":"\nAAA="}`,
	`{"colour":"RED"}`, `{"colour":"ROUGE"}`, `{"colour":1}`, `{"colour":99}`, `{"colour":"1"}`, `{"colour":"red"}`, `{"colour":1.0}`, `{"colour":null}`, `{"colours":["RED","BLUE",0]}`,
	`{"child":{"child":{"i32":1}}}`, `{"child":{}}`, `{"child":null}`, `{"child":1}`, `{"children":[{},null]}`, `{"children":[{}]}`,
	`{"many":[]}`, `{"many":[1,"2",3.0]}`, `{"many":[1,]}`, `{"many":{}}`, `{"many":[1],"many":[2]}`, `{"texts":["a","a"]}`, `{"texts":[null]}`,
	`{"maybe":0}`, `{"maybeText":""}`, `{"maybe":null}`,
	`{"choiceText":"a","choiceNumber":1}`, `{"choiceText":null,"choiceNumber":1}`, `{"choiceNumber":0}`, `{"choiceNull":null}`, `{"choiceNull":"NULL_VALUE"}`, `{"choiceNull":null,"choiceText":"a"}`, `{"choiceTwo":{"must":1}}`, `{"choiceTwo":{}}`,
	`{"at":"1970-01-01T00:00:00Z"}`, `{"at":"2024-02-29T12:00:00.123456789+02:30"}`, `{"at":"2023-02-29T12:00:00Z"}`, `{"at":"0001-01-01T00:00:00Z"}`, `{"at":"0000-12-31T23:59:59Z"}`, `{"at":"9999-12-31T23:59:59.999999999Z"}`, `{"at":"9999-12-31T23:59:59-01:00"}`, `{"at":"2024-02-29t12:00:00z"}`, `{"at":"2024-02-29 12:00:00Z"}`, `{"at":"2024-02-29T12:00:60Z"}`, `{"at":"2024-02-29T12:00:00.0000000001Z"}`, `{"at":1}`, `{"at":null}`, `{"at":""}`,
	`{"takes":"1s"}`, `{"takes":"-1.5s"}`, `{"takes":"1.s"}`, `{"takes":".5s"}`, `{"takes":"+1s"}`, `{"takes":"s"}`, `{"takes":"-s"}`, `{"takes":".s"}`, `{"takes":"01s"}`, `{"takes":"1.0000000001s"}`, `{"takes":"315576000000s"}`, `{"takes":"315576000001s"}`, `{"takes":"-315576000000.999999999s"}`, `{"takes":"1"}`, `{"takes":"-0.5s"}`, `{"takes":"1 s"}`, `{"takes":"--1s"}`,
	`{"mask":"someText,child.byName"}`, `{"mask":""}`, `{"mask":" a "}`, `{"mask":"a_b"}`, `{"mask":"a,,b"}`, `{"mask":"a.1"}`, `{"mask":"a, b"}`, `{"mask":["a"]}`, `{"mask":"ä"}`,
	`{"anyObject":{"a":[1,"b",null,true,{"c":{}}]}}`, `{"anyObject":{"a":1,"a":2}}`, `{"anyObject":[]}`, `{"anyObject":null}`, `{"anyValue":null}`, `{"anyValue":1}`, `{"anyValue":"NaN"}`, `{"anyValue":[[],{}]}`, `{"anyValue":1e999}`, `{"anyList":[null]}`, `{"anyList":{}}`, `{"anyList":null}`, `{"values":[null,1]}`, `{"values":null}`,
	`{"wBool":true}`, `{"wBool":false}`, `{"wBool":null}`, `{"wBool":{"value":true}}`, `{"wLong":"1"}`, `{"wLong":1}`, `{"wDouble":"NaN"}`, `{"wText":""}`, `{"wBytes":"AA=="}`, `{"wWord":-1}`, `{"wFloat":1e39}`, `{"wTexts":["a",""]}`, `{"wTexts":[null]}`, `{"nothing":{}}`, `{"nothing":{"a":1}}`, `{"nothing":null}`,
	`{"byName":{"a":1,"a":2}}`, `{"byName":{"a":1,"\u0061":2}}`, `{"byName":{"a":null}}`, `{"byName":{}}`, `{"byName":[]}`, `{"byNumber":{"1":"a","01":"b"}}`, `{"byNumber":{"+1":"a"}}`, `{"byNumber":{"-0":"a"}}`, `{"byNumber":{"1.0":"a"}}`, `{"byNumber":{" 1":"a"}}`, `{"byLong":{"+1":1}}`, `{"byLong":{"-0":1}}`, `{"byLong":{"18446744073709551615":1}}`, `{"byFlag":{"true":{},"false":{}}}`, `{"byFlag":{"1":{}}}`, `{"byFixed":{"1":"BLUE"}}`, `{"byFixed":{"1":"RED","2":0}}`, `{"byValue":{"-1":null}}`, `{"byTime":{"":"1s"}}`, `{"byTime":{"a":null}}`, `{"bySint":{"2147483648":""}}`,
	`{"unknown":1}`, `{"unknown":{"a":[1,{}]},"i32":5}`, `{"unknown":{"a":}}`, `{"unknown":[1,2,}`, `{"[t.ext]":1}`, `{"two":{"must":1,"old":{"texts":["a"]}}}`, `{"two":{"must":null}}`,
	`{"i32":1}` + "\x00", "\ufeff{}", `{"unknown":-}`, `{"unknown":1.}`, `{"unknown":1e}`, `{"unknown":00}`, `{"unknown":nulll}`,
}

// TestProtobufEdges: the plugin and Go agree on texts at the edges, whether what
// is unknown is a fault or not.
func TestProtobufEdges(t *testing.T) {
	reject := newStage(t, use{name: "json-to-protobuf", config: protobufConfig("t.All", "")})
	ignore := newStage(t, use{name: "json-to-protobuf", config: protobufConfig("t.All", `,"unknown":"ignore"`)})
	for _, text := range jsonCases {
		t.Run(text, func(t *testing.T) {
			checkToProtobuf(t, reject, protojson.UnmarshalOptions{}, []byte(text))
			checkToProtobuf(t, ignore, protojson.UnmarshalOptions{DiscardUnknown: true}, []byte(text))
		})
	}
}

// mutated changes bytes of b at random.
func mutated(r *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + r.IntN(3) {
		if len(b) == 0 {
			return b
		}
		at := r.IntN(len(b))
		switch r.IntN(4) {
		case 0:
			b[at] = byte(r.Uint32())
		case 1:
			b = append(b[:at], b[at+1:]...)
		case 2:
			b = append(b[:at+1], b[at:]...)
		default:
			b[at] ^= 1 << r.IntN(8)
		}
	}
	return b
}

// TestProtobufMutations: what is nearly right is taken or refused as Go does.
func TestProtobufMutations(t *testing.T) {
	to := newStage(t, use{name: "json-to-protobuf", config: protobufConfig("t.All", "")})
	from := newStage(t, use{name: "json-to-protobuf", config: protobufConfig("t.All", `,"direction":"to-json"`)})
	r := rand.New(rand.NewPCG(3, 3))
	for range 3000 {
		m := newMessage("t.All")
		fill(r, m, 2)
		text, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		wire, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		checkToProtobuf(t, to, protojson.UnmarshalOptions{}, mutated(r, text))
		checkToJSON(t, from, mutated(r, wire))
		// Messages in a row are one message, merged.
		checkToJSON(t, from, append(wire, wire...))
	}
}

func TestProtobufDepth(t *testing.T) {
	to := newStage(t, use{name: "json-to-protobuf", config: protobufConfig("t.All", "")})
	from := newStage(t, use{name: "json-to-protobuf", config: protobufConfig("t.All", `,"direction":"to-json"`)})
	nested := func(n int) []byte { return []byte(strings.Repeat(`{"child":`, n-1) + "{}" + strings.Repeat("}", n-1)) }
	for n, deep := range map[int]string{64: "", 65: "protobuf: nested too deep", 5000: "protobuf: nested too deep"} {
		wire, reason := converted(to, nested(n))
		if reason != deep {
			t.Errorf("%d levels: %q", n, reason)
		}
		if n > 64 {
			m := newMessage("t.All")
			if err := protojson.Unmarshal(nested(n), m); err != nil {
				t.Fatal(err)
			}
			wire, _ = proto.Marshal(m)
		}
		if text, reason := converted(from, wire); reason != deep || deep == "" && string(text) != string(nested(n)) {
			t.Errorf("%d levels back: %q %s", n, reason, text)
		}
	}
	for _, text := range []string{
		`{"anyValue":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		`{"anyValue":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + `}`,
	} {
		if _, reason := converted(to, []byte(text)); reason != "protobuf: nested too deep" {
			t.Errorf("%.30s: %q", text, reason)
		}
	}
}

func TestProtobufRules(t *testing.T) {
	_, set := schemaFiles()
	s := newStage(t, use{name: "json-to-protobuf", config: `{"descriptors":"` + set + `","rules":[
		{"topic":"two/+","message":"t.Two"},{"topic":"old/#","message":"t.Old"}],"invalid":"dead-letter"}`})
	message := func(topic, text string) abi.Message {
		return abi.Message{Session: 1, Topic: []byte(topic), Payload: []byte(text), Attrs: attrs("kept", "x")}
	}
	b := s.run(message("two/a", `{"must":1}`), message("two/a/b", `{"must":1}`), message("old", `{"text":"a"}`), message("two/b", `{"must":1,"text":2}`), message("old/x", `{"nothing":1}`))
	for i, want := range []string{"\x08\x01", `{"must":1}`, "\x0a\x01a"} {
		if o := b.Outcomes[i]; o.Verdict != abi.VerdictContinue || string(b.Messages[i].Payload) != want {
			t.Errorf("message %d: %v %q", i, o.Verdict, b.Messages[i].Payload)
		}
	}
	for i, want := range map[int]string{3: "protobuf: wrong value (at t.Two.text)", 4: "protobuf: unknown field"} {
		if o := b.Outcomes[i]; o.Verdict != abi.VerdictRoute || string(o.Out) != "dead-letter" {
			t.Errorf("message %d: %v %q", i, o.Verdict, o.Out)
		}
		if got := pairsOf(b.Messages[i].Attrs); got["error"] != want || got["kept"] != "x" || b.Messages[i].Payload[0] != '{' {
			t.Errorf("message %d: %q %v", i, b.Messages[i].Payload, got)
		}
	}
	box := newStage(t, use{name: "json-to-protobuf", config: protobufConfig("t.Box", "")})
	if _, reason := converted(box, []byte(`{"any":{"@type":"x"}}`)); reason != "protobuf: google.protobuf.Any is not supported" {
		t.Error(reason)
	}
}

func TestProtobufConfigErrors(t *testing.T) {
	_, set := schemaFiles()
	b, err := base64.StdEncoding.DecodeString(set)
	if err != nil {
		t.Fatal(err)
	}
	with := func(more string) string { return `{"descriptors":"` + set + `"` + more + `}` }
	refused(t, "json-to-protobuf", map[string]string{
		`{}`:                     "descriptors: is missing; expected a FileDescriptorSet",
		`{"descriptors":"!"}`:    "descriptors: is not base64",
		`{"descriptors":"AAAA"}`: "descriptors: is no FileDescriptorSet",
		`{"descriptors":"` + base64.StdEncoding.EncodeToString(b[:len(b)-3]) + `","message":"t.All"}`: "descriptors: is no FileDescriptorSet",
		`{"descriptors":"` + base64.StdEncoding.EncodeToString(b[len(b)-2:]) + `","message":"t.All"}`: "descriptors:",
		with(``):                                               "message: is missing",
		with(`,"message":"t.Al"`):                              `message: no message "t.Al" in the descriptors, did you mean "t.All"`,
		with(`,"message":"t.All.ByNameEntry"`):                 "no message",
		with(`,"rules":[{"topic":"a"}]`):                       "rules[0].message: is missing",
		with(`,"rules":[{"topic":"a/#/b","message":"t.All"}]`): "rules[0].topic: expected a topic or a pattern",
		with(`,"message":"t.All","names":"proto"`):             "names: is set, but direction is to-protobuf",
		with(`,"message":"t.All","unknown":"x"`):               `unknown: unknown value "x"`,
		with(`,"message":"t.All","direction":"back"`):          `direction: unknown value "back"`,
	})
}

func FuzzJSONToProtobuf(f *testing.F) {
	s := newStage(f, use{name: "json-to-protobuf", config: protobufConfig("t.All", "")})
	for _, text := range jsonCases {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { checkToProtobuf(t, s, protojson.UnmarshalOptions{}, text) })
}

func FuzzProtobufToJSON(f *testing.F) {
	s := newStage(f, use{name: "json-to-protobuf", config: protobufConfig("t.All", `,"direction":"to-json"`)})
	r := rand.New(rand.NewPCG(9, 9))
	for range 50 {
		m := newMessage("t.All")
		fill(r, m, 2)
		wire, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) { checkToJSON(t, s, wire) })
}

// BenchmarkProtobuf converts a reading of 128 bytes in both directions.
func BenchmarkProtobuf(b *testing.B) {
	text := `{"i32":42,"someText":"truck-7","d":4.25,"at":"2026-01-01T12:00:00Z","many":[1,2,3],"two":{"must":1,"flag":true},"i64":"123456789"}`
	m := newMessage("t.All")
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		b.Fatal(err)
	}
	wire, _ := proto.Marshal(m)
	for name, c := range map[string]struct {
		payload []byte
		config  string
	}{"to-protobuf": {[]byte(text), protobufConfig("t.All", "")}, "to-json": {wire, protobufConfig("t.All", `,"direction":"to-json"`)}} {
		b.Run(name, func(b *testing.B) {
			s := newStage(b, use{name: "json-to-protobuf", config: c.config})
			var messages []abi.Message
			for i := range 64 {
				messages = append(messages, abi.Message{Session: uint64(i + 1), Payload: c.payload})
			}
			s.run(messages...)
			fuel := s.chain.Plugin(0).Stats().Fuel
			b.ReportAllocs()
			for b.Loop() {
				s.batch.Reset()
				s.batch.Messages = append(s.batch.Messages, messages...)
				s.chain.Messages(&s.batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*64), "ns/message")
			b.ReportMetric(float64(fuel)/64, "fuel/message")
			if o := s.batch.Outcomes[0]; o.Verdict != abi.VerdictContinue {
				b.Fatal(fmt.Sprint(o.Verdict, string(o.Out)))
			}
		})
	}
}
