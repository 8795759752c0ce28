package std_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weftrun/weft/abi"
)

// protobufConfig is a configuration over the schema, with more settings.
func protobufConfig(message, more string) string {
	_, set := schemaFiles()
	return `{"descriptors":"` + set + `","message":"` + message + `"` + more + `}`
}

func newMessage(name string) *dynamicpb.Message {
	find, _ := schemaFiles()
	return dynamicpb.NewMessage(find(name))
}

// fill sets fields of a message at random.
func fill(r *rand.Rand, m protoreflect.Message, depth int) {
	d := m.Descriptor()
	switch d.FullName() {
	case "google.protobuf.Timestamp":
		m.Set(d.Fields().ByNumber(1), protoreflect.ValueOfInt64(r.Int64N(253402300799+62135596800+1)-62135596800))
		m.Set(d.Fields().ByNumber(2), protoreflect.ValueOfInt32([]int32{0, 5e8, 123e6, 1000, r.Int32N(1e9)}[r.IntN(5)]))
		return
	case "google.protobuf.Duration":
		s, n := r.Int64N(315576000001), []int32{0, 5e8, 123e6, 1000, r.Int32N(1e9)}[r.IntN(5)]
		if r.IntN(2) == 0 {
			s, n = -s, -n
		}
		if r.IntN(4) == 0 {
			s = 0
		}
		m.Set(d.Fields().ByNumber(1), protoreflect.ValueOfInt64(s))
		m.Set(d.Fields().ByNumber(2), protoreflect.ValueOfInt32(n))
		return
	case "google.protobuf.FieldMask":
		for range r.IntN(3) {
			m.Mutable(d.Fields().ByNumber(1)).List().Append(protoreflect.ValueOfString([]string{"a", "some_text", "child.by_name", "a.b_c"}[r.IntN(4)]))
		}
		return
	case "google.protobuf.Value":
		f := d.Fields().Get(r.IntN(d.Fields().Len()))
		if depth <= 0 {
			f = d.Fields().ByNumber(3)
		}
		if f.Kind() == protoreflect.DoubleKind {
			m.Set(f, protoreflect.ValueOfFloat64(r.NormFloat64()))
			return
		}
		if f.Kind() == protoreflect.EnumKind {
			m.Set(f, protoreflect.ValueOfEnum(0))
			return
		}
		m.Set(f, value(r, m.NewField(f), f, depth))
		return
	}
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		required := f.Cardinality() == protoreflect.Required
		if !required && (r.IntN(5) > 0 || f.Kind() == protoreflect.MessageKind && depth <= 0) {
			continue
		}
		switch {
		case f.IsMap():
			entries := m.Mutable(f).Map()
			for range r.IntN(4) {
				key := value(r, protoreflect.Value{}, f.MapKey(), 0).MapKey()
				entries.Set(key, value(r, entries.NewValue(), f.MapValue(), depth-1))
			}
		case f.IsList():
			list := m.Mutable(f).List()
			for range r.IntN(4) {
				list.Append(value(r, list.NewElement(), f, depth-1))
			}
		default:
			m.Set(f, value(r, m.NewField(f), f, depth-1))
		}
	}
}

// value is a value for a field; empty is one without anything in it.
func value(r *rand.Rand, empty protoreflect.Value, f protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	texts := []string{"", "a", "Grüße", "\"\\\n\t\x00\u2028", "😀", strings.Repeat("long ", 40), "1", "truck-7"}
	floats := []float64{0, math.Copysign(0, -1), 1, -2.5, 1e21, 1e20, 1e-6, 1e-7, 3.4e38, 1e-45, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), r.NormFloat64(), r.ExpFloat64() * 1e30}
	integers := []int64{0, 1, -1, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64, int64(r.Uint64()), 300}
	n := integers[r.IntN(len(integers))]
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0)
	case protoreflect.EnumKind:
		if f.Enum().FullName() == "google.protobuf.NullValue" {
			return protoreflect.ValueOfEnum(0)
		}
		return protoreflect.ValueOfEnum([]protoreflect.EnumNumber{0, 1, -7, 99}[r.IntN(4)])
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(n)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(floats[r.IntN(len(floats))]))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(floats[r.IntN(len(floats))])
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(texts[r.IntN(len(texts))])
	case protoreflect.BytesKind:
		b := make([]byte, r.IntN(6))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return protoreflect.ValueOfBytes(b)
	}
	fill(r, empty.Message(), depth)
	return empty
}

// converted is what the plugin makes of a payload; its reason if it drops it.
func converted(s *stage, payload []byte) (out []byte, reason string) {
	b := s.run(abi.Message{Session: 1, Payload: payload})
	if o := b.Outcomes[0]; o.Verdict != abi.VerdictContinue {
		return nil, string(o.Out)
	}
	return bytes.Clone(b.Messages[0].Payload), ""
}

// sameJSON reports whether two texts are the same JSON; numbers are compared as
// they read.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	read := func(text []byte) (v any) {
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return v
	}
	return reflect.DeepEqual(read(a), read(b))
}

// TestProtobufAgainstGo converts generated messages in both directions: Go's
// protojson and the plugin agree on each.
func TestProtobufAgainstGo(t *testing.T) {
	marshals := []protojson.MarshalOptions{{}, {UseProtoNames: true}, {UseEnumNumbers: true}, {EmitDefaultValues: true, Multiline: true}}
	settings := []string{"", `,"names":"proto"`, `,"enums":"number"`, `,"defaults":true`}
	back := make([]*stage, len(settings))
	for i, s := range settings {
		back[i] = newStage(t, use{name: "json-to-protobuf", config: protobufConfig("t.All", `,"direction":"to-json"`+s)})
	}
	to := newStage(t, use{name: "json-to-protobuf", config: protobufConfig("t.All", "")})
	r := rand.New(rand.NewPCG(7, 7))
	for i := range 4000 {
		m := newMessage("t.All")
		fill(r, m, 3)
		how := i % len(marshals)
		text, err := marshals[how].Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		wire, reason := converted(to, text)
		if reason != "" {
			t.Fatalf("%s: %s", text, reason)
		}
		got := newMessage("t.All")
		if err := proto.Unmarshal(wire, got); err != nil || !proto.Equal(got, m) {
			t.Fatalf("%s\nbecame %x, %v\n%v", text, wire, err, got)
		}
		if wire, err = proto.Marshal(m); err != nil {
			t.Fatal(err)
		}
		mine, reason := converted(back[how], wire)
		if reason != "" {
			t.Fatalf("%s: %s", text, reason)
		}
		if !sameJSON(t, mine, text) {
			t.Fatalf("message %d\n%s\nGo writes\n%s", i, mine, text)
		}
		again := newMessage("t.All")
		if err := protojson.Unmarshal(mine, again); err != nil || !proto.Equal(again, m) {
			t.Fatalf("%s: Go reads %v, %v", mine, again, err)
		}
	}
}

// TestProtobufFloatsAgainstGo: numbers in the middle between two of the fewest digits
// are written as Go does, digit by digit.
func TestProtobufFloatsAgainstGo(t *testing.T) {
	back := newStage(t, use{name: "json-to-protobuf", config: protobufConfig("t.All", `,"direction":"to-json"`)})
	r := rand.New(rand.NewPCG(3, 3))
	for range 20000 {
		m := newMessage("t.All").ProtoReflect()
		d := math.Ldexp(float64(r.Int64N(1<<53)), -1-r.IntN(8))
		f := float32(math.Ldexp(float64(r.Int32N(1<<24)), -1-r.IntN(24)))
		m.Set(m.Descriptor().Fields().ByName("d"), protoreflect.ValueOfFloat64(-d))
		m.Mutable(m.Descriptor().Fields().ByName("f")).List().Append(protoreflect.ValueOfFloat32(f))
		wire, err := proto.Marshal(m.Interface())
		if err != nil {
			t.Fatal(err)
		}
		text, err := protojson.Marshal(m.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if mine, reason := converted(back, wire); reason != "" || !sameJSON(t, mine, text) {
			t.Fatalf("%s %s\nGo writes\n%s", mine, reason, text)
		}
	}
}
