package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/codec"
)

// attrContentType is the attribute that has a payload's media type.
const attrContentType = "content_type"

// converters are the configuration's, by name. The mapping is not changed.
type converters struct {
	atomic.Pointer[map[string]*codec.Converter]
}

// form is how a client wants payloads.
type form struct {
	as        weftv1.Encoding
	converter *codec.Converter // nil for none
}

// form checks what a client asks for.
func (s *messages) form(as weftv1.Encoding, converter string) (form, error) {
	c, err := s.converter(converter)
	return form{as, c}, err
}

// converter finds one by its name; nil for no name.
func (s *messages) converter(name string) (*codec.Converter, error) {
	if name == "" {
		return nil, nil
	}
	all := *s.converters.Load()
	if c, ok := all[name]; ok {
		return c, nil
	}
	known := "it has none"
	if len(all) > 0 {
		known = "it has " + strings.Join(slices.Sorted(maps.Keys(all)), ", ")
	}
	return nil, fmt.Errorf("%w: the configuration has no converter %.80q: %s", ErrInvalidMessage, name, known)
}

// converted is a payload and its attributes behind the converter of that name.
func (s *messages) converted(name string, payload []byte, attrs abi.Attributes) ([]byte, abi.Attributes, error) {
	c, err := s.converter(name)
	if c == nil || err != nil {
		return payload, attrs, err
	}
	out, err := c.Append(nil, payload)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalidMessage, err)
	}
	if len(out) > abi.MaxPayload {
		return nil, nil, fmt.Errorf("%w: the converted payload has %d bytes, at most %d are allowed", ErrInvalidMessage, len(out), abi.MaxPayload)
	}
	attrs = withContentType(attrs, c.MediaType())
	if err := attrs.Validate(abi.MaxAttrs); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalidMessage, err)
	}
	return out, attrs, nil
}

// withContentType is a copy of the attributes that says so.
func withContentType(attrs abi.Attributes, mediaType string) abi.Attributes {
	out := abi.Attributes(nil).AppendString(attrContentType, mediaType)
	for name, value := range attrs.All() {
		if string(name) != attrContentType {
			out = out.Append(string(name), value)
		}
	}
	return out
}

// convert is the message's payload in the form, and why it is not where it could
// not be converted. The message's attributes say what it is then; the message
// belongs to the receiver.
func (f form) convert(m *abi.Message) (payload []byte, failure string) {
	if f.converter == nil {
		return m.Payload, ""
	}
	out, err := f.converter.Append(nil, m.Payload)
	if err != nil {
		return m.Payload, err.Error()
	}
	m.Attrs = withContentType(m.Attrs, f.converter.MediaType())
	return out, ""
}
