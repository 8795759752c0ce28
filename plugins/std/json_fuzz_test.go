package std_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
)

// fuzzConfig renames, removes and copies at once; what is no object is dropped,
// so that the filter says what it takes for one.
const fuzzConfig = `{"rename": {"temp": "temperature", "t": "temperature", "id": "truck", "a": "b", "b": "c"}, "remove": ["secret", "c"],
	"attributes": {"truck": "truck", "celsius": "temperature"}, "rules": [{"field": "temperature", "above": 8, "set": {"alarm": "high"}}], "invalid": "drop"}`

var (
	fuzzRename = map[string]string{"temp": "temperature", "t": "temperature", "id": "truck", "a": "b", "b": "c"}
	fuzzRemove = map[string]bool{"secret": true, "c": true}
)

// member is one key of an object with its value as it stands.
type member struct {
	key   string
	value string
}

// membersOf reads an object by the standard library, which is the judge of what
// one is; ok is false for anything else.
func membersOf(payload []byte) (members []member, ok bool) {
	if trimmed := bytes.TrimLeft(payload, " \t\r\n"); !json.Valid(payload) || trimmed[0] != '{' {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return nil, false
		}
		members = append(members, member{key.(string), string(value)})
	}
	_, err := d.Token()
	return members, err == nil
}

// filtered is what fuzzConfig makes of an object's members, and the value that
// each key has for attributes and rules.
func filtered(in []member) (out []member, values map[string]string) {
	values = map[string]string{}
	own, last := map[string]bool{}, map[string]int{}
	for i, m := range in {
		if to, ok := fuzzRename[m.key]; ok {
			last[to] = i
		} else {
			own[m.key] = true
		}
	}
	for i, m := range in {
		to, renamed := fuzzRename[m.key]
		if !renamed {
			to = m.key
		} else if own[to] || last[to] != i {
			continue
		}
		values[to] = m.value
		if !fuzzRemove[to] {
			out = append(out, member{to, m.value})
		}
	}
	return out, values
}

// depth is how many arrays and objects of a valid document lie within each other.
func depth(payload []byte) int {
	d := json.NewDecoder(bytes.NewReader(payload))
	now, most := 0, 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			return most
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			most = max(most, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

// checkFilter passes a payload through the filter and compares with the model.
func checkFilter(t *testing.T, s *stage, payload []byte) {
	t.Helper()
	s.tb = t
	b := s.run(abi.Message{Session: 1, Payload: payload})
	m, o := b.Messages[0], b.Outcomes[0]
	in, ok := membersOf(payload)
	if !ok || depth(payload) > 512 {
		if o.Verdict != abi.VerdictDrop {
			t.Fatalf("%q is no object and came out as %q", payload, m.Payload)
		}
		return
	}
	if o.Verdict != abi.VerdictContinue {
		t.Fatalf("%q is an object: %v %s", payload, o.Verdict, o.Out)
	}
	out, ok := membersOf(m.Payload)
	if !ok {
		t.Fatalf("%q became %q, which is not valid", payload, m.Payload)
	}
	want, values := filtered(in)
	if fmt.Sprint(out) != fmt.Sprint(want) {
		t.Fatalf("%q became %q\n got %q\nwant %q", payload, m.Payload, out, want)
	}
	checkAttribute(t, m, "truck", values["truck"])
	checkAttribute(t, m, "celsius", values["temperature"])
	number := numberIn(values["temperature"])
	if _, alarm := m.Attrs.Get("alarm"); alarm != (number > 8) {
		t.Fatalf("%q: alarm %t at %v", payload, alarm, number)
	}
}

// numberIn is the number that a value is, or that a string holds; 0 for others.
func numberIn(value string) float64 {
	text := strings.Trim(value, `"`)
	if text == "" || !strings.ContainsRune("-0123456789", rune(text[0])) || !json.Valid([]byte(text)) || strings.TrimSpace(text) != text {
		return 0
	}
	n, _ := strconv.ParseFloat(text, 64) // infinite if it is out of range
	return n
}

// checkAttribute compares an attribute with the value that it is made of.
func checkAttribute(t *testing.T, m abi.Message, name, value string) {
	t.Helper()
	got, ok := m.Attrs.Get(name)
	want, wanted := value, value != "" && value != "null" && value[0] != '{' && value[0] != '['
	if wanted && value[0] == '"' {
		if err := json.Unmarshal([]byte(value), &want); err != nil {
			t.Fatal(err)
		}
		// The standard library replaces bytes that are not UTF-8; the filter
		// passes them as they are.
		got, want = []byte(valid(string(got))), valid(want)
	}
	if len(got) > 4000 || len(want) > 4000 {
		return // too long to be copied
	}
	if ok != wanted || wanted && string(got) != want {
		t.Fatalf("attribute %s: %q, %t; want %q, %t", name, got, ok, want, wanted)
	}
}

// valid is a text with one replacement character for each run of what is none.
func valid(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	for strings.Contains(s, "\ufffd\ufffd") {
		s = strings.ReplaceAll(s, "\ufffd\ufffd", "\ufffd")
	}
	return s
}

func FuzzFilter(f *testing.F) {
	for _, payload := range notObjects {
		f.Add([]byte(payload))
	}
	f.Add([]byte(reading))
	f.Add([]byte(`{"temp":9,"secret":[{"temp":1}],"id":"\u0037","temp":"9.5","x\u0022":{}}`))
	f.Add([]byte(` { "secret" : null , "a" : 1e-7 , "b" : [ ] , "c" : "\ud83d\ude00" } `))
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		f.Add([]byte(randomObject(r, 3)))
	}
	s := newStage(f, use{name: "json-filter", config: fuzzConfig})
	f.Fuzz(func(t *testing.T, payload []byte) { checkFilter(t, s, payload) })
}

// TestFilterAgainstTheStandardLibrary passes random objects, and the same with a
// byte changed.
func TestFilterAgainstTheStandardLibrary(t *testing.T) {
	s := newStage(t, use{name: "json-filter", config: fuzzConfig})
	for seed := range uint64(20000) {
		r := rand.New(rand.NewPCG(seed, 7))
		payload := []byte(randomObject(r, 3))
		checkFilter(t, s, payload)
		const bytes = "{}[]\",:\\u0123456789.eE+-tfn \n\x00\x1fa\xff"
		payload[r.IntN(len(payload))] = bytes[r.IntN(len(bytes))]
		checkFilter(t, s, payload)
		checkFilter(t, s, payload[:r.IntN(len(payload))])
	}
}

func randomObject(r *rand.Rand, deep int) string {
	var s strings.Builder
	blank := func() { s.WriteString([]string{"", "", "", " ", "\n\t"}[r.IntN(5)]) }
	s.WriteByte('{')
	blank()
	for i := range r.IntN(8) {
		if i > 0 {
			s.WriteByte(',')
			blank()
		}
		s.WriteString(randomKey(r))
		blank()
		s.WriteByte(':')
		blank()
		s.WriteString(randomValue(r, deep))
		blank()
	}
	s.WriteByte('}')
	return s.String()
}

func randomKey(r *rand.Rand) string {
	keys := []string{
		`"temp"`, `"t"`, `"id"`, `"temperature"`, `"truck"`, `"secret"`, `"a"`, `"b"`, `"c"`, `"\u0074"`, `"t\u0065mp"`, `"x"`, `""`, `"temperatures"`,
		`"a key of many letters"`, `"\\"`, `"\""`, `"käse"`,
	}
	return keys[r.IntN(len(keys))]
}

func randomValue(r *rand.Rand, deep int) string {
	switch r.IntN(12) {
	case 0:
		return fmt.Sprint(r.IntN(20) - 2)
	case 1:
		return fmt.Sprintf("%.*f", r.IntN(20), r.Float64()*20)
	case 2:
		return fmt.Sprintf("%.*e", r.IntN(20), (r.Float64()-0.2)*20)
	case 3:
		return fmt.Sprintf(`"%v"`, r.Float64()*20)
	case 4:
		return []string{"true", "false", "null", "-0", "8", "8.0", "1e400"}[r.IntN(7)]
	case 5:
		return `"` + strings.Repeat("x", r.IntN(30)) + []string{"", `\n`, `\u00e4`, `\ud83d\ude00`, `\ud83d`, "\xff", `\"}`, `]`}[r.IntN(8)] + `"`
	case 6, 7:
		if deep > 0 {
			return randomObject(r, deep-1)
		}
	case 8, 9:
		if deep > 0 {
			var list []string
			for range r.IntN(4) {
				list = append(list, randomValue(r, deep-1))
			}
			return "[" + strings.Join(list, " , ") + "]"
		}
	}
	return `"` + []string{"", "7", "open", "truck-12", "ä", "9", "08", " 9", "-1e1"}[r.IntN(9)] + `"`
}
