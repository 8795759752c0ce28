package codec

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// scanner goes through a payload of Protobuf before anything is made of it: what
// it may become is bounded, and what is wrong has a place.
type scanner struct {
	limits Limits
	types  *dynamicpb.Types
	values int
	source []byte
	anys   bool // an Any was seen, whose value is not checked yet
}

// scan checks the wire form of a payload against its type. What an Any carries is
// checked when the payload has become a message: only that has its parts together.
func (p *protoType) scan(payload []byte, limits Limits) (scanner, *Error) {
	s := scanner{limits: limits, types: p.types, source: payload}
	err := s.message(payload, p.kind.Descriptor(), 0, nil)
	return s, err
}

// place is a way to a field, innermost first.
type place struct {
	outer *place
	name  protoreflect.Name
}

func (p *place) String() string {
	if p == nil {
		return "$"
	}
	return p.outer.String() + "." + string(p.name)
}

// fail is about what stands before rest, which is the end of the source or of a
// part of it.
func (s *scanner) fail(kind error, offset int, at *place, format string, args ...any) *Error {
	return &Error{Codec: Protobuf, Kind: kind, Offset: offset, Path: at.String(), Found: fmt.Sprintf(format, args...)}
}

// offset is where in the source a part of it begins.
func (s *scanner) offset(part []byte) int { return cap(s.source) - cap(part) }

func (s *scanner) message(b []byte, d protoreflect.MessageDescriptor, depth int, at *place) *Error {
	if depth >= s.limits.Depth {
		return s.fail(ErrLimit, s.offset(b), at, "nested deeper than %d levels", s.limits.Depth)
	}
	s.anys = s.anys || d.FullName() == anyName
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return s.fail(ErrMalformed, s.offset(b), at, "no tag of a field is here: the payload is cut short or not of type %s", d.FullName())
		}
		field := s.find(d, number)
		inner := at
		if field != nil {
			inner = &place{at, field.Name()}
		}
		length := protowire.ConsumeFieldValue(number, wire, b[n:])
		if length < 0 {
			return s.fail(ErrMalformed, s.offset(b), inner, "the value of field %d is cut short or malformed", number)
		}
		if s.values++; s.values > s.limits.Values {
			return s.fail(ErrLimit, s.offset(b), inner, "more than %d values", s.limits.Values)
		}
		if field != nil {
			if err := s.field(b[n:n+length], wire, field, depth, inner); err != nil {
				return err
			}
		}
		b = b[n+length:]
	}
	return nil
}

// find returns the field of a message, or its extension; nil for none.
func (s *scanner) find(d protoreflect.MessageDescriptor, number protowire.Number) protoreflect.FieldDescriptor {
	if field := d.Fields().ByNumber(number); field != nil {
		return field
	}
	if d.ExtensionRanges().Has(number) {
		if x, err := s.types.FindExtensionByNumber(d.FullName(), number); err == nil {
			return x.TypeDescriptor()
		}
	}
	return nil
}

// field checks one value; v has the length before it where the wire type does.
func (s *scanner) field(v []byte, wire protowire.Type, field protoreflect.FieldDescriptor, depth int, at *place) *Error {
	switch wire {
	case protowire.BytesType:
		content, _ := protowire.ConsumeBytes(v)
		content = v[len(v)-len(content):]
		switch kind := field.Kind(); {
		case kind == protoreflect.MessageKind:
			return s.message(content, field.Message(), depth+1, at)
		case kind == protoreflect.StringKind && !utf8.Valid(content):
			return s.fail(ErrMalformed, s.offset(v), at, "a text is not UTF-8: %s", show(content))
		case kind != protoreflect.StringKind && kind != protoreflect.BytesKind && field.IsList():
			return s.packed(content, kind, at)
		}
	case protowire.StartGroupType:
		if field.Kind() == protoreflect.GroupKind {
			content, _ := protowire.ConsumeGroup(field.Number(), v)
			return s.message(v[:len(content)], field.Message(), depth+1, at)
		}
	}
	return nil
}

// packed counts the elements of a packed list.
func (s *scanner) packed(content []byte, kind protoreflect.Kind, at *place) *Error {
	switch kind {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		s.values += len(content) / 4
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		s.values += len(content) / 8
	default:
		for _, c := range content {
			if c < 0x80 {
				s.values++
			}
		}
	}
	if s.values > s.limits.Values {
		return s.fail(ErrLimit, s.offset(content), at, "more than %d values", s.limits.Values)
	}
	return nil
}
