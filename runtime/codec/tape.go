package codec

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

type kind uint8

const (
	kindNull kind = iota
	kindFalse
	kindTrue
	kindInt    // bits is an int64 below 0
	kindUint   // bits is a uint64
	kindFloat  // bits are a float64's
	kindNumber // a literal of JSON that neither of these holds
	kindText
	kindBytes
	kindArray
	kindObject
)

// node is one value. A list's or map's elements follow it; a map's are key,
// value, key, value.
type node struct {
	bits    uint64
	from    int32 // bytes of a text, of bytes, or of a number's literal in JSON
	to      int32
	next    int32 // the node after this one and all that is in it; 0 while it is being read
	count   int32 // elements, or pairs
	offset  int32 // where in the payload it begins
	kind    kind
	inExtra bool // the bytes are in extra, not in the source
}

// tape is a payload as a flat list of values, and the reader's state. It is used
// again and again.
type tape struct {
	codec  Codec // the source's
	limits Limits
	source []byte
	extra  []byte // bytes that do not stand in the source as they are
	nodes  []node
	keys   []int32
	pos    int
	depth  int
	err    *Error
	out    writer
}

func (t *tape) begin(c Codec, source []byte, limits Limits) {
	t.codec, t.source, t.limits = c, source, limits
	t.extra, t.nodes, t.pos, t.depth, t.err = t.extra[:0], t.nodes[:0], 0, 0, nil
}

// end forgets the payload and keeps memory of ordinary size.
func (t *tape) end() {
	const most = 1 << 20
	t.source, t.err = nil, nil
	if cap(t.extra) > most {
		t.extra = nil
	}
	if cap(t.nodes)*32 > most {
		t.nodes, t.keys = nil, nil
	}
}

// bytes are the bytes of a text, of bytes or of a literal.
func (t *tape) bytes(n *node) []byte {
	if n.inExtra {
		return t.extra[n.from:n.to]
	}
	return t.source[n.from:n.to]
}

// fail notes the first thing that is wrong; it is always false.
func (t *tape) fail(kind error, offset int, format string, args ...any) bool {
	if t.err == nil {
		t.err = &Error{Codec: t.codec, Kind: kind, Offset: offset, Path: t.path(int32(len(t.nodes))), Found: fmt.Sprintf(format, args...)}
	}
	return false
}

func (t *tape) cutShort() bool {
	return t.fail(ErrMalformed, len(t.source), "the payload ends in the middle of a value")
}

// add appends a value that is complete but for what the caller fills in.
func (t *tape) add(k kind, offset int) *node {
	if len(t.nodes) >= t.limits.Values {
		t.fail(ErrLimit, offset, "more than %d values", t.limits.Values)
		return nil
	}
	t.nodes = append(t.nodes, node{kind: k, offset: int32(offset), next: int32(len(t.nodes) + 1)})
	return &t.nodes[len(t.nodes)-1]
}

func (t *tape) scalar(k kind, offset int, bits uint64) bool {
	n := t.add(k, offset)
	if n == nil {
		return false
	}
	n.bits = bits
	return true
}

func (t *tape) integer(offset int, v int64) bool {
	if v < 0 {
		return t.scalar(kindInt, offset, uint64(v))
	}
	return t.scalar(kindUint, offset, uint64(v))
}

// text adds bytes or, if they are UTF-8, text that stands at from in the source
// or in extra.
func (t *tape) text(k kind, offset, from, to int, inExtra bool) bool {
	n := t.add(k, offset)
	if n == nil {
		return false
	}
	n.from, n.to, n.inExtra = int32(from), int32(to), inExtra
	if b := t.bytes(n); k == kindText && !utf8.Valid(b) {
		t.nodes = t.nodes[:len(t.nodes)-1]
		return t.fail(ErrMalformed, offset, "a text is not UTF-8: %s", show(b))
	}
	return true
}

// open begins a list or map and returns its index; -1 if it may not.
func (t *tape) open(k kind, offset int) int {
	if t.depth >= t.limits.Depth {
		t.fail(ErrLimit, offset, "nested deeper than %d levels", t.limits.Depth)
		return -1
	}
	n := t.add(k, offset)
	if n == nil {
		return -1
	}
	n.next = 0
	t.depth++
	return len(t.nodes) - 1
}

// close ends a list or map of so many elements or pairs.
func (t *tape) close(at, count int) bool {
	n := &t.nodes[at]
	n.count = int32(count)
	if n.kind == kindObject && count > 1 && !t.unique(at) {
		return false
	}
	n.next = int32(len(t.nodes))
	t.depth--
	return true
}

// unique fails for a map that has a key twice.
func (t *tape) unique(at int) bool {
	t.keys = t.keys[:0]
	for i := at + 1; i < len(t.nodes); i = int(t.nodes[i+1].next) {
		t.keys = append(t.keys, int32(i))
	}
	if len(t.keys) <= 8 {
		for i, a := range t.keys {
			for _, b := range t.keys[:i] {
				if bytes.Equal(t.bytes(&t.nodes[a]), t.bytes(&t.nodes[b])) {
					return t.twice(a)
				}
			}
		}
		return true
	}
	slices.SortFunc(t.keys, func(a, b int32) int {
		if c := bytes.Compare(t.bytes(&t.nodes[a]), t.bytes(&t.nodes[b])); c != 0 {
			return c
		}
		return int(a - b)
	})
	for i := 1; i < len(t.keys); i++ {
		if bytes.Equal(t.bytes(&t.nodes[t.keys[i-1]]), t.bytes(&t.nodes[t.keys[i]])) {
			return t.twice(t.keys[i])
		}
	}
	return true
}

func (t *tape) twice(key int32) bool {
	n := &t.nodes[key]
	t.err = &Error{Codec: t.codec, Kind: ErrMalformed, Offset: int(n.offset), Path: t.path(key), Found: "the key " + show(t.bytes(n)) + " is there twice"}
	return false
}

// refuse is the error about a value that a target cannot hold.
func (t *tape) refuse(at int, target Codec, format string, args ...any) *Error {
	return &Error{Codec: target, Kind: ErrNoCounterpart, Offset: int(t.nodes[at].offset), Path: t.path(int32(at)), Found: fmt.Sprintf(format, args...)}
}

// path spells the way from the root to a node, or, for the index after the last
// one, to what was about to be read.
func (t *tape) path(target int32) string {
	var b strings.Builder
	b.WriteByte('$')
	if len(t.nodes) == 0 {
		return "$"
	}
	for at := int32(0); at < target && t.nodes[at].kind >= kindArray && b.Len() < 200; {
		if n := &t.nodes[at]; n.next != 0 && n.next <= target {
			break // it was read to its end
		}
		object := t.nodes[at].kind == kindObject
		child, index := at+1, 0
		for ; child < target; index++ {
			value := child
			if object {
				value++
			}
			if value >= target || t.nodes[value].next == 0 || t.nodes[value].next > target {
				break
			}
			child = t.nodes[value].next
		}
		last := int32(len(t.nodes))
		if object {
			if child >= last {
				break
			}
			appendKey(&b, t.bytes(&t.nodes[child]))
			child++
		} else {
			fmt.Fprintf(&b, "[%d]", index)
		}
		if at = child; at >= last || at == target {
			break
		}
	}
	return b.String()
}

func appendKey(b *strings.Builder, key []byte) {
	for _, c := range key {
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			b.WriteString("[" + show(key) + "]")
			return
		}
	}
	b.WriteByte('.')
	b.Write(key[:min(len(key), 40)])
}

// show quotes bytes of a payload for an error, of which there may be many.
func show(b []byte) string {
	if len(b) > 40 {
		return strconv.QuoteToASCII(string(b[:40])) + "..."
	}
	return strconv.QuoteToASCII(string(b))
}
