package codec_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/codec"
)

func compile(t testing.TB, from, to codec.Codec, limits codec.Limits) *codec.Converter {
	t.Helper()
	s := codec.Spec{Name: "test", From: from, To: to, Limits: limits}
	if from == codec.Protobuf || to == codec.Protobuf {
		s.Descriptor, s.Message = telemetrySet(t), "acme.Telemetry"
	}
	c, err := codec.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Beside ours these payloads are the examples of RFC 8949, appendix A.
func TestFromCBOR(t *testing.T) {
	c := compile(t, codec.CBOR, codec.JSON, codec.Limits{})
	for in, want := range map[string]string{
		"00": "0", "17": "23", "1818": "24", "1903e8": "1000", "1a000f4240": "1000000", "1b000000e8d4a51000": "1000000000000",
		"1bffffffffffffffff": "18446744073709551615", "c249000000000000000001": "1", "c2480020000000000001": "9007199254740993",
		"20": "-1", "3863": "-100", "3903e7": "-1000", "3b7fffffffffffffff": "-9223372036854775808", "c340": "-1",
		"f90000": "0", "f98000": "-0", "f93c00": "1", "fb3ff199999999999a": "1.1", "fb43b0000000000000": "1.152921504606847e+18", "fbc4381e5a6e3f4c0d": "-4.4490903955620895e+20", "f93e00": "1.5", "f97bff": "65504", "fa47c35000": "100000",
		"fa7f7fffff": "3.4028234663852886e+38", "fb7e37e43c8800759c": "1e+300", "f90001": "5.960464477539063e-8", "f90400": "0.00006103515625",
		"f9c400": "-4", "fbc010666666666666": "-4.1",
		"f4": "false", "f5": "true", "f6": "null", "f7": "null",
		"c074323031332d30332d32315432303a30343a30305a": `"2013-03-21T20:04:00Z"`, "c11a514b67b0": "1363896240", "d9d9f700": "0",
		"40": `""`, "4401020304": `"AQIDBA=="`, "60": `""`, "62225c": `"\"\\"`, "62c3bc": `"ü"`, "64f0908591": `"` + "\U00010151" + `"`,
		"80": "[]", "8301820203820405": "[1,[2,3],[4,5]]", "a0": "{}", "a26161016162820203": `{"a":1,"b":[2,3]}`,
		"5f42010243030405ff": `"AQIDBAU="`, "7f657374726561646d696e67ff": `"streaming"`, "9fff": "[]", "9f018202039f0405ffff": "[1,[2,3],[4,5]]",
		"bf61610161629f0203ffff": `{"a":1,"b":[2,3]}`, "826161bf61626163ff": `["a",{"b":"c"}]`,
	} {
		got, err := c.Append(nil, unhex(t, in))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; expected %s", in, got, err, want)
		}
	}
}

func TestToCBOR(t *testing.T) {
	c := compile(t, codec.JSON, codec.CBOR, codec.Limits{})
	for in, want := range map[string]string{
		"0": "00", "23": "17", "24": "1818", "1000000": "1a000f4240", "18446744073709551615": "1bffffffffffffffff", "-1": "20", "-500": "3901f3",
		"-9223372036854775808": "3b7fffffffffffffff", "-0": "f98000", "1.5": "f93e00", "65504.0": "f97bff", "1.1": "fb3ff199999999999a", "100000.0": "fa47c35000",
		"5.960464477539063e-8": "f90001", "0.00006103515625": "f90400", "5.9604644775390625e-7": "f9000a", "3.4028234663852886e+38": "fa7f7fffff", "1e300": "fb7e37e43c8800759c",
		"100000000000000000000":                  "fb4415af1d78b58c40", // exact as a float, so it is one
		`{"b":[true,false,null],"a":"\u00fc\n"}`: "a2 6162 83f5f4f6 6161 63c3bc0a",
		" [ ] ":                                  "80", `"\ud83d\ude00\/\\\""`: "67f09f98802f5c22",
	} {
		got, err := c.Append(nil, []byte(in))
		if want := strings.ReplaceAll(want, " ", ""); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v; expected %s", in, got, err, want)
		}
	}
}

func TestMessagePack(t *testing.T) {
	to, from := compile(t, codec.JSON, codec.MessagePack, codec.Limits{}), compile(t, codec.MessagePack, codec.JSON, codec.Limits{})
	for in, want := range map[string]string{
		"0": "00", "127": "7f", "128": "cc80", "256": "cd0100", "65536": "ce00010000", "4294967296": "cf0000000100000000", "18446744073709551615": "cfffffffffffffffff",
		"-1": "ff", "-32": "e0", "-33": "d0df", "-129": "d1ff7f", "-32769": "d2ffff7fff", "-9223372036854775808": "d38000000000000000",
		"9007199254740993": "cf0020000000000001", "1.5": "cb3ff8000000000000", "null": "c0", "true": "c3", "false": "c2", `"a"`: "a161",
		`{"a":[1,"b"]}`: "81a1619201a162", "[]": "90", "{}": "80", `"` + strings.Repeat("x", 32) + `"`: "d920" + strings.Repeat("78", 32),
	} {
		got, err := to.Append(nil, []byte(in))
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v; expected %s", in, got, err, want)
		}
		back, err := from.Append(nil, got)
		if err != nil || string(back) != in {
			t.Errorf("%x: %s, %v; expected %s", got, back, err, in)
		}
	}
	for in, want := range map[string]string{
		"c403010203": `"AQID"`, "ca3dcccccd": "0.10000000149011612", "d6ff00000000": `"1970-01-01T00:00:00Z"`, "d7ff ee6b27fc 00000001": `"1970-01-01T00:00:01.999999999Z"`,
		"c70cff 3b9ac9ff ffffffffffffffff": `"1969-12-31T23:59:59.999999999Z"`, "dc0001c0": "[null]", "df00000001a16101": `{"a":1}`, "d3000000000000000a": "10", "d07f": "127",
	} {
		got, err := from.Append(nil, unhex(t, in))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; expected %s", in, got, err, want)
		}
	}
}

func TestBytesAndText(t *testing.T) {
	for _, c := range []struct {
		from, to codec.Codec
		in, want string
	}{
		{codec.Bytes, codec.JSON, "\x00\xff", `"AP8="`}, {codec.JSON, codec.Bytes, `"AP8="`, "\x00\xff"},
		{codec.Text, codec.JSON, "a\"ü", `"a\"ü"`}, {codec.JSON, codec.Text, `"a\u00fc"`, "aü"},
		{codec.Bytes, codec.CBOR, "ab", "\x42ab"}, {codec.CBOR, codec.Bytes, "\x42ab", "ab"},
		{codec.Text, codec.MessagePack, "ab", "\xa2ab"}, {codec.MessagePack, codec.Text, "\xa2ab", "ab"},
		{codec.Text, codec.Bytes, "ab", "ab"}, {codec.Bytes, codec.Text, "ab", "ab"}, {codec.Bytes, codec.JSON, "", `""`},
		{codec.JSON, codec.JSON, ` { "a" : 1.50 , "b":1e400, "c":123456789012345678901234567890 } `, `{"a":1.50,"b":1e400,"c":123456789012345678901234567890}`},
	} {
		got, err := compile(t, c.from, c.to, codec.Limits{}).Append([]byte("before"), []byte(c.in))
		if err != nil || string(got) != "before"+c.want {
			t.Errorf("%s to %s, %q: %q, %v; expected %q", c.from, c.to, c.in, got, err, c.want)
		}
	}
}

// Each refusal names its place.
func TestRefusals(t *testing.T) {
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for _, c := range []struct {
		from, to codec.Codec
		in       string // hexadecimal after 0x
		kind     error
		says     string
	}{
		{codec.JSON, codec.CBOR, "", codec.ErrMalformed, "at byte 0 ($): the payload is empty"},
		{codec.JSON, codec.CBOR, `{"a":{"b":[1,2,x]}}`, codec.ErrMalformed, "at byte 15 ($.a.b[2]): found 'x', expected a JSON value"},
		{codec.JSON, codec.CBOR, `{"a":1,"b":2,"a":3}`, codec.ErrMalformed, `at byte 13 ($.a): the key "a" is there twice`},
		{codec.JSON, codec.CBOR, `{"a":1} 2`, codec.ErrMalformed, "at byte 8 ($): found '2' after the end"},
		{codec.JSON, codec.CBOR, `[1,2`, codec.ErrMalformed, "at byte 4 ($[2]): the payload ends in the middle"},
		{codec.JSON, codec.CBOR, `[1,]`, codec.ErrMalformed, "at byte 3 ($[1]): found ']'"},
		{codec.JSON, codec.CBOR, `{"a" 1}`, codec.ErrMalformed, "at byte 5 ($.a): found '1', expected ':'"},
		{codec.JSON, codec.CBOR, `{1:2}`, codec.ErrMalformed, "expected a key in quotes"},
		{codec.JSON, codec.CBOR, "\"a\xff\"", codec.ErrMalformed, `a text is not UTF-8: "a\xff"`},
		{codec.JSON, codec.CBOR, "\"a\nb\"", codec.ErrMalformed, `the control character 0x0a in a string: write \u000a`},
		{codec.JSON, codec.CBOR, `"\ud800"`, codec.ErrMalformed, "half of a surrogate pair"},
		{codec.JSON, codec.CBOR, `"\x"`, codec.ErrMalformed, "is no escape"},
		{codec.JSON, codec.CBOR, `"\u12g4"`, codec.ErrMalformed, "four hexadecimal digits"},
		{codec.JSON, codec.CBOR, "01", codec.ErrMalformed, "a number begins with 0"},
		{codec.JSON, codec.CBOR, "1.", codec.ErrMalformed, "ends in the middle"},
		{codec.JSON, codec.CBOR, "1.x", codec.ErrMalformed, "expected a digit"},
		{codec.JSON, codec.CBOR, "nul", codec.ErrMalformed, "ends in the middle"},
		{codec.JSON, codec.CBOR, "nulx", codec.ErrMalformed, "at byte 3 ($): found 'x', expected null"},
		{codec.JSON, codec.CBOR, "[18446744073709551617]", codec.ErrNoCounterpart, "cbor at byte 1 ($[0]): the number 18446744073709551617 needs more than 64 bits"},
		{codec.JSON, codec.MessagePack, `{"x":1e400}`, codec.ErrNoCounterpart, "($.x): the number 1e400"},
		{codec.JSON, codec.CBOR, deep, codec.ErrLimit, "at byte 64 ($[0][0][0]"},
		{codec.CBOR, codec.JSON, "0xa10102", codec.ErrNoCounterpart, "cbor at byte 1 ($): a map has an integer as a key: only text is converted"},
		{codec.CBOR, codec.JSON, "0xa26161 01 6161 02", codec.ErrMalformed, `the key "a" is there twice`},
		{codec.CBOR, codec.JSON, "0x82 01 f97e00", codec.ErrNoCounterpart, "json at byte 2 ($[1]): NaN is no number of JSON"},
		{codec.CBOR, codec.JSON, "0x61ff", codec.ErrMalformed, "not UTF-8"},
		{codec.CBOR, codec.JSON, "0x3bffffffffffffffff", codec.ErrNoCounterpart, "more than 64 bits"},
		{codec.CBOR, codec.JSON, "0xc249010000000000000000", codec.ErrNoCounterpart, "a bignum of 9 bytes"},
		{codec.CBOR, codec.JSON, "0xc201", codec.ErrMalformed, "a bignum, stands before an integer"},
		{codec.CBOR, codec.JSON, "0x9bffffffffffffffff", codec.ErrMalformed, "elements are announced, 0 bytes are left"},
		{codec.CBOR, codec.JSON, "0x5bffffffffffffffff", codec.ErrMalformed, "bytes are announced, 0 are left"},
		{codec.CBOR, codec.JSON, "0xff", codec.ErrMalformed, "a break where nothing"},
		{codec.CBOR, codec.JSON, "0x1c", codec.ErrMalformed, "begins no item"},
		{codec.CBOR, codec.JSON, "0x0000", codec.ErrMalformed, "at byte 1 ($): 1 bytes after the end"},
		{codec.CBOR, codec.JSON, "0x7f4161ff", codec.ErrMalformed, "a chunk of a string is no string of its kind"},
		{codec.CBOR, codec.JSON, "0xf820", codec.ErrNoCounterpart, "the simple value 32"},
		{codec.CBOR, codec.JSON, "0xf800", codec.ErrMalformed, "written in two bytes"},
		{codec.CBOR, codec.JSON, "0xf0", codec.ErrNoCounterpart, "the simple value 16"},
		{codec.CBOR, codec.JSON, "0x" + strings.Repeat("c0", 100) + "00", codec.ErrLimit, "tags before a value"},
		{codec.MessagePack, codec.JSON, "0xc1", codec.ErrMalformed, "0xc1 begins no value"},
		{codec.MessagePack, codec.JSON, "0x81 c0 01", codec.ErrNoCounterpart, "a map has null as a key"},
		{codec.MessagePack, codec.JSON, "0xd40100", codec.ErrNoCounterpart, "an extension of type 1"},
		{codec.MessagePack, codec.JSON, "0xd4ff00", codec.ErrMalformed, "a timestamp of 1 bytes"},
		{codec.MessagePack, codec.JSON, "0xdfffffffff", codec.ErrMalformed, "elements are announced"},
		{codec.MessagePack, codec.JSON, "0xcb7ff0000000000000", codec.ErrNoCounterpart, "+Inf is no number"},
		{codec.MessagePack, codec.JSON, "0xcd01", codec.ErrMalformed, "ends in the middle"},
		{codec.JSON, codec.Text, "1", codec.ErrNoCounterpart, "the payload is an integer, expected one text"},
		{codec.JSON, codec.Bytes, `"a"`, codec.ErrNoCounterpart, "the text is not base64"},
		{codec.JSON, codec.Bytes, `[]`, codec.ErrNoCounterpart, "the payload is a list"},
		{codec.Text, codec.JSON, "\xff", codec.ErrMalformed, "not UTF-8"},
	} {
		in := []byte(c.in)
		if digits, ok := strings.CutPrefix(c.in, "0x"); ok {
			in = unhex(t, digits)
		}
		got, err := compile(t, c.from, c.to, codec.Limits{}).Append([]byte("kept"), in)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || string(got) != "kept" {
			t.Errorf("%s to %s, %.60q: %q, %v; expected %q", c.from, c.to, c.in, got, err, c.says)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		in     string
		to     codec.Codec
		limits codec.Limits
		says   string
	}{
		{"[1,2,3]", codec.CBOR, codec.Limits{Values: 3}, "more than 3 values"},
		{"[[1]]", codec.CBOR, codec.Limits{Depth: 1}, "nested deeper than 1 levels"},
		{"[1,2,3]", codec.CBOR, codec.Limits{Size: 6}, "the payload has 7 bytes, at most 6 are converted"},
	} {
		if _, err := compile(t, codec.JSON, c.to, c.limits).Append(nil, []byte(c.in)); !errors.Is(err, codec.ErrLimit) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.in, err)
		}
	}
	if _, err := compile(t, codec.Bytes, codec.JSON, codec.Limits{Size: 8}).Append(nil, []byte("1234567")); !errors.Is(err, codec.ErrLimit) {
		t.Errorf("a result over the limit: %v", err)
	}
	// Many keys cost no time of theirs squared, and are still told apart.
	var many strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&many, `,"key %d":0`, i)
	}
	text := "{" + many.String()[1:] + "}"
	c := compile(t, codec.JSON, codec.CBOR, codec.Limits{})
	if _, err := c.Append(nil, []byte(text)); err != nil {
		t.Error(err)
	}
	if _, err := c.Append(nil, []byte(text[:len(text)-1]+`,"key 17":1}`)); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
}

func TestSpecs(t *testing.T) {
	set := telemetrySet(t)
	for says, s := range map[string]codec.Spec{
		"from and to are both needed":    {From: codec.JSON},
		"changes nothing":                {From: codec.Bytes, To: codec.Bytes},
		"needs a descriptor":             {From: codec.Protobuf, To: codec.JSON, Message: "acme.Telemetry"},
		"needs the name of its message":  {From: codec.Protobuf, To: codec.JSON, Descriptor: set},
		"which is neither from":          {From: codec.CBOR, To: codec.JSON, Message: "acme.Telemetry"},
		"is no FileDescriptorSet":        {From: codec.Protobuf, To: codec.JSON, Message: "x", Descriptor: []byte("syntax")},
		`no message "acme.Telemtry"; it`: {From: codec.Protobuf, To: codec.JSON, Message: "acme.Telemtry", Descriptor: set},
	} {
		if _, err := codec.Compile(s); !errors.Is(err, codec.ErrSpec) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if _, err := codec.Parse("jsn"); !errors.Is(err, codec.ErrCodec) {
		t.Error(err)
	}
	for _, name := range codec.Names() {
		if c, err := codec.Parse(name); err != nil || c.String() != name || c.MediaType() == "" {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}
