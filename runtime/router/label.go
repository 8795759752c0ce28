package router

import "bytes"

// label is the levels that lead to a node from its parent, joined by '/', with '+'
// for wildcards: one at least, but for the root, which has none. A short one lies
// in the node itself, so that reading it costs no further miss of the processor's
// cache. It never changes.
type label struct {
	text [shortLabel]byte
	size uint8   // longLabel for a long one
	long *[]byte // nil for a short one
}

const (
	shortLabel = 23
	longLabel  = 0xff
)

// newLabel returns a label with a copy of the text.
func newLabel[L string | []byte](text L) label {
	if len(text) > shortLabel {
		long := append(make([]byte, 0, len(text)), text...)
		return label{size: longLabel, long: &long}
	}
	l := label{size: uint8(len(text))}
	copy(l.text[:], text)
	return l
}

// bytes is the label's text; it must not be changed.
func (l *label) bytes() []byte {
	if l.size == longLabel {
		return *l.long
	}
	return l.text[:l.size]
}

// begins reports whether the text's first level is that one.
func begins[L string | []byte](text []byte, level L) bool {
	n := len(level)
	return len(text) >= n && string(text[:n]) == string(level) && (len(text) == n || text[n] == '/')
}

// commonLevels is how long the part of the text is that the pattern begins with,
// in whole levels; the first level is common. A '#' is no level.
func commonLevels(text []byte, pattern string) int {
	end := 0
	for i := 0; ; i++ {
		textEnds := i == len(text) || text[i] == '/'
		patternEnds := i == len(pattern) || pattern[i] == '/'
		if textEnds && patternEnds {
			end = i
		}
		if i == len(text) || i == len(pattern) || text[i] != pattern[i] {
			return end
		}
	}
}

// follow goes along the topic as far as a label's text goes. ok is false where they
// part; more says that rest is still to come behind the text.
func follow(text, topic []byte) (rest []byte, more, ok bool) {
	for len(text) > 0 {
		if text[0] == '+' {
			text, topic = text[1:], topic[levelEnd(topic):]
			continue
		}
		n := len(text)
		// A topic may have the sign of a wildcard in a level: it is no wildcard there.
		if len(topic) < n || string(topic[:n]) != string(text) || len(topic) > n && topic[n] != '/' {
			if n = namesEnd(text); n == len(text) || len(topic) < n || string(topic[:n]) != string(text[:n]) {
				return nil, false, false
			}
		}
		text, topic = text[n:], topic[n:]
	}
	switch {
	case len(topic) == 0:
		return nil, false, true
	case topic[0] == '/':
		return topic[1:], true, true
	}
	return nil, false, false
}

// levelEnd is where the topic's first level ends.
func levelEnd(topic []byte) int {
	if i := bytes.IndexByte(topic, '/'); i >= 0 {
		return i
	}
	return len(topic)
}

// namesEnd is where the text's first wildcard stands, or its end.
func namesEnd(text []byte) int {
	if i := bytes.IndexByte(text, '+'); i >= 0 {
		return i
	}
	return len(text)
}
