package codec

import (
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"
)

// Converter converts payloads. It is immutable and may be used by any number of
// goroutines at once.
type Converter struct {
	name     string
	from, to Codec
	limits   Limits
	proto    *protoType // of Protobuf on either side
	states   sync.Pool  // *state
}

// state is what one conversion works in.
type state struct {
	tape tape
	text []byte // JSON on the way from or to Protobuf
}

// Compile makes a converter. The errors wrap ErrSpec.
func Compile(s Spec) (*Converter, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	c := &Converter{name: s.Name, from: s.From, to: s.To, limits: s.Limits.orDefault()}
	if s.From == Protobuf || s.To == Protobuf {
		var err error
		if c.proto, err = newProtoType(s.Descriptor, s.Message); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSpec, err)
		}
	}
	c.states.New = func() any { return new(state) }
	return c, nil
}

// Name is the converter's name.
func (c *Converter) Name() string { return c.name }

// From is the codec that payloads have before the conversion.
func (c *Converter) From() Codec { return c.from }

// To is the codec that payloads have after the conversion.
func (c *Converter) To() Codec { return c.to }

// MediaType is To's media type.
func (c *Converter) MediaType() string { return c.to.MediaType() }

// Append appends the converted payload to dst. dst and payload do not overlap;
// neither is kept. Between JSON, MessagePack, CBOR, text and bytes nothing is
// allocated but for dst's growth. On an error, which is an *Error, dst comes back
// as it was.
func (c *Converter) Append(dst, payload []byte) ([]byte, error) {
	if len(payload) > c.limits.Size {
		return dst, &Error{Converter: c.name, Codec: c.from, Kind: ErrLimit, Offset: -1,
			Found: fmt.Sprintf("the payload has %d bytes, at most %d are converted", len(payload), c.limits.Size)}
	}
	s := c.states.Get().(*state)
	grown, err := c.convert(s, dst, payload)
	s.end()
	c.states.Put(s)
	if err != nil {
		err.Converter = c.name
		return dst, err
	}
	return grown, nil
}

func (s *state) end() {
	s.tape.end()
	if s.text = s.text[:0]; cap(s.text) > 1<<20 {
		s.text = nil
	}
}

func (c *Converter) convert(s *state, dst, payload []byte) ([]byte, *Error) {
	from := c.from
	if from == Protobuf {
		text, err := c.proto.toJSON(s.text[:0], payload, c.limits)
		if err != nil {
			return dst, err
		}
		s.text = text
		if c.to == JSON {
			return c.fit(dst, text)
		}
		from, payload = JSON, text
	}
	if err := s.tape.read(from, payload, c.limits); err != nil {
		return dst, err
	}
	if c.to != Protobuf {
		return s.tape.write(c.to, dst)
	}
	if c.from != JSON {
		text, err := s.tape.write(JSON, s.text[:0])
		if err != nil {
			return dst, err
		}
		s.text, payload = text, text
	}
	return c.proto.fromJSON(dst, payload, c.limits)
}

// fit appends a text that may not be larger than the limit.
func (c *Converter) fit(dst, text []byte) ([]byte, *Error) {
	if len(text) > c.limits.Size {
		return dst, &Error{Codec: c.to, Kind: ErrLimit, Offset: -1, Found: fmt.Sprintf("the result is larger than %d bytes", c.limits.Size)}
	}
	return append(dst, text...), nil
}

// read reads a payload of any codec but Protobuf.
func (t *tape) read(c Codec, payload []byte, limits Limits) *Error {
	t.begin(c, payload, limits)
	switch c {
	case Bytes:
		t.text(kindBytes, 0, 0, len(payload), false)
	case Text:
		t.text(kindText, 0, 0, len(payload), false)
	case MessagePack:
		t.readAll((*tape).msgpackValue)
	case CBOR:
		t.readAll((*tape).cborValue)
	default:
		t.readJSON()
	}
	return t.err
}

// write appends what was read in the form of any codec but Protobuf.
func (t *tape) write(c Codec, dst []byte) ([]byte, *Error) {
	w := &t.out
	*w = writer{tape: t, dst: dst, most: len(dst) + t.limits.Size, codec: c}
	defer func() { w.dst = nil }()
	var err *Error
	switch c {
	case Bytes:
		err = w.bytes()
	case Text:
		err = w.text()
	case MessagePack:
		err = w.msgpack(0)
	case CBOR:
		err = w.cbor(0)
	default:
		err = w.json(0)
	}
	return w.dst, err
}

// text writes a payload that is a single text.
func (w *writer) text() *Error {
	n := &w.tape.nodes[0]
	b := w.tape.bytes(n)
	if n.kind != kindText && (n.kind != kindBytes || !utf8.Valid(b)) {
		return w.tape.refuse(0, w.codec, "the payload is %s, expected one text", kindNames[n.kind])
	}
	w.dst = append(w.dst, b...)
	return w.full(0)
}

// bytes writes a payload that is a single value of bytes, or their base64.
func (w *writer) bytes() *Error {
	n := &w.tape.nodes[0]
	switch n.kind {
	case kindBytes:
		w.dst = append(w.dst, w.tape.bytes(n)...)
	case kindText:
		if w.tape.codec == Text {
			w.dst = append(w.dst, w.tape.bytes(n)...)
			break
		}
		grown, err := base64.StdEncoding.Strict().AppendDecode(w.dst, w.tape.bytes(n))
		var corrupt base64.CorruptInputError
		if errors.As(err, &corrupt) {
			return w.tape.refuse(0, w.codec, "the text is not base64 (standard alphabet, padded) from its byte %d on", int64(corrupt))
		}
		w.dst = grown
	default:
		return w.tape.refuse(0, w.codec, "the payload is %s, expected bytes, or their base64 as one text", kindNames[n.kind])
	}
	return w.full(0)
}
