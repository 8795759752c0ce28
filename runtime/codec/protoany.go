package codec

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const anyName = "google.protobuf.Any"

// unpack checks what each Any in a message carries, as JSON shows it unpacked: with the
// limits of the whole payload. It goes through the message and not its wire form, where
// an Any, or what it stands in, may come in parts that only together are one
// (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
func (s *scanner) unpack(m protoreflect.Message, depth int, at *place) (err *Error) {
	if m.Descriptor().FullName() == anyName {
		return s.unpackAny(m, depth, at)
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		inner := &place{at, field.Name()}
		switch {
		case field.Message() == nil:
		case field.IsMap():
			if field.MapValue().Message() == nil {
				break
			}
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = s.unpack(v.Message(), depth+2, inner) // the entry is a level of the wire form
				return err == nil
			})
		case field.IsList():
			for list, i := v.List(), 0; i < list.Len() && err == nil; i++ {
				err = s.unpack(list.Get(i).Message(), depth+1, inner)
			}
		default:
			err = s.unpack(v.Message(), depth+1, inner)
		}
		return err == nil
	})
	return err
}

func (s *scanner) unpackAny(m protoreflect.Message, depth int, at *place) *Error {
	fields := m.Descriptor().Fields()
	kind, err := s.types.FindMessageByURL(m.Get(fields.ByNumber(1)).String())
	if err != nil {
		return nil // it is refused when it is shown
	}
	value := m.Get(fields.ByNumber(2)).Bytes()
	s.anys = false
	if fault := s.message(value, kind.Descriptor(), depth+1, at); fault != nil {
		fault.Offset = -1 // the value is a copy
		return fault
	}
	if !s.anys {
		return nil
	}
	inner := kind.New()
	if err := (proto.UnmarshalOptions{AllowPartial: true, Resolver: s.types, RecursionLimit: s.limits.Depth}).Unmarshal(value, inner.Interface()); err != nil {
		return protoFault(Protobuf, ErrMalformed, err)
	}
	return s.unpack(inner, depth+1, at)
}
