package std_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A schema with everything that the mapping knows, a line a field: label, type,
// name, number; opt is proto3's optional, in NAME a member of a oneof.
const (
	schema3 = `
		rep float f 2
		one double d 1
		one int32 i32 3
		one int64 i64 4
		one uint32 u32 5
		one uint64 u64 6
		one sint32 s32 7
		one sint64 s64 8
		one fixed32 x32 9
		one fixed64 x64 10
		one sfixed32 sx32 11
		one sfixed64 sx64 12
		one bool flag 13
		one string some_text 14
		one bytes raw 15
		one .t.Colour colour 16
		one .t.All child 17
		opt int32 maybe 18
		opt string maybe_text 19
		rep int32 many 20
		rep string texts 21
		rep .t.Colour colours 22
		rep .t.All children 23
		rep sint64 loose 24
		rep bytes raws 25
		rep bool flags 26
		rep fixed64 fixeds 27
		in choice string choice_text 30
		in choice int64 choice_number 31
		in choice .t.Two choice_two 32
		in choice .google.protobuf.NullValue choice_null 33
		one .google.protobuf.Timestamp at 40
		one .google.protobuf.Duration takes 41
		one .google.protobuf.FieldMask mask 42
		one .google.protobuf.Struct any_object 43
		one .google.protobuf.Value any_value 44
		one .google.protobuf.ListValue any_list 45
		one .google.protobuf.BoolValue w_bool 46
		one .google.protobuf.Int64Value w_long 47
		one .google.protobuf.DoubleValue w_double 48
		one .google.protobuf.StringValue w_text 49
		one .google.protobuf.BytesValue w_bytes 50
		one .google.protobuf.UInt32Value w_word 51
		one .google.protobuf.FloatValue w_float 52
		one .google.protobuf.Empty nothing 53
		rep .google.protobuf.Timestamp moments 54
		rep .google.protobuf.Value values 55
		rep .google.protobuf.StringValue w_texts 56
		one .t.Two two 57
		map string:int32 by_name 60
		map int32:string by_number 61
		map bool:.t.All by_flag 62
		map uint64:double by_long 63
		map sint32:bytes by_sint 64
		map fixed32:.t.Colour by_fixed 65
		map sfixed64:.google.protobuf.Value by_value 66
		map string:.google.protobuf.Duration by_time 67`
	schema2 = `
		req int32 must 1
		one string text 2
		rep int32 loose 3
		one bool flag 4
		one .t.Old old 5
		one bytes raw 6
		rep .t.Two more 7`
)

var fieldTypes = map[string]descriptorpb.FieldDescriptorProto_Type{
	"double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "fixed64": 6, "fixed32": 7, "bool": 8, "string": 9,
	"bytes": 12, "uint32": 13, "sfixed32": 15, "sfixed64": 16, "sint32": 17, "sint64": 18,
}

func describeMessage(name, fields string) *descriptorpb.DescriptorProto {
	m := &descriptorpb.DescriptorProto{Name: &name}
	oneofs := map[string]int32{}
	oneof := func(name string) *int32 {
		if _, ok := oneofs[name]; !ok {
			oneofs[name] = int32(len(m.OneofDecl))
			m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: &name})
		}
		return proto.Int32(oneofs[name])
	}
	var synthetic []func()
	for line := range strings.Lines(strings.TrimSpace(fields)) {
		w := strings.Fields(line)
		f := &descriptorpb.FieldDescriptorProto{Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		kind := w[1]
		switch w[0] {
		case "rep":
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		case "req":
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum()
		case "opt":
			f.Proto3Optional = proto.Bool(true)
			synthetic = append(synthetic, func() { f.OneofIndex = oneof("_" + f.GetName()) })
		case "in":
			f.OneofIndex = oneof(w[1])
			kind = w[2]
		case "map":
			key, value, _ := strings.Cut(w[1], ":")
			entry := describeMessage("", "one "+key+" key 1\none "+value+" value 2")
			var camel strings.Builder
			for part := range strings.SplitSeq(w[2], "_") {
				camel.WriteString(strings.ToUpper(part[:1]) + part[1:])
			}
			entry.Name = proto.String(camel.String() + "Entry")
			entry.Options = &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}
			m.NestedType = append(m.NestedType, entry)
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
			kind = ".t." + name + "." + entry.GetName()
		}
		f.Name = proto.String(w[len(w)-2])
		var number int32
		fmt.Sscan(w[len(w)-1], &number)
		f.Number = &number
		if f.GetName() == "loose" && name == "All" {
			f.Options = &descriptorpb.FieldOptions{Packed: proto.Bool(false)}
		}
		if t, ok := fieldTypes[kind]; ok {
			f.Type = &t
		} else {
			f.TypeName = proto.String(kind)
			f.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
			if kind == ".t.Colour" || kind == ".google.protobuf.NullValue" {
				f.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
			}
		}
		m.Field = append(m.Field, f)
	}
	for _, s := range synthetic {
		s()
	}
	return m
}

// schemaFiles is the schema as descriptors, and as a FileDescriptorSet in base64.
var schemaFiles = sync.OnceValues(func() (func(string) protoreflect.MessageDescriptor, string) {
	set := &descriptorpb.FileDescriptorSet{}
	for _, f := range []protoreflect.FileDescriptor{
		timestamppb.File_google_protobuf_timestamp_proto, durationpb.File_google_protobuf_duration_proto,
		fieldmaskpb.File_google_protobuf_field_mask_proto, structpb.File_google_protobuf_struct_proto,
		wrapperspb.File_google_protobuf_wrappers_proto, emptypb.File_google_protobuf_empty_proto, anypb.File_google_protobuf_any_proto,
	} {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	value := func(name string, n int32) *descriptorpb.EnumValueDescriptorProto {
		return &descriptorpb.EnumValueDescriptorProto{Name: &name, Number: &n}
	}
	var known []string
	for _, f := range set.File {
		known = append(known, f.GetName())
	}
	set.File = append(set.File,
		&descriptorpb.FileDescriptorProto{
			Name: proto.String("two.proto"), Package: proto.String("t"), Syntax: proto.String("proto2"),
			MessageType: []*descriptorpb.DescriptorProto{describeMessage("Two", schema2), describeMessage("Old", "one string text 1\nrep string texts 2")},
		},
		&descriptorpb.FileDescriptorProto{
			Name: proto.String("three.proto"), Package: proto.String("t"), Syntax: proto.String("proto3"), Dependency: append(known, "two.proto"),
			EnumType: []*descriptorpb.EnumDescriptorProto{{
				Name: proto.String("Colour"), Options: &descriptorpb.EnumOptions{AllowAlias: proto.Bool(true)},
				Value: []*descriptorpb.EnumValueDescriptorProto{value("NONE", 0), value("RED", 1), value("ROUGE", 1), value("BELOW", -7)},
			}},
			MessageType: []*descriptorpb.DescriptorProto{describeMessage("All", schema3), describeMessage("Box", "one .google.protobuf.Any any 1")},
		})
	files, err := protodesc.NewFiles(set)
	if err != nil {
		panic(err)
	}
	b, err := proto.Marshal(set)
	if err != nil {
		panic(err)
	}
	find := func(name string) protoreflect.MessageDescriptor {
		d, err := files.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			panic(err)
		}
		return d.(protoreflect.MessageDescriptor)
	}
	return find, base64.StdEncoding.EncodeToString(b)
})
