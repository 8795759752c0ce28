package packet

import (
	"encoding/binary"
	"iter"
)

// Properties are the properties of a packet as they lie on the wire, without
// their length in front. nil is none. A block that a decoder handed out is valid
// and aliases the decoder's input. To build one, begin with nil or a slice of
// length 0 and append; the Append methods check nothing but lengths.
type Properties []byte

// Property is one property of a block. The slices alias the block.
type Property struct {
	ID PropertyID
	// Number is the value of a number, 0 otherwise.
	Number uint32
	// Name is the name of a user property, nil otherwise.
	Name []byte
	// Value is the value of a text, bytes or user property.
	Value []byte
}

// Next takes the first property off a valid block. At its end, and where a block
// is not valid, rest is nil and the ID is 0.
func (p Properties) Next() (first Property, rest Properties) {
	size := first.read(p)
	if size <= 0 {
		return Property{}, nil
	}
	return first, p[size:]
}

// All yields the properties in their order.
func (p Properties) All() iter.Seq[Property] {
	return func(yield func(Property) bool) {
		for len(p) > 0 {
			var first Property
			first, p = p.Next()
			if first.ID == 0 || !yield(first) {
				return
			}
		}
	}
}

// Get returns the first property with this identifier.
func (p Properties) Get(id PropertyID) (Property, bool) {
	for len(p) > 0 {
		var first Property
		if first, p = p.Next(); first.ID == id {
			return first, true
		}
	}
	return Property{}, false
}

// Number is the value of a property that is a number, or absent.
func (p Properties) Number(id PropertyID, absent uint32) uint32 {
	if found, ok := p.Get(id); ok {
		return found.Number
	}
	return absent
}

// Bytes is the value of a property that is a text or bytes; nil if it is not
// there.
func (p Properties) Bytes(id PropertyID) []byte {
	found, _ := p.Get(id)
	return found.Value
}

// Has tells whether the property is there.
func (p Properties) Has(id PropertyID) bool {
	_, ok := p.Get(id)
	return ok
}

// read reads the property that p begins with and returns its length: 0 if there
// is no such property, -1 if it does not fit p or is not of its kind. It does not
// look at the value.
func (f *Property) read(p []byte) int {
	if len(p) == 0 || int(p[0]) >= len(propertyRules) {
		return 0
	}
	f.ID = PropertyID(p[0])
	switch propertyRules[p[0]].kind {
	case kindBit:
		if len(p) >= 2 {
			f.Number = uint32(p[1])
			return 2
		}
	case kindUint16:
		if len(p) >= 3 {
			f.Number = uint32(binary.BigEndian.Uint16(p[1:]))
			return 3
		}
	case kindUint32:
		if len(p) >= 5 {
			f.Number = binary.BigEndian.Uint32(p[1:])
			return 5
		}
	case kindVarint:
		if n, size := varint(p[1:]); size > 0 {
			f.Number = uint32(n)
			return 1 + size
		}
	case kindText, kindBytes:
		if value, size := field(p[1:]); size > 0 {
			f.Value = value
			return 1 + size
		}
	case kindPair:
		if name, first := field(p[1:]); first > 0 {
			if value, second := field(p[1+first:]); second > 0 {
				f.Name, f.Value = name, value
				return 1 + first + second
			}
		}
	case kindNone:
		return 0
	}
	return -1
}

// field reads a string or binary field, two bytes of length in front; size 0 if b
// is too short for it.
func field(b []byte) (value []byte, size int) {
	if len(b) < 2 {
		return nil, 0
	}
	size = 2 + int(binary.BigEndian.Uint16(b))
	if size > len(b) {
		return nil, 0
	}
	return b[2:size:size], size
}

// AppendNumber adds a property that is a number, in as many bytes as its kind
// has. A property that is none, or a value that does not fit, adds nothing.
func (p Properties) AppendNumber(id PropertyID, n uint32) Properties {
	if int(id) >= len(propertyRules) {
		return p
	}
	switch k := propertyRules[id].kind; {
	case k == kindBit && n <= 0xFF:
		return append(p, byte(id), byte(n))
	case k == kindUint16 && n <= 0xFFFF:
		return append(p, byte(id), byte(n>>8), byte(n))
	case k == kindUint32:
		return binary.BigEndian.AppendUint32(append(p, byte(id)), n)
	case k == kindVarint && n <= MaxRemaining:
		return appendVarint(append(p, byte(id)), int(n))
	}
	return p
}

// AppendBytes adds a property that is a text or bytes. A property that is
// neither, or a value of more than 65,535 bytes, adds nothing.
func (p Properties) AppendBytes(id PropertyID, value []byte) Properties {
	if len(value) > 0xFFFF || int(id) >= len(propertyRules) {
		return p
	}
	if k := propertyRules[id].kind; k != kindText && k != kindBytes {
		return p
	}
	return appendBytes(append(p, byte(id)), value)
}

// AppendUser adds a user property. A name or value of more than 65,535 bytes adds
// nothing.
func (p Properties) AppendUser(name, value []byte) Properties {
	if len(name) > 0xFFFF || len(value) > 0xFFFF {
		return p
	}
	return appendBytes(appendBytes(append(p, byte(UserProperty)), name), value)
}

// Append adds a copy of a property that Next or All handed out.
func (p Properties) Append(f Property) Properties {
	if f.ID == UserProperty {
		return p.AppendUser(f.Name, f.Value)
	}
	if int(f.ID) < len(propertyRules) {
		if k := propertyRules[f.ID].kind; k == kindText || k == kindBytes {
			return p.AppendBytes(f.ID, f.Value)
		}
	}
	return p.AppendNumber(f.ID, f.Number)
}
