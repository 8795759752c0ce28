package json

import (
	stdjson "encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func parse(t *testing.T, doc string) Value {
	t.Helper()
	v, err := Parse([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return v
}

func TestFindsValuesByPath(t *testing.T) {
	doc := []byte(` { "a" : [1, {"b": "no"}], "b": {"c\u0041": {"d": -12, "e": "x\ny"}}, "b": 7 } `)
	if n, ok := Find(doc, "b", "cA", "d").Int64(); n != -12 || !ok {
		t.Errorf("d is %d %v", n, ok)
	}
	if !Find(doc, "b", "cA", "e").Is("x\ny") {
		t.Error("e is another text")
	}
	if raw := string(Find(doc, "a").Raw()); raw != `[1, {"b": "no"}]` {
		t.Errorf("a is %s", raw)
	}
	for _, v := range []Value{Find(doc, "a", "b"), Find(doc, "nothing"), Find([]byte("{}"), "nothing"), Find(nil, "nothing"), Find(nil), Find(doc, "nothing").Get("x")} {
		if v.Exists() || v.Kind() != None || v.IsNull() {
			t.Errorf("found %s", v.Raw())
		}
	}
	if b, ok := Find([]byte(" true")).Bool(); !b || !ok {
		t.Error("true is not true")
	}
}

var good = []string{
	"0", "-0.5e+10", "[]", "{}", "[[],{}]", `""`, `{"a":{"b":[{"c":[1,2,[3]]}]},"d":null}`, " [ true , false ] ",
	`"\ud83d\ude00"`, "[{},{}]", "1E5", `{"a":{}}`, `{"a":[]}`, `[{"a":1},[2]]`,
}

func TestChecksWholeDocuments(t *testing.T) {
	for _, doc := range good {
		parse(t, doc)
	}
	for doc, at := range map[string]int{
		"": 0, "01": 1, "-": 1, "1.": 2, "1e": 2, "[1,]": 3, "[1": 2, `{"a"}`: 4, `{"a":1,}`: 7, "{a:1}": 1, "[1}": 2, "tru": 0,
		"1 2": 2, `"a`: 2, `"\x"`: 1, "\"\x01\"": 1, "{1:2}": 1, `["\u12g4"]`: 2, "]": 0, "[,1]": 1, "nul": 0, "+1": 0, ".5": 0,
		`{"a":1]`: 6,
	} {
		v, err := Parse([]byte(doc))
		var e SyntaxError
		if !errors.As(err, &e) || int(e) != at {
			t.Errorf("%q: got %s and %v, expected a fault at %d", doc, v.Raw(), err, at)
		}
	}
	if text := SyntaxError(1203).Error(); text != "not JSON from byte 1203 on" {
		t.Error(text)
	}
}

func TestReadsIntegers(t *testing.T) {
	for doc, want := range map[string]int64{"9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64, "0": 0, "-0": 0, "-17": -17} {
		if n, ok := parse(t, doc).Int64(); n != want || !ok {
			t.Errorf("%s reads as %d %v", doc, n, ok)
		}
	}
	for _, doc := range []string{"9223372036854775808", "-9223372036854775809", "99999999999999999999", "184467440737095516160", "1.0", "1e3", `"1"`, "null", "[]"} {
		if n, ok := parse(t, doc).Int64(); ok {
			t.Errorf("%s reads as %d", doc, n)
		}
	}
}

func sameFloat(t *testing.T, doc string) {
	t.Helper()
	want, err := strconv.ParseFloat(doc, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		t.Fatal(err)
	}
	if f, ok := parse(t, doc).Float64(); !ok || math.Float64bits(f) != math.Float64bits(want) {
		t.Fatalf("%s reads as %v %v, expected %v", doc, f, ok, want)
	}
}

func TestReadsFloats(t *testing.T) {
	for _, doc := range []string{
		"0", "-0", "0.0e5", "-12.5e1", "1e22", "1e23", "8.5", "0.1", "123456789012345678901234567890", "1e-400", "1e400", "-1e999999999999",
		"1e-999999999999", "5e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "2.2250738585072011e-308", "2.2250738585072014e-308",
		"1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "9007199254740993", "9007199254740992.9999999999",
		"9007199254740993." + strings.Repeat("0", 900) + "1", "0." + strings.Repeat("0", 400) + "1e401", "1" + strings.Repeat("0", 400) + "e-400",
		strings.Repeat("9", 790) + "e-780", "4.4501477170144023e-308", "0.000001", "100000000000000016777215", "100000000000000016777216",
	} {
		sameFloat(t, doc)
	}
	// strconv miscounts whole digits beyond 800.
	if f, _ := parse(t, strings.Repeat("9", 1000)+"e-990").Float64(); f != 1e10 {
		t.Errorf("1000 digits read as %v", f)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		f := math.Float64frombits(r.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		sameFloat(t, strconv.FormatFloat(f, "efg"[r.IntN(2)], r.IntN(20)-1, 64))
		sameFloat(t, strconv.FormatUint(r.Uint64(), 10)+"e"+strconv.Itoa(r.IntN(700)-350))
	}
	if f, ok := parse(t, "true").Float64(); ok {
		t.Errorf("true reads as %v", f)
	}
}

func TestReadsStrings(t *testing.T) {
	for doc, want := range map[string]string{
		`"plain ü"`: "plain ü", `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`: "\"\\/\b\f\n\r\té😀", `"\ud83dx\ude00"`: "\uFFFDx\uFFFD",
		`"\ud83d\u0041"`: "\uFFFDA", `"\ud83d\n"`: "\uFFFD\n", `""`: "", "\"\uFFFD\"": "\uFFFD", `"\u0000"`: "\x00",
	} {
		v := parse(t, doc)
		if s, ok := v.Text(); s != want || !ok || !v.Is(want) || v.Is(want+"x") {
			t.Errorf("%s reads as %q %v", doc, s, ok)
		}
	}
	if s, ok := Find([]byte("\"\xff\"")).Text(); ok {
		t.Errorf("no UTF-8 reads as %q", s)
	}
	if _, ok := parse(t, "1").Text(); ok {
		t.Error("a number reads as a text")
	}
}

func TestWalksArraysAndObjects(t *testing.T) {
	v := parse(t, `{"a": [1, "two", [3]], "b": {}, "c\n": []}`)
	var keys, raw []string
	for key := range v.Fields().All {
		keys = append(keys, key)
	}
	for item := range v.Get("a").Items().All {
		raw = append(raw, string(item.Raw()))
	}
	if got := strings.Join(keys, " "); got != "a b c\n" {
		t.Errorf("keys %q", got)
	}
	if got := strings.Join(raw, " "); got != `1 "two" [3]` {
		t.Errorf("items %q", got)
	}
	for _, empty := range []Value{v.Get("b"), v.Get("c\n"), {}, v.Get("a").Get("x")} {
		for range empty.Items().All {
			t.Errorf("%s has an item", empty.Raw())
		}
		for range empty.Fields().All {
			t.Errorf("%s has a field", empty.Raw())
		}
	}
	for range v.Fields().All {
		break // must not be called again
	}
}

func TestDepthIsBounded(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	parse(t, nested(MaxDepth))
	parse(t, strings.Repeat(`{"a":[`, MaxDepth/2)+strings.Repeat("]}", MaxDepth/2))
	if _, err := Parse([]byte(nested(MaxDepth + 1))); err != SyntaxError(MaxDepth) {
		t.Error(err)
	}
}

func TestQuotes(t *testing.T) {
	const text = "a\"b\\c\nd\x01é\t\r"
	if got := string(Quote([]byte("x"), text)); got != `x"a\"b\\c\nd\u0001é\t\r"` {
		t.Error(got)
	}
	if s, _ := parse(t, string(Quote(nil, text+"\xff"))).Text(); s != text+"\uFFFD" {
		t.Errorf("%q", s)
	}
}

// TestAllocates: looking something up in a document allocates nothing.
func TestAllocates(t *testing.T) {
	doc := []byte(`{"a":[1,2,{"x":"y"}],"limits":{"celsius":8.5,"site":"north"}}`)
	n := testing.AllocsPerRun(100, func() {
		f, _ := Find(doc, "limits", "celsius").Float64()
		b, _ := Find(doc, "limits", "site").Bytes()
		if f != 8.5 || string(b) != "north" {
			t.Error(f, b)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse compares with encoding/json, which knows no limit of depth here and
// replaces what is no UTF-8.
func FuzzParse(f *testing.F) {
	for _, doc := range good {
		f.Add([]byte(doc))
	}
	f.Add([]byte(`{"a":[1,-2.5e3,"x\u00e9\n"],"b":{"c":null,"d":[true,false]}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		v, err := Parse(doc)
		if want := stdjson.Valid(doc); (err == nil) != want && strings.Count(string(doc), "[")+strings.Count(string(doc), "{") < MaxDepth {
			t.Fatalf("valid %v, got %v", want, err)
		}
		Find(doc, "b", "d")
		if err == nil {
			walk(t, v)
		}
	})
}

func walk(t *testing.T, v Value) {
	switch v.Kind() {
	case Number:
		var want float64
		if err := stdjson.Unmarshal(v.Raw(), &want); err != nil || len(v.Raw()) > 800 {
			return // out of range, or more than strconv counts
		}
		if f, ok := v.Float64(); !ok || math.Float64bits(f) != math.Float64bits(want) {
			t.Fatalf("%s reads as %v, expected %v", v.Raw(), f, want)
		}
	case String:
		var want string
		if s, ok := v.Text(); ok && (stdjson.Unmarshal(v.Raw(), &want) != nil || s != want) {
			t.Fatalf("%s reads as %q, expected %q", v.Raw(), s, want)
		}
	case Array:
		v.Items().All(func(v Value) bool { walk(t, v); return true })
	case Object:
		v.Fields().All(func(_ string, v Value) bool { walk(t, v); return true })
	}
}
