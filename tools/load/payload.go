package load

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Payload says what messages carry. The zero value is 128 opaque bytes.
type Payload struct {
	// Size is the payload's length in bytes. Default 128; with a Template that
	// has no {pad}, or with Raw, it is ignored.
	Size int
	// Template is text with the placeholders of Template. {stamp} is needed to
	// recognise the message; Request mode can do without. Empty for opaque bytes.
	Template string
	// Raw is the payload as it is, instead. The stamp takes the place of its first
	// 16 bytes (34 in text formats), but in Request mode nothing does.
	Raw string
	// Seed is what random placeholders follow from.
	Seed uint64
}

// payloadShape is one topic's payload with a place for the stamp, or the template that
// makes one for each message.
type payloadShape struct {
	bytes    []byte
	stampAt  int // -1: none
	text     bool
	template *Template // nil: bytes are the same for all messages but the stamp
	size     int       // of what template makes, where it has {pad}
	values   templateValues
}

func (p Payload) forTopic(topic string, n, client int, text, bare bool) (payloadShape, error) {
	size := p.Size
	if size == 0 {
		size = 128
	}
	if p.Template != "" {
		return p.fromTemplate(topic, n, client, size)
	}
	need := binaryStamp
	if text {
		need = textStamp
	}
	b := []byte(p.Raw)
	if p.Raw == "" {
		b = make([]byte, size)
		fill(b)
	} else if bare {
		return payloadShape{bytes: b, stampAt: -1, text: text}, nil
	}
	if len(b) < need {
		return payloadShape{}, fmt.Errorf("%w: a payload of %d bytes has no room for the stamp of %d", ErrConfig, len(b), need)
	}
	return payloadShape{bytes: b, text: text}, nil
}

func (p Payload) fromTemplate(topic string, n, client, size int) (payloadShape, error) {
	template, err := ParseTemplate(p.Template)
	if err != nil {
		return payloadShape{}, err
	}
	s := payloadShape{text: true, template: template, values: templateValues{
		topic: topic, n: n, client: client, seed: p.Seed, now: time.Now, stamp: stampMark + strings.Repeat("0", 2*binaryStamp),
	}}
	if template.has("pad") {
		s.size = size
	}
	s.render(0)
	if s.size > 0 && len(s.bytes) > size {
		return payloadShape{}, fmt.Errorf("%w: the payload template needs %d bytes, the size is %d", ErrConfig, len(s.bytes), size)
	}
	if !template.changes {
		s.template = nil
	}
	return s, nil
}

// render makes the payload of one message.
func (s *payloadShape) render(seq uint64) {
	s.values.seq, s.values.pad = seq, ""
	s.bytes = s.template.append(s.bytes[:0], &s.values)
	if missing := s.size - len(s.bytes); missing > 0 {
		pad := make([]byte, missing)
		fill(pad)
		s.values.pad = string(pad)
		s.bytes = s.template.append(s.bytes[:0], &s.values)
	}
	s.stampAt = bytes.Index(s.bytes, []byte(s.values.stamp))
}

// expand replaces {name} by its value; an unknown name stays as it is.
func expand(pattern string, values map[string]string) string {
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(pattern)
}

const letters = "abcdefghijklmnopqrstuvwxyz012345"

// fill writes letters and digits that repeat too seldom for a compressor to
// profit much, the same every time.
func fill(b []byte) {
	state := uint32(2463534242) // xorshift32: Marsaglia, Xorshift RNGs (2003)
	for i := range b {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		b[i] = letters[state>>27]
	}
}
