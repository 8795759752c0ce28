package frame

import (
	"bytes"
	"slices"

	"github.com/weftrun/weft/abi"
)

// textRules is a compiled text frame.
type textRules struct {
	delimiter []byte
	trim      []byte
	space     bool // an embedded delimiter becomes a space
	embedded  *Fault
}

// decodeLine is Decode for text: the payload is what stands before the
// delimiter.
func (f *Format) decodeLine(b []byte, m *abi.Message) (int, error) {
	t := f.text
	at := t.index(b[:min(len(b), f.limit)])
	if at < 0 {
		if len(b) < f.limit {
			return 0, nil
		}
		return 0, f.tooLong
	}
	n := at + len(t.delimiter)
	payload := b[:at:at]
	if len(t.trim) > 0 {
		payload = bytes.TrimSuffix(payload, t.trim)
	}
	m.Seq, m.Type, m.Priority = 0, f.typ, 0
	m.Topic, m.Attrs = nil, nil
	m.Payload, m.Frame = payload[:len(payload):len(payload)], b[:n:n]
	return n, nil
}

func (t *textRules) index(b []byte) int {
	if len(t.delimiter) == 1 {
		return bytes.IndexByte(b, t.delimiter[0])
	}
	return bytes.Index(b, t.delimiter)
}

// appendLine is Append for text. One delimiter at the payload's very end is the
// frame's own.
func (f *Format) appendLine(dst []byte, m *abi.Message) ([]byte, error) {
	t := f.text
	payload := bytes.TrimSuffix(m.Payload, t.delimiter)
	total := len(payload) + len(t.delimiter)
	if total > f.limit {
		return dst, f.tooLong
	}
	if t.index(payload) < 0 {
		dst = slices.Grow(dst, total)
		dst = append(dst, payload...)
		return append(dst, t.delimiter...), nil
	}
	if !t.space {
		return dst, t.embedded
	}
	dst = slices.Grow(dst, total)
	for {
		at := t.index(payload)
		if at < 0 {
			break
		}
		dst = append(append(dst, payload[:at]...), ' ')
		payload = payload[at+len(t.delimiter):]
	}
	dst = append(dst, payload...)
	return append(dst, t.delimiter...), nil
}
