// Package tracing is weft's side of OpenTelemetry: W3C trace context, what is noted of
// a message's way, and an exporter that sends it by OTLP, over HTTP or gRPC. It knows
// nothing of weft's other parts, and nothing in it waits for the exporter.
package tracing

import (
	"encoding/hex"
	"math/rand/v2"
)

// The names under which a message carries its trace context, as attributes, headers and
// user properties (W3C Trace Context, section 3.2 and 3.3).
const (
	Parent = "traceparent"
	State  = "tracestate"
)

// ID is what a trace is known by: 16 bytes, not all of them 0.
type ID [16]byte

// SpanID is what a span is known by within its trace: 8 bytes, not all of them 0.
type SpanID [8]byte

// String is the id in hexadecimal, as logs and exemplars have it.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// String is the id in hexadecimal.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether there is no trace.
func (id ID) IsZero() bool { return id == ID{} }

// IsZero tells whether there is no span.
func (id SpanID) IsZero() bool { return id == SpanID{} }

// NewID makes the id of a new trace. It is random, and no secret.
func NewID() ID {
	var id ID
	for id.IsZero() {
		put(id[:8], rand.Uint64())
		put(id[8:], rand.Uint64())
	}
	return id
}

// NewSpanID makes the id of a new span.
func NewSpanID() SpanID {
	var id SpanID
	for id.IsZero() {
		put(id[:], rand.Uint64())
	}
	return id
}

func put(b []byte, n uint64) {
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
}

// Context is what a traceparent says.
type Context struct {
	Trace ID
	// Span is the caller's, which a new span has as its parent.
	Span SpanID
	// Sampled: the caller records this trace.
	Sampled bool
}

// parentSize is the length of a traceparent of version 00; later versions are not
// shorter (W3C Trace Context, section 3.2.2).
const parentSize = 2 + 1 + 32 + 1 + 16 + 1 + 2

// ParseParent reads a traceparent; false for anything that is none, which is then as if
// there were none at all (section 3.2.2.5). A later version is read as version 00 is,
// as far as that goes.
func ParseParent(b []byte) (c Context, ok bool) {
	if len(b) < parentSize || b[2] != '-' || b[35] != '-' || b[52] != '-' {
		return Context{}, false
	}
	var version, flags [1]byte
	if !unhex(version[:], b[:2]) || version[0] == 0xff || !unhex(c.Trace[:], b[3:35]) || !unhex(c.Span[:], b[36:52]) || !unhex(flags[:], b[53:55]) {
		return Context{}, false
	}
	if version[0] == 0 && len(b) != parentSize || len(b) > parentSize && b[parentSize] != '-' || c.Trace.IsZero() || c.Span.IsZero() {
		return Context{}, false
	}
	c.Sampled = flags[0]&1 != 0
	return c, true
}

// unhex reads lower-case hexadecimal digits, the only ones that are allowed.
func unhex(dst, digits []byte) bool {
	for i := range dst {
		high, low := nibble(digits[2*i]), nibble(digits[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// AppendParent appends the traceparent, of version 00.
func AppendParent(dst []byte, c Context) []byte {
	dst = append(dst, "00-"...)
	dst = hex.AppendEncode(dst, c.Trace[:])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, c.Span[:])
	if c.Sampled {
		return append(dst, "-01"...)
	}
	return append(dst, "-00"...)
}
