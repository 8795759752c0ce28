package admin

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// askedText is how many bytes of a text an audit record has.
	askedText = 200
	// askedList is how many values of a list it has, before their number.
	askedList = 10
)

// fieldsAsked are the fields of a request, by the names that its definition has. Left out is
// what is unset; but a number of the request itself is always there, for 0 may be the very
// thing that is asked for. Bytes, and fields that the definition marks with debug_redact,
// are told by their size alone.
func fieldsAsked(m protoreflect.Message, numbers bool) []slog.Attr {
	var out []slog.Attr
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if m.Has(f) || numbers && isNumber(f) && !f.HasPresence() {
			out = append(out, slog.Attr{Key: string(f.Name()), Value: fieldAsked(f, m.Get(f))})
		}
	}
	return out
}

func isNumber(f protoreflect.FieldDescriptor) bool {
	switch f.Kind() {
	case protoreflect.BoolKind, protoreflect.EnumKind, protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind, protoreflect.GroupKind:
		return false
	}
	return f.Cardinality() != protoreflect.Repeated
}

func fieldAsked(f protoreflect.FieldDescriptor, v protoreflect.Value) slog.Value {
	switch {
	case f.IsMap():
		return slog.StringValue(fmt.Sprintf("%d entries", v.Map().Len()))
	case f.IsList():
		return listAsked(f, v.List())
	case hidden(f) && f.Kind() == protoreflect.StringKind:
		return slog.StringValue(fmt.Sprintf("%d bytes", len(v.String())))
	case f.Kind() == protoreflect.BytesKind:
		return slog.StringValue(fmt.Sprintf("%d bytes", len(v.Bytes())))
	case hidden(f):
		return slog.StringValue("hidden")
	case f.Kind() == protoreflect.MessageKind:
		return messageAsked(v.Message())
	case f.Kind() == protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return slog.StringValue(string(e.Name()))
		}
		return slog.IntValue(int(v.Enum()))
	case f.Kind() == protoreflect.StringKind:
		return slog.StringValue(bounded(v.String()))
	}
	return slog.AnyValue(v.Interface())
}

// listAsked is the first values of a list, and how many there are if they are more.
func listAsked(f protoreflect.FieldDescriptor, list protoreflect.List) slog.Value {
	switch f.Kind() {
	case protoreflect.BytesKind, protoreflect.MessageKind, protoreflect.GroupKind:
		return slog.StringValue(fmt.Sprintf("%d values", list.Len()))
	}
	if hidden(f) {
		return slog.StringValue(fmt.Sprintf("%d values", list.Len()))
	}
	var texts []string
	for i := range min(list.Len(), askedList) {
		texts = append(texts, bounded(list.Get(i).String()))
	}
	text := strings.Join(texts, " ")
	if list.Len() > askedList {
		text += fmt.Sprintf(" ... (%d)", list.Len())
	}
	return slog.StringValue(text)
}

func messageAsked(m protoreflect.Message) slog.Value {
	switch known := m.Interface().(type) {
	case *durationpb.Duration:
		return slog.DurationValue(known.AsDuration())
	case *timestamppb.Timestamp:
		return slog.StringValue(known.AsTime().Format(time.RFC3339Nano))
	}
	return slog.GroupValue(fieldsAsked(m, false)...)
}

// hidden tells whether the definition says that no log may have the field.
func hidden(f protoreflect.FieldDescriptor) bool {
	options, ok := f.Options().(*descriptorpb.FieldOptions)
	return ok && options.GetDebugRedact()
}

// bounded is the beginning of a text that is too long for a record.
func bounded(text string) string {
	if len(text) <= askedText {
		return text
	}
	cut := askedText
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "..."
}
