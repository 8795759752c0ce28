package abi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// Attributes is a block of named values, in the form in which it also lies in a
// guest's memory: for each attribute the length of its name and the length of
// its value (both uint16, little-endian), then the name, then the value, with no
// padding and no terminator. A nil block has no attributes. Names are UTF-8 and
// not empty; where a name appears twice the first one counts.
type Attributes []byte

// ErrAttributes is wrapped by every error about a malformed block.
var ErrAttributes = errors.New("malformed attribute block")

const attributeHeader = 4

// Get returns the value of the attribute called name. The value aliases the
// block. A malformed block reads as if it ended where the fault begins.
func (a Attributes) Get(name string) (value []byte, ok bool) {
	for len(a) >= attributeHeader {
		n := int(binary.LittleEndian.Uint16(a))
		v := int(binary.LittleEndian.Uint16(a[2:]))
		end := attributeHeader + n + v
		if end > len(a) {
			return nil, false
		}
		if n == len(name) && string(a[attributeHeader:attributeHeader+n]) == name {
			return a[attributeHeader+n : end : end], true
		}
		a = a[end:]
	}
	return nil, false
}

// All yields every attribute in order, names that appear twice included. Both
// slices alias the block.
func (a Attributes) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for len(a) >= attributeHeader {
			n := int(binary.LittleEndian.Uint16(a))
			v := int(binary.LittleEndian.Uint16(a[2:]))
			end := attributeHeader + n + v
			if end > len(a) {
				return
			}
			name := a[attributeHeader : attributeHeader+n : attributeHeader+n]
			if !yield(name, a[attributeHeader+n:end:end]) {
				return
			}
			a = a[end:]
		}
	}
}

// Append adds an attribute behind the others and returns the longer block. It
// does not look whether the name is there already. A name or value of more than
// MaxAttribute bytes is cut to that length.
func (a Attributes) Append(name string, value []byte) Attributes {
	a = appendAttributeHeader(a, len(name), len(value))
	a = append(a, name[:min(len(name), MaxAttribute)]...)
	return append(a, value[:min(len(value), MaxAttribute)]...)
}

// AppendString is Append for a value that is a string.
func (a Attributes) AppendString(name, value string) Attributes {
	a = appendAttributeHeader(a, len(name), len(value))
	a = append(a, name[:min(len(name), MaxAttribute)]...)
	return append(a, value[:min(len(value), MaxAttribute)]...)
}

func appendAttributeHeader(a Attributes, name, value int) Attributes {
	a = binary.LittleEndian.AppendUint16(a, uint16(min(name, MaxAttribute)))
	return binary.LittleEndian.AppendUint16(a, uint16(min(value, MaxAttribute)))
}

// Merge appends to dst the attributes of over followed by those of a that over
// does not name, and returns the longer dst. An attribute of over with an empty
// value removes the attribute of that name.
func (a Attributes) Merge(dst, over Attributes) Attributes {
	for name, value := range over.All() {
		if len(value) > 0 {
			dst = dst.Append(string(name), value)
		}
	}
	for name, value := range a.All() {
		if _, ok := over.Get(string(name)); !ok {
			dst = dst.Append(string(name), value)
		}
	}
	return dst
}

// Validate tells whether the block is well formed: every length within the
// block, no empty name, at most limit bytes in all.
func (a Attributes) Validate(limit int) error {
	if len(a) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrAttributes, len(a), limit)
	}
	for at := 0; at < len(a); {
		rest := a[at:]
		if len(rest) < attributeHeader {
			return fmt.Errorf("%w: %d stray bytes at offset %d", ErrAttributes, len(rest), at)
		}
		n := int(binary.LittleEndian.Uint16(rest))
		end := attributeHeader + n + int(binary.LittleEndian.Uint16(rest[2:]))
		if n == 0 {
			return fmt.Errorf("%w: an empty name at offset %d", ErrAttributes, at)
		}
		if end > len(rest) {
			return fmt.Errorf("%w: the attribute at offset %d is %d bytes long, %d are left", ErrAttributes, at, end, len(rest))
		}
		at += end
	}
	return nil
}
