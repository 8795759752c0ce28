package codec

import (
	"errors"
	"fmt"
	"strings"
)

// Codec is how a payload is written down.
type Codec uint8

// The codecs.
const (
	Bytes Codec = iota + 1
	Text
	JSON
	Protobuf
	MessagePack
	CBOR
)

var codecs = []struct {
	codec     Codec
	name      string
	mediaType string
}{
	{Bytes, "bytes", "application/octet-stream"},
	{Text, "text", "text/plain; charset=utf-8"},
	{JSON, "json", "application/json"},
	{Protobuf, "protobuf", "application/protobuf"},
	{MessagePack, "msgpack", "application/vnd.msgpack"},
	{CBOR, "cbor", "application/cbor"},
}

// Names are the names of all codecs, as Parse takes them.
func Names() []string {
	names := make([]string, 0, len(codecs))
	for _, c := range codecs {
		names = append(names, c.name)
	}
	return names
}

// ErrCodec is wrapped by Parse's error.
var ErrCodec = errors.New("unknown codec")

// Parse returns the codec of that name; the error is ErrCodec.
func Parse(name string) (Codec, error) {
	for _, c := range codecs {
		if c.name == name {
			return c.codec, nil
		}
	}
	return 0, fmt.Errorf("%w: found %.40q, expected one of %s", ErrCodec, name, strings.Join(Names(), ", "))
}

// String is the codec's name.
func (c Codec) String() string {
	if c < Bytes || c > CBOR {
		return "unknown"
	}
	return codecs[c-1].name
}

// MediaType is the codec's media type, as HTTP's Content-Type has it; empty for
// no codec.
func (c Codec) MediaType() string {
	if c < Bytes || c > CBOR {
		return ""
	}
	return codecs[c-1].mediaType
}

// Limits bound what one conversion may take. Zero values stand for the defaults.
type Limits struct {
	// Size is the largest payload in bytes, before the conversion and after it;
	// 1 MiB by default.
	Size int
	// Depth is how deep lists and maps may be nested; 64 by default.
	Depth int
	// Values is how many values a payload may have, keys counted; 100,000 by
	// default.
	Values int
}

func (l Limits) orDefault() Limits {
	if l.Size <= 0 {
		l.Size = 1 << 20
	}
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.Values <= 0 {
		l.Values = 100_000
	}
	return l
}

// Spec says what a converter does.
type Spec struct {
	// Name is the converter's name, for errors.
	Name string
	// From is the codec that payloads have, To the one that they get. They may be
	// the same, which checks a payload and writes it in one canonical form; only
	// bytes to bytes says nothing.
	From, To Codec
	// Descriptor is a serialised google.protobuf.FileDescriptorSet, such as
	// "protoc --include_imports -o FILE" writes; needed if From or To is Protobuf.
	Descriptor []byte
	// Message is the full name of the message type in it: acme.Telemetry.
	Message string
	// Limits bound what a payload may take.
	Limits Limits
}

// ErrSpec is wrapped by the errors of Compile.
var ErrSpec = errors.New("not a converter")

func (s *Spec) check() error {
	needs := s.From == Protobuf || s.To == Protobuf
	switch {
	case s.From.MediaType() == "" || s.To.MediaType() == "":
		return fmt.Errorf("%w: from and to are both needed, each one of %s", ErrSpec, strings.Join(Names(), ", "))
	case s.From == Bytes && s.To == Bytes:
		return fmt.Errorf("%w: from bytes to bytes changes nothing: leave the converter out", ErrSpec)
	case needs && len(s.Descriptor) == 0:
		return fmt.Errorf("%w: protobuf needs a descriptor: protoc --include_imports -o FILE.binpb FILE.proto makes one", ErrSpec)
	case needs && s.Message == "":
		return fmt.Errorf("%w: protobuf needs the name of its message, such as acme.Telemetry", ErrSpec)
	case !needs && (len(s.Descriptor) > 0 || s.Message != ""):
		return fmt.Errorf("%w: descriptor and message are for protobuf, which is neither from (%s) nor to (%s)", ErrSpec, s.From, s.To)
	}
	return nil
}
