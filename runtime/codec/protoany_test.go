package codec_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/weftrun/weft/runtime/codec"
)

const anyURL = "x/google.protobuf.Any"

// part is a field of bytes, a text or a message.
func part(number protowire.Number, contents ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), slices.Concat(contents...))
}

// part1 is a text in field 1: the URL of an Any, the key of a map.
func part1(text string) []byte { return part(1, []byte(text)) }

// matryoshka is an Any in an Any in an Any: unpacking each costs the length of all below.
func matryoshka(n int) (b []byte) {
	for range n {
		b = slices.Concat(part1(anyURL), part(2, b))
	}
	return b
}

// boxSet has a message with an Any at every place that Protobuf has for one.
func boxSet(t testing.TB) []byte {
	t.Helper()
	var set descriptorpb.FileDescriptorSet
	if err := prototext.Unmarshal([]byte(`file: {
  name: "box.proto" package: "acme" syntax: "proto2" dependency: "google/protobuf/any.proto"
  message_type: {
    name: "Box"
    field: {name: "one" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any"}
    field: {name: "list" number: 2 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".acme.Box"}
    field: {name: "map" number: 3 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".acme.Box.MapEntry"}
    field: {name: "choice" number: 4 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any" oneof_index: 0}
    field: {name: "other" number: 5 label: LABEL_OPTIONAL type: TYPE_INT32 oneof_index: 0}
    field: {name: "part" number: 6 label: LABEL_OPTIONAL type: TYPE_GROUP type_name: ".acme.Box.Part"}
    field: {name: "inner" number: 7 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".acme.Box"}
    field: {name: "numbers" number: 8 label: LABEL_REPEATED type: TYPE_INT32 options: {packed: true}}
    nested_type: {
      name: "MapEntry" options: {map_entry: true}
      field: {name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING}
      field: {name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".acme.Box"}
    }
    nested_type: {
      name: "Part"
      field: {name: "any" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any"}
    }
    oneof_decl: {name: "either"}
    extension_range: {start: 100 end: 200}
  }
  extension: {name: "more" number: 100 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any" extendee: ".acme.Box"}
  extension: {name: "box" number: 101 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".acme.Box" extendee: ".acme.Box"}
}`), &set); err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(&set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func compileBox(t testing.TB, from, to codec.Codec) *codec.Converter {
	t.Helper()
	c, err := codec.Compile(codec.Spec{Name: "box", From: from, To: to, Descriptor: boxSet(t), Message: "acme.Box"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// anyWay is a Box with an Any in it, and the JSON around that.
type anyWay struct {
	in            []byte
	before, after string
}

// anyWays are the ways to say an Any in a Box: whole, and in parts that Protobuf puts
// together.
func anyWays(url string, value []byte) map[string]anyWay {
	name, content := part1(url), part(2, value)
	group := func(content []byte) []byte {
		b := protowire.AppendTag(nil, 6, protowire.StartGroupType)
		return protowire.AppendTag(append(b, content...), 6, protowire.EndGroupType)
	}
	key := part1("k")
	return map[string]anyWay{
		"whole":             {part(1, name, content), `{"one":`, `}`},
		"url, value":        {slices.Concat(part(1, name), part(1, content)), `{"one":`, `}`},
		"value, url":        {slices.Concat(part(1, content), part(1, name)), `{"one":`, `}`},
		"something between": {slices.Concat(part(1, name), part(2), part(1, content)), `{"one":`, `,"list":[{}]}`},
		"two urls":          {part(1, part1("x/acme.Box"), content, name), `{"one":`, `}`},
		"two values":        {part(1, name, part(2, []byte{0xff}), content), `{"one":`, `}`},
		"two of both":       {slices.Concat(part(1, part1("x/acme.Box"), content), part(1, name)), `{"one":`, `}`},
		"of a message":      {slices.Concat(part(7, part(1, name)), part(7, part(1, content))), `{"inner":{"one":`, `}}`},
		"of two messages":   {slices.Concat(part(7, part(7, part(1, name))), part(7, part(7, part(1, content)))), `{"inner":{"inner":{"one":`, `}}}`},
		"in a list":         {part(2, part(1, name), part(1, content)), `{"list":[{"one":`, `}]}`},
		"in a map":          {part(3, key, part(2, part(1, name)), part(2, part(1, content))), `{"map":{"k":{"one":`, `}}}`},
		"in a oneof":        {slices.Concat(part(4, name), part(4, content)), `{"choice":`, `}`},
		"in a group":        {group(slices.Concat(part(1, name), part(1, content))), `{"part":{"any":`, `}}`},
		"of two groups":     {slices.Concat(group(part(1, name)), group(part(1, content))), `{"part":{"any":`, `}}`},
		"whole in a group":  {group(part(1, name, content)), `{"part":{"any":`, `}}`},
		"an extension":      {part(100, name, content), `{"[acme.more]":`, `}`},
		"extension, twice":  {slices.Concat(part(100, name), part(100, content)), `{"[acme.more]":`, `}`},
		"of an extension":   {slices.Concat(part(101, part(1, name)), part(101, part(1, content))), `{"[acme.box]":{"one":`, `}}`},
		"in an Any":         {part(1, part1("x/acme.Box"), part(2, part(1, name), part(1, content))), `{"one":{"@type":"x/acme.Box","one":`, `}}`},
		"Any in an Any":     {part(1, part1(anyURL), part(2, name, content)), `{"one":{"@type":"` + anyURL + `","value":`, `}}`},
	}
}

// An Any counts against the limits in whatever parts it comes.
func TestProtobufAnyInParts(t *testing.T) {
	to, back := compileBox(t, codec.Protobuf, codec.JSON), compileBox(t, codec.JSON, codec.Protobuf)
	small := part(8, []byte{1, 2, 3})
	for name, way := range anyWays("x/acme.Box", small) {
		text, err := to.Append(nil, way.in)
		if want := way.before + `{"@type":"x/acme.Box","numbers":[1,2,3]}` + way.after; err != nil || string(text) != want {
			t.Errorf("%s: %s, %v; expected %s", name, text, err, want)
			continue
		}
		out, err := back.Append(nil, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again, err := to.Append(nil, out); err != nil || string(again) != string(text) {
			t.Errorf("%s: %s, then %s, %v", name, text, again, err)
		}
	}
	deep, boxes, many := matryoshka(4000), []byte(nil), part(8, make([]byte, 100_001))
	for range 2000 { // each level in parts of its own
		boxes = slices.Concat(part(1, part1("x/acme.Box")), part(1, part(2, boxes)))
	}
	for _, c := range []struct {
		name, url string
		value     []byte
		kind      error
		says      string
	}{
		{"deep", anyURL, deep, codec.ErrLimit, "nested deeper than 64 levels"},
		{"deep in parts", "x/acme.Box", boxes, codec.ErrLimit, "nested deeper than 64 levels"},
		{"many", "x/acme.Box", many, codec.ErrLimit, "numbers): more than 100000 values"},
		{"malformed", "x/acme.Box", []byte{0x0a, 9}, codec.ErrMalformed, "one): the value of field 1 is cut short or malformed"},
	} {
		for name, way := range anyWays(c.url, c.value) {
			got, err := to.Append([]byte("kept"), way.in)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || string(got) != "kept" {
				t.Errorf("%s, %s: %d bytes, %v; expected %s", c.name, name, len(got), err, c.says)
			}
		}
	}
}

// The values of all Any are counted together, and with those around them.
func TestProtobufAnyCountTogether(t *testing.T) {
	half := part(1, part1("x/acme.Box"), part(2, part(8, make([]byte, 60_000))))
	if _, err := compileBox(t, codec.Protobuf, codec.JSON).Append(nil, half); err != nil {
		t.Error(err)
	}
	for name, in := range map[string][]byte{
		"two":       slices.Concat(part(2, half), part(2, half)),
		"in parts":  slices.Concat(part(2, half), part(2, part(1, part1("x/acme.Box")), part(1, part(2, part(8, make([]byte, 60_000)))))),
		"around":    slices.Concat(half, part(8, make([]byte, 60_000))),
		"in itself": part(1, part1("x/acme.Box"), part(2, half, part(8, make([]byte, 60_000)))),
		"extension": part(101, part(8, make([]byte, 100_001))),
	} {
		_, err := compileBox(t, codec.Protobuf, codec.JSON).Append(nil, in)
		if !errors.Is(err, codec.ErrLimit) || !strings.Contains(err.Error(), "more than 100000 values") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// From JSON each level of an Any is a level of the text.
func TestProtobufAnyFromJSON(t *testing.T) {
	to := compileBox(t, codec.JSON, codec.Protobuf)
	for _, c := range []struct{ open, end string }{
		{`{"@type":"` + anyURL + `","value":`, `}`},
		{`{"value":`, `,"@type":"` + anyURL + `"}`},
		{`{"@type":"x/acme.Box","one":`, `}`},
		{`{"one":`, `,"@type":"x/acme.Box"}`},
	} {
		text := func(n int) []byte {
			return []byte(`{"one":` + strings.Repeat(c.open, n) + `{}` + strings.Repeat(c.end, n) + `}`)
		}
		if _, err := to.Append(nil, text(20)); err != nil {
			t.Errorf("%s: %v", c.open, err)
		}
		if _, err := to.Append(nil, text(4000)); !errors.Is(err, codec.ErrLimit) || !strings.Contains(err.Error(), "nested deeper than 64 levels") {
			t.Errorf("%s: %v", c.open, err)
		}
	}
}

// FuzzProtobufAny: what is taken comes back as it was, wherever an Any stands in it.
func FuzzProtobufAny(f *testing.F) {
	for _, url := range []string{"x/acme.Box", anyURL} {
		for _, way := range anyWays(url, matryoshka(3)) {
			f.Add(way.in)
		}
	}
	f.Add(slices.Concat(part(1, part1(anyURL)), part(1, part(2, matryoshka(80)))))
	checkProtobuf(f, compileBox(f, codec.Protobuf, codec.JSON), compileBox(f, codec.JSON, codec.Protobuf))
}
