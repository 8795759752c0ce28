package codec

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "google.golang.org/protobuf/types/known/anypb"       // what schemas import and descriptor sets may leave out
	_ "google.golang.org/protobuf/types/known/durationpb"  // the same
	_ "google.golang.org/protobuf/types/known/emptypb"     // the same
	_ "google.golang.org/protobuf/types/known/fieldmaskpb" // the same
	_ "google.golang.org/protobuf/types/known/structpb"    // the same
	_ "google.golang.org/protobuf/types/known/timestamppb" // the same
	_ "google.golang.org/protobuf/types/known/wrapperspb"  // the same
)

// protoType is a message type of a descriptor set.
type protoType struct {
	kind  protoreflect.MessageType
	types *dynamicpb.Types
	free  sync.Pool // proto.Message, empty
}

func newProtoType(set []byte, message string) (*protoType, error) {
	var files descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(set, &files); err != nil {
		return nil, fmt.Errorf("the descriptor is no FileDescriptorSet: protoc --include_imports -o FILE.binpb FILE.proto makes one: %s", plain(err))
	}
	addWellKnown(&files)
	registry, err := protodesc.NewFiles(&files)
	if err != nil {
		return nil, fmt.Errorf("the descriptor is not complete: make it by protoc with --include_imports: %s", plain(err))
	}
	found, err := registry.FindDescriptorByName(protoreflect.FullName(message))
	described, ok := found.(protoreflect.MessageDescriptor)
	if err != nil || !ok {
		return nil, fmt.Errorf("the descriptor has no message %.80q; it has %s", message, strings.Join(messagesOf(registry), ", "))
	}
	p := &protoType{kind: dynamicpb.NewMessageType(described), types: dynamicpb.NewTypes(registry)}
	p.free.New = func() any { return p.kind.New().Interface() }
	return p, nil
}

// addWellKnown adds the imported files of google.protobuf that are missing.
func addWellKnown(set *descriptorpb.FileDescriptorSet) {
	have := map[string]bool{}
	for _, f := range set.GetFile() {
		have[f.GetName()] = true
	}
	for i := 0; i < len(set.File); i++ { // it grows
		for _, name := range set.File[i].GetDependency() {
			if have[name] || !strings.HasPrefix(name, "google/protobuf/") {
				continue
			}
			if f, err := protoregistry.GlobalFiles.FindFileByPath(name); err == nil {
				have[name] = true
				set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
			}
		}
	}
}

// messagesOf names some messages of a set, for an error.
func messagesOf(files *protoregistry.Files) []string {
	var names []string
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(f.Path(), "google/protobuf/") {
			for i := range f.Messages().Len() {
				names = append(names, string(f.Messages().Get(i).FullName()))
			}
		}
		return true
	})
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return []string{"none of its own"}
	case len(names) > 12:
		names = append(names[:12], "...")
	}
	return names
}

// toJSON appends a payload of Protobuf as canonical JSON without white space.
func (p *protoType) toJSON(dst, payload []byte, limits Limits) ([]byte, *Error) {
	s, fault := p.scan(payload, limits)
	if fault != nil {
		return dst, fault
	}
	m := p.free.Get().(proto.Message)
	defer p.recycle(m)
	if err := (proto.UnmarshalOptions{Resolver: p.types, RecursionLimit: limits.Depth}).Unmarshal(payload, m); err != nil {
		return dst, protoFault(Protobuf, ErrMalformed, err)
	}
	if s.anys {
		if fault := s.unpack(m.ProtoReflect(), 0, nil); fault != nil {
			return dst, fault
		}
	}
	start := len(dst)
	grown, err := protojson.MarshalOptions{Resolver: p.types}.MarshalAppend(dst, m)
	if err != nil {
		return dst, protoFault(JSON, ErrNoCounterpart, err)
	}
	return grown[:start+squeeze(grown[start:])], nil
}

// fromJSON appends a JSON text as the message.
func (p *protoType) fromJSON(dst, text []byte, limits Limits) ([]byte, *Error) {
	m := p.free.Get().(proto.Message)
	defer p.recycle(m)
	if err := (protojson.UnmarshalOptions{Resolver: p.types, RecursionLimit: limits.Depth}).Unmarshal(text, m); err != nil {
		fault := protoFault(Protobuf, ErrNoCounterpart, err)
		fault.Offset = offsetOf(text, fault.Found)
		return dst, fault
	}
	start := len(dst)
	grown, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, m)
	if err != nil {
		return dst, protoFault(Protobuf, ErrNoCounterpart, err)
	}
	if len(grown)-start > limits.Size {
		return dst, &Error{Codec: Protobuf, Kind: ErrLimit, Offset: -1, Found: fmt.Sprintf("the result is larger than %d bytes", limits.Size)}
	}
	return grown, nil
}

func (p *protoType) recycle(m proto.Message) {
	proto.Reset(m)
	p.free.Put(m)
}

func protoFault(c Codec, kind error, err error) *Error {
	return &Error{Codec: c, Kind: kind, Offset: -1, Found: plain(err)}
}

// plain is an error of the Protobuf library without the prefix and the spaces
// that it varies on purpose.
func plain(err error) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, err.Error())
	return strings.TrimSpace(strings.TrimPrefix(text, "proto:"))
}

var lineAndColumn = regexp.MustCompile(`\(line (\d+):(\d+)\)`)

// offsetOf turns the line and column of an error into an offset; -1 for none.
func offsetOf(text []byte, fault string) int {
	at := lineAndColumn.FindStringSubmatch(fault)
	if at == nil {
		return -1
	}
	line, err1 := strconv.Atoi(at[1])
	column, err2 := strconv.Atoi(at[2])
	if err1 != nil || err2 != nil {
		return -1
	}
	for i, c := range text {
		if line == 1 {
			return min(i+column-1, len(text))
		}
		if c == '\n' {
			line--
		}
	}
	return -1
}

// squeeze takes the white space out of a JSON text, in place, and returns the
// length that is left.
func squeeze(text []byte) int {
	n, inText := 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inText && c == '\\' && i+1 < len(text):
			text[n] = c
			n, i = n+1, i+1
			c = text[i]
		case c == '"':
			inText = !inText
		case !inText && c == ' ':
			continue
		}
		text[n] = c
		n++
	}
	return n
}
