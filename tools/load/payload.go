package load

import (
	"fmt"
	"strconv"
	"strings"
)

// Payload says what messages carry. The zero value is 128 opaque bytes.
type Payload struct {
	// Size is the payload's length in bytes. Default 128; with a Template that
	// has no {pad} it is ignored.
	Size int
	// Template is text with placeholders: {stamp} (34 characters, needed to
	// recognise the message; Request mode can do without), {topic} the topic,
	// {n} its number, {pad} whatever is missing to Size. Empty for opaque bytes.
	Template string
}

// shape is one topic's payload with a place for the stamp.
type payloadShape struct {
	bytes   []byte
	stampAt int // -1: none
	text    bool
}

func (p Payload) forTopic(topic string, n int, text bool) (payloadShape, error) {
	size := p.Size
	if size == 0 {
		size = 128
	}
	if p.Template != "" {
		return p.fromTemplate(topic, n, size)
	}
	need := binaryStamp
	if text {
		need = textStamp
	}
	if size < need {
		return payloadShape{}, fmt.Errorf("%w: a payload of %d bytes has no room for the stamp of %d", ErrConfig, size, need)
	}
	b := make([]byte, size)
	fill(b)
	return payloadShape{bytes: b, text: text}, nil
}

func (p Payload) fromTemplate(topic string, n, size int) (payloadShape, error) {
	mark := stampMark + strings.Repeat("0", 2*binaryStamp)
	values := map[string]string{"topic": topic, "n": strconv.Itoa(n), "stamp": mark, "pad": ""}
	text := expand(p.Template, values)
	if strings.Contains(p.Template, "{pad}") {
		if len(text) > size {
			return payloadShape{}, fmt.Errorf("%w: the payload template needs %d bytes, the size is %d", ErrConfig, len(text), size)
		}
		pad := make([]byte, size-len(text))
		fill(pad)
		values["pad"] = string(pad)
		text = expand(p.Template, values)
	}
	return payloadShape{bytes: []byte(text), stampAt: strings.Index(text, mark), text: true}, nil
}

// expand replaces {name} by its value; an unknown name stays as it is.
func expand(pattern string, values map[string]string) string {
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(pattern)
}

// fill writes letters and digits that repeat too seldom for a compressor to
// profit much, the same every time.
func fill(b []byte) {
	state := uint32(2463534242) // xorshift32: Marsaglia, Xorshift RNGs (2003)
	const letters = "abcdefghijklmnopqrstuvwxyz012345"
	for i := range b {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		b[i] = letters[state>>27]
	}
}
