package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/weftrun/weft/runtime/codec"
)

// value draws what every codec can hold: nil, bool, int64, uint64, float64,
// string, []any, map[string]any, and, where they are asked for, []byte.
func value(withBytes bool, depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		most := 6
		if depth > 0 {
			most = 8
		}
		switch rapid.IntRange(0, most).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.Int64Range(math.MinInt64, -1).Draw(t, "int")
		case 3:
			return rapid.Uint64().Draw(t, "uint")
		case 4:
			return rapid.Float64().Draw(t, "float")
		case 5:
			return rapid.String().Draw(t, "text")
		case 6:
			if withBytes {
				return rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
			}
			return rapid.String().Draw(t, "text")
		case 7:
			return rapid.SliceOfN(value(withBytes, depth-1), 0, 20).Draw(t, "list")
		}
		return rapid.MapOfN(rapid.String(), value(withBytes, depth-1), 0, 20).Draw(t, "map")
	})
}

// same compares what two libraries make of one value: they differ in integer
// types.
func same(a, b any) bool {
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k := range a {
			if v, ok := b[k]; !ok || !same(a[k], v) {
				return false
			}
		}
		return true
	case []byte:
		b, ok := b.([]byte)
		return ok && bytes.Equal(a, b)
	case float64:
		b, ok := b.(float64)
		return ok && (a == b && math.Signbit(a) == math.Signbit(b) || a != a && b != b)
	}
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	switch {
	case x.IsValid() && y.IsValid() && x.CanInt() && y.CanInt():
		return x.Int() == y.Int()
	case x.IsValid() && y.IsValid() && x.CanUint() && y.CanUint():
		return x.Uint() == y.Uint()
	case x.IsValid() && y.IsValid() && x.CanInt() && y.CanUint():
		return x.Int() >= 0 && uint64(x.Int()) == y.Uint()
	case x.IsValid() && y.IsValid() && x.CanUint() && y.CanInt():
		return y.Int() >= 0 && uint64(y.Int()) == x.Uint()
	}
	return reflect.DeepEqual(a, b)
}

func decodeCBOR(t interface{ Fatal(...any) }, b []byte) (v any) {
	mode, err := cbor.DecOptions{MaxNestedLevels: 1000, DefaultMapType: reflect.TypeFor[map[string]any]()}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	if err := mode.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// What other people's libraries write we read, and what we write they read, with
// the same values.
func TestOtherLibraries(t *testing.T) {
	toPack, toCBOR := compile(t, codec.CBOR, codec.MessagePack, codec.Limits{}), compile(t, codec.MessagePack, codec.CBOR, codec.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		v := value(true, 4).Draw(t, "value")
		in, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := toPack.Append(nil, in)
		if err != nil {
			t.Fatal(err)
		}
		var seen any
		if err := msgpack.Unmarshal(packed, &seen); err != nil || !same(v, seen) {
			t.Fatalf("msgpack reads %#v, %v; expected %#v", seen, err, v)
		}
		theirs, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out, err := toCBOR.Append(nil, theirs)
		if err != nil {
			t.Fatal(err)
		}
		if seen := decodeCBOR(t, out); !same(v, seen) {
			t.Fatalf("cbor reads %#v; expected %#v", seen, v)
		}
	})
}

// Through JSON and back nothing changes, and encoding/json reads the same.
func TestThroughJSON(t *testing.T) {
	for _, c := range []codec.Codec{codec.CBOR, codec.MessagePack} {
		there, back := compile(t, c, codec.JSON, codec.Limits{}), compile(t, codec.JSON, c, codec.Limits{})
		rapid.Check(t, func(t *rapid.T) {
			v := value(false, 4).Draw(t, "value")
			in, err := cbor.Marshal(v)
			if c == codec.MessagePack {
				in, err = msgpack.Marshal(v)
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := there.Append(nil, in)
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(text) {
				t.Fatalf("not JSON: %s", text)
			}
			out, err := back.Append(nil, text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			again, err := there.Append(nil, out)
			if err != nil || !bytes.Equal(text, again) {
				t.Fatalf("%s became %s, %v", text, again, err)
			}
		})
	}
}

// decodeJSON keeps numbers as they are written.
func decodeJSON(t *testing.T, text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// What encoding/json takes, we take, but for keys that are there twice and
// numbers; what it refuses, we refuse.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e3,"x\u00e9\ud83d\ude00",null,true]}`, `""`, "[", `{"a":1,"a":2}`, "1e400", "\"\xff\"", " 1 ", `"\ud800"`} {
		f.Add([]byte(s))
	}
	c, identity := compile(f, codec.JSON, codec.CBOR, codec.Limits{}), compile(f, codec.JSON, codec.JSON, codec.Limits{})
	f.Fuzz(func(t *testing.T, in []byte) {
		text, err := identity.Append(nil, in)
		switch {
		case err == nil && !json.Valid(in):
			t.Fatalf("%q was taken", in)
		case err != nil && json.Valid(in) && utf8.Valid(in) && !strings.Contains(err.Error(), "twice") && !strings.Contains(err.Error(), "surrogate") && !strings.Contains(err.Error(), "deeper"):
			t.Fatalf("%q was refused: %v", in, err)
		case err == nil:
			if !reflect.DeepEqual(decodeJSON(t, in), decodeJSON(t, text)) {
				t.Fatalf("%q became %q", in, text)
			}
		}
		if out, err := c.Append(nil, in); err == nil {
			decodeCBOR(t, out)
		}
	})
}

func FuzzCBOR(f *testing.F) {
	for _, s := range []string{"\xa1\x61a\x82\x01\xf9\x3c\x00", "\x9f\x01\xff", "\x7f\x61a\xff", "\xc2\x41\x01", "\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "\xbf\x61a\x01\xff"} {
		f.Add([]byte(s))
	}
	mode, err := cbor.DecOptions{MaxNestedLevels: 1000}.DecMode() // tags count there, too
	if err != nil {
		f.Fatal(err)
	}
	fuzzBinary(f, codec.CBOR, func(in []byte) bool { return mode.Wellformed(in) == nil })
}

func FuzzMessagePack(f *testing.F) {
	for _, s := range []string{"\x81\xa1a\x92\x01\xca\x3f\x80\x00\x00", "\xd6\xff\x00\x00\x00\x01", "\xc4\x01\x00", "\xdc\x00\x01\xc0", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"} {
		f.Add([]byte(s))
	}
	fuzzBinary(f, codec.MessagePack, func(in []byte) bool {
		var v msgpack.RawMessage
		return msgpack.Unmarshal(in, &v) == nil
	})
}

// fuzzBinary checks that what is taken is well formed for another library, and
// comes back as it was.
func fuzzBinary(f *testing.F, c codec.Codec, wellFormed func([]byte) bool) {
	to, identity := compile(f, c, codec.JSON, codec.Limits{}), compile(f, c, c, codec.Limits{})
	f.Fuzz(func(t *testing.T, in []byte) {
		same, err := identity.Append(nil, in)
		if err == nil && !wellFormed(in) {
			t.Fatalf("%x was taken", in)
		}
		text, wrong := to.Append(nil, in)
		if wrong == nil {
			if err != nil || !json.Valid(text) {
				t.Fatalf("%x: %s, %v", in, text, err)
			}
			again, err := to.Append(nil, same)
			if err != nil || !bytes.Equal(text, again) {
				t.Fatalf("%x: %s, then %s, %v", in, text, again, err)
			}
		}
		if err == nil {
			if twice, err := identity.Append(nil, same); err != nil || !bytes.Equal(same, twice) {
				t.Fatalf("%x: %x, then %x, %v", in, same, twice, err)
			}
		}
	})
}

func FuzzProtobuf(f *testing.F) {
	f.Add(wire())
	f.Add([]byte{0x32, 0})
	f.Add(slices.Concat(part(8, part1(anyURL)), part(8, part(2, matryoshka(3)))))
	f.Add(slices.Concat(part(6, part(8, part1("x/acme.Telemetry"))), part(6, part(8, part(2, wire())))))
	f.Add(slices.Concat(part(8, part1(anyURL)), part(8, part(2, matryoshka(80)))))
	checkProtobuf(f, compile(f, codec.Protobuf, codec.JSON, codec.Limits{}), compile(f, codec.JSON, codec.Protobuf, codec.Limits{}))
}

// checkProtobuf fuzzes a converter of Protobuf and its counterpart.
func checkProtobuf(f *testing.F, to, back *codec.Converter) {
	f.Fuzz(func(t *testing.T, in []byte) {
		text, err := to.Append(nil, in)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%x: %s", in, text)
		}
		out, err := back.Append(nil, text)
		if errors.Is(err, codec.ErrLimit) {
			return // a list is a level of JSON, and none of Protobuf
		}
		if err != nil {
			t.Fatalf("%x: %s: %v", in, text, err)
		}
		if again, err := to.Append(nil, out); err != nil || !bytes.Equal(text, again) {
			t.Fatalf("%x: %s, then %s, %v", in, text, again, err)
		}
	})
}

func FuzzProtobufJSON(f *testing.F) {
	f.Add([]byte(telemetryJSON))
	f.Add([]byte(`{"extra":{"@type":"x/acme.Telemetry","nested":{}}}`))
	c := compile(f, codec.JSON, codec.Protobuf, codec.Limits{})
	to := compile(f, codec.Protobuf, codec.JSON, codec.Limits{})
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := c.Append(nil, in)
		if err != nil {
			return
		}
		if _, err := to.Append(nil, out); err != nil {
			t.Fatalf("%s: %x: %v", in, out, err)
		}
	})
}

func TestManyGoroutines(t *testing.T) {
	c := compile(t, codec.Protobuf, codec.JSON, codec.Limits{})
	d := compile(t, codec.JSON, codec.CBOR, codec.Limits{})
	want, err := d.Append(nil, []byte(telemetryJSON))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 500 {
				if text, err := c.Append(nil, wire()); err != nil || string(text) != telemetryJSON {
					t.Errorf("%s, %v", text, err)
				}
				if out, err := d.Append(nil, []byte(telemetryJSON)); err != nil || !bytes.Equal(out, want) {
					t.Errorf("%x, %v", out, err)
				}
				_, _ = d.Append(nil, []byte(`{"a":`))
			}
		})
	}
	group.Wait()
}
