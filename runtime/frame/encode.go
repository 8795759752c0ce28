package frame

import (
	"slices"

	"github.com/weftrun/weft/abi"
)

// Append encodes m behind dst and returns the longer dst. m may have come by any
// protocol: what the format carries and m does not say is written as declared by
// default. If m does not fit, dst comes back as it was, with a *Fault. Append
// does not allocate unless dst is too short; dst must not overlap m's slices.
//
// A field that became an attribute is written from that attribute. An attribute
// of a type field counts only if it stands for the same type as m.Type, so that
// the response to a request is not written as another request. A sequence id
// that is too large is a fault, except that of an event, which nobody answers.
func (f *Format) Append(dst []byte, m *abi.Message) ([]byte, error) {
	if f.text != nil {
		return f.appendLine(dst, m)
	}
	if f.modbus != nil {
		return f.appendModbus(dst, m)
	}
	if f.quick && f.trailer == 0 && len(f.sums) == 0 {
		return f.appendQuick(dst, m)
	}
	var (
		parts [maxParts][]byte
		sizes [maxParts]int
	)
	total := f.header + f.trailer
	for i := range f.parts {
		b := f.parts[i].of(m)
		parts[i], sizes[i] = b, len(b)
		total += len(b)
	}
	if total > f.limit {
		return dst, f.tooLong
	}
	at := len(dst)
	grown := slices.Grow(dst, total)[:at+total]
	out := grown[at:]
	end := copy(out, f.blank)
	for i := range f.parts {
		end += copy(out[end:], parts[i])
	}
	copy(out[end:], f.blankEnd)
	if fault := put(f.heads, out, m); fault != nil {
		return dst, fault
	}
	if fault := put(f.tails, out[end:], m); fault != nil {
		return dst, fault
	}
	if fault := f.finish(out, &sizes); fault != nil {
		return dst, fault
	}
	return grown, nil
}

// appendQuick is Append for a header, one length and the payload.
func (f *Format) appendQuick(dst []byte, m *abi.Message) ([]byte, error) {
	at, total := len(dst), f.header+len(m.Payload)
	if total > f.limit {
		return dst, f.tooLong
	}
	l := &f.lengths[0]
	n := uint64(l.fixed + len(m.Payload))
	switch {
	case n > l.max:
		return dst, l.long
	case n < l.min:
		return dst, l.field
	}
	grown := slices.Grow(dst, total)[:at+total]
	out := grown[at:]
	copy(out, f.blank)
	copy(out[f.header:], m.Payload)
	l.number.write(out[l.offset:], n)
	if fault := put(f.heads, out, m); fault != nil {
		return dst, fault
	}
	return grown, nil
}

// finish writes the lengths and the checksums of a frame that is otherwise done.
func (f *Format) finish(out []byte, sizes *[maxParts]int) *Fault {
	for i := range f.lengths {
		l := &f.lengths[i]
		n := l.fixed
		for _, p := range l.parts {
			n += sizes[p]
		}
		if l.solves >= 0 {
			n += sizes[l.solves]
		}
		v := uint64(n)
		switch {
		case v > l.max:
			return l.long
		case v < l.min:
			return l.field
		}
		l.number.write(out[l.offset:], v)
	}
	for i := range f.sums {
		s := &f.sums[i]
		covered := out[s.from.at(sizes):s.to.at(sizes)]
		s.number.write(out[s.at.at(sizes):], s.checksum.sum(s.checksum, covered))
	}
	return nil
}

// of is the bytes of the message that the part carries.
func (p *part) of(m *abi.Message) []byte {
	switch p.role {
	case rolePayload:
		return m.Payload
	case roleTopic:
		return m.Topic
	}
	if p.attr == nil {
		return nil
	}
	b, _ := m.Attrs.Get(p.key)
	return b
}

// put writes the fields that come from the message.
func put(values []value, out []byte, m *abi.Message) *Fault {
	for i := range values {
		v := &values[i]
		var raw uint64
		var fault *Fault
		switch v.role {
		case roleSeq:
			raw, fault = v.seqOf(m)
		case rolePriority:
			raw = uint64(m.Priority)
		case roleType:
			raw, fault = v.typeOf(m)
		default:
			if v.attr == nil {
				continue // only its bounds matter, and only to the decoder
			}
			raw, _, fault = v.attribute(m)
		}
		switch {
		case fault != nil:
			return fault
		case raw < v.min || raw > v.max:
			return v.large
		}
		v.number.write(out[v.offset:], raw)
	}
	return nil
}

func (v *value) seqOf(m *abi.Message) (uint64, *Fault) {
	switch {
	case v.zero != 0 && m.Type == abi.Type(v.zero-1):
		return 0, nil
	case m.Type == abi.TypeEvent && (m.Seq > v.max || m.Seq < v.min):
		return v.initial, nil
	}
	return m.Seq, nil
}

// typeOf is the raw value for the message's type: that of the attribute if it
// stands for the same type, or the declared one.
func (v *value) typeOf(m *abi.Message) (uint64, *Fault) {
	t := m.Type
	if int(t) >= len(v.types.wire) {
		t = abi.TypeEvent
	}
	if !v.types.can[t] {
		return 0, v.badType
	}
	wire := v.types.wire[t]
	if v.attr == nil {
		return wire, nil
	}
	raw, given, fault := v.attribute(m)
	if fault != nil || !given {
		return wire, fault
	}
	switch v.types.typeOf(raw) {
	case v.types.typeOf(wire):
		return raw, nil
	case 0:
		return 0, v.badAttr
	}
	return wire, nil
}

// attribute is the number in the field's attribute, or the field's default.
func (v *value) attribute(m *abi.Message) (raw uint64, given bool, fault *Fault) {
	text, ok := m.Attrs.Get(v.key)
	if !ok || len(text) == 0 {
		return v.initial, false, nil
	}
	for _, c := range text {
		d := uint64(c - '0')
		if d > 9 {
			return 0, true, v.badAttr
		}
		if raw > (^uint64(0)-d)/10 {
			return 0, true, v.large
		}
		raw = raw*10 + d
	}
	return raw, true, nil
}
