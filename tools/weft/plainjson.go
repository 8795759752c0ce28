package main

import (
	"encoding/json"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// printLines prints a list as --json does of every listing: an entry a line, each as of; an
// empty list is no line.
func printLines[T, L any](w io.Writer, list []T, of func(T) L) error {
	out := json.NewEncoder(w)
	for _, one := range list {
		if err := out.Encode(of(one)); err != nil {
			return err
		}
	}
	return nil
}

// asIs is an entry that is printed as it is.
func asIs[T any](one T) T { return one }

// printPlain prints a message of the API as one line of JSON that scripts can compute
// with: the definitions' names, numbers as numbers, durations in seconds under NAME_seconds,
// names of enumerations in lower case without their prefix. What is empty is there, too,
// but for messages.
func printPlain(w io.Writer, m proto.Message) error {
	return json.NewEncoder(w).Encode(plainMessage(m.ProtoReflect()))
}

func plainMessage(m protoreflect.Message) map[string]any {
	out, fields := map[string]any{}, m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		name, of := string(f.Name()), f.Message()
		if of != nil && of.FullName() == "google.protobuf.Duration" && !f.IsList() {
			name += "_seconds"
			if !m.Has(f) {
				out[name] = 0.0
				continue
			}
		} else if of != nil && !f.IsList() && !f.IsMap() && !m.Has(f) {
			continue
		}
		out[name] = plainField(f, m.Get(f))
	}
	return out
}

func plainField(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch {
	case f.IsList():
		list := make([]any, 0, v.List().Len())
		for i := range v.List().Len() {
			list = append(list, plainValue(f, v.List().Get(i)))
		}
		return list
	case f.IsMap():
		out := map[string]any{}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			out[k.String()] = plainValue(f.MapValue(), v)
			return true
		})
		return out
	}
	return plainValue(f, v)
}

func plainValue(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return enumName(f.Enum(), v.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		switch m := v.Message().Interface().(type) {
		case *durationpb.Duration:
			return m.AsDuration().Seconds()
		case *timestamppb.Timestamp:
			return m.AsTime()
		}
		return plainMessage(v.Message())
	}
	return v.Interface()
}

// enumName is a value's name without what all names of its enumeration begin with.
func enumName(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	value := e.Values().ByNumber(n)
	if value == nil {
		return ""
	}
	none := string(e.Values().ByNumber(0).Name())
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), strings.TrimSuffix(none, "UNSPECIFIED")))
}
