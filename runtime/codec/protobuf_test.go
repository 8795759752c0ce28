package codec_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/weftrun/weft/runtime/codec"
)

// telemetrySet is the descriptor set of
//
//	syntax = "proto3";
//	package acme;
//	import "google/protobuf/timestamp.proto";
//	import "google/protobuf/any.proto";
//	message Telemetry {
//	  string device_id = 1;
//	  double temperature = 2;
//	  int64 counter = 3;
//	  bytes raw = 4;
//	  repeated uint32 samples = 5;
//	  Telemetry nested = 6;
//	  google.protobuf.Timestamp at = 7;
//	  google.protobuf.Any extra = 8;
//	  State state = 9;
//	}
//	enum State { STATE_UNSPECIFIED = 0; STATE_ON = 1; }
//
// without the imported files, which are well known.
func telemetrySet(t testing.TB) []byte {
	t.Helper()
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type, of string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if of != "" {
			f.TypeName = &of
		}
		return f
	}
	samples := field("samples", 5, descriptorpb.FieldDescriptorProto_TYPE_UINT32, "")
	samples.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	message := descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: proto.String("acme.proto"), Package: proto.String("acme"), Syntax: proto.String("proto3"),
		Dependency: []string{"google/protobuf/timestamp.proto", "google/protobuf/any.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Telemetry"), Field: []*descriptorpb.FieldDescriptorProto{
			field("device_id", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING, ""),
			field("temperature", 2, descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, ""),
			field("counter", 3, descriptorpb.FieldDescriptorProto_TYPE_INT64, ""),
			field("raw", 4, descriptorpb.FieldDescriptorProto_TYPE_BYTES, ""),
			samples,
			field("nested", 6, message, ".acme.Telemetry"),
			field("at", 7, message, ".google.protobuf.Timestamp"),
			field("extra", 8, message, ".google.protobuf.Any"),
			field("state", 9, descriptorpb.FieldDescriptorProto_TYPE_ENUM, ".acme.State"),
		}}},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: proto.String("State"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: proto.String("STATE_UNSPECIFIED"), Number: proto.Int32(0)}, {Name: proto.String("STATE_ON"), Number: proto.Int32(1)},
		}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// wire is a Telemetry written by hand.
func wire() []byte {
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "truck 7")
	b = protowire.AppendFixed64(protowire.AppendTag(b, 2, protowire.Fixed64Type), math.Float64bits(9.5))
	b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), 1<<53+1)
	b = protowire.AppendBytes(protowire.AppendTag(b, 4, protowire.BytesType), []byte{0, 0xff})
	b = protowire.AppendBytes(protowire.AppendTag(b, 5, protowire.BytesType), []byte{1, 2, 3})
	at := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1363896240)
	b = protowire.AppendBytes(protowire.AppendTag(b, 7, protowire.BytesType), at)
	return protowire.AppendVarint(protowire.AppendTag(b, 9, protowire.VarintType), 1)
}

const telemetryJSON = `{"deviceId":"truck 7","temperature":9.5,"counter":"9007199254740993","raw":"AP8=","samples":[1,2,3],"at":"2013-03-21T20:04:00Z","state":"STATE_ON"}`

func TestProtobuf(t *testing.T) {
	got, err := compile(t, codec.Protobuf, codec.JSON, codec.Limits{}).Append([]byte(">"), wire())
	if err != nil || string(got) != ">"+telemetryJSON {
		t.Errorf("%s, %v", got, err)
	}
	back, err := compile(t, codec.JSON, codec.Protobuf, codec.Limits{}).Append(nil, got[1:])
	if err != nil || string(back) != string(wire()) {
		t.Errorf("%x, %v; expected %x", back, err, wire())
	}
	for _, middle := range []codec.Codec{codec.CBOR, codec.MessagePack, codec.Protobuf} {
		there, err := compile(t, codec.Protobuf, middle, codec.Limits{}).Append(nil, wire())
		if err != nil {
			t.Fatal(err)
		}
		back, err := compile(t, middle, codec.Protobuf, codec.Limits{}).Append(nil, there)
		if err != nil || string(back) != string(wire()) {
			t.Errorf("by %s: %x, %v", middle, back, err)
		}
	}
	// A field that the descriptor does not have, in a newer message: dropped.
	newer := protowire.AppendVarint(protowire.AppendTag(wire(), 99, protowire.VarintType), 1)
	if got, err := compile(t, codec.Protobuf, codec.JSON, codec.Limits{}).Append(nil, newer); err != nil || string(got) != telemetryJSON {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := compile(t, codec.Protobuf, codec.JSON, codec.Limits{}).Append(nil, nil); err != nil || string(got) != "{}" {
		t.Errorf("the empty message: %s, %v", got, err)
	}
}

func TestProtobufRefusals(t *testing.T) {
	nest := func(n int) (b []byte) {
		for range n {
			b = protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), b)
		}
		return b
	}
	for _, c := range []struct {
		in   []byte
		kind error
		says string
	}{
		{[]byte{0xff}, codec.ErrMalformed, "protobuf at byte 0 ($): no tag of a field"},
		{wire()[:6], codec.ErrMalformed, "at byte 0 ($.device_id): the value of field 1 is cut short"},
		{append(nest(1), 0x0a, 1, 0xff), codec.ErrMalformed, "($.device_id): a text is not UTF-8"},
		{append([]byte{0x32, 3}, 0x0a, 1, 0xff), codec.ErrMalformed, "at byte 3 ($.nested.device_id): a text is not UTF-8"},
		{nest(70), codec.ErrLimit, "nested deeper than 64 levels"},
		{part(8, matryoshka(2000)), codec.ErrLimit, "nested deeper than 64 levels"},
		{slices.Concat(part(8, part1(anyURL)), part(8, part(2, matryoshka(2000)))), codec.ErrLimit, "nested deeper than 64 levels"},
		{protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), make([]byte, 100_001)), codec.ErrLimit, "($.samples): more than 100000 values"},
	} {
		got, err := compile(t, codec.Protobuf, codec.JSON, codec.Limits{}).Append([]byte("kept"), c.in)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || string(got) != "kept" {
			t.Errorf("%.40x: %q, %v; expected %s", c.in, got, err, c.says)
		}
	}
	to := compile(t, codec.JSON, codec.Protobuf, codec.Limits{})
	for in, says := range map[string]string{
		`{"temprature":1}`:               "protobuf at byte 1: (line 1:2): unknown field \"temprature\"",
		`{"temperature":"warm"}`:         "invalid value for double field temperature",
		`{"deviceId":"a","device_id":1}`: "duplicate field",
		`[1]`:                            "unexpected token [",
		`{"a":1,"a":2}`:                  "there twice",
	} {
		if got, err := to.Append([]byte("kept"), []byte(in)); err == nil || !strings.Contains(err.Error(), says) || string(got) != "kept" {
			t.Errorf("%s: %q, %v; expected %s", in, got, err, says)
		}
	}
}
