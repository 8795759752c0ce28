package frame

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/weftrun/weft/abi"
)

// Decode cuts the first frame out of b, the bytes of a connection that have not
// been decoded yet.
//
//	n > 0, err == nil   b[:n] is a frame, m is its message
//	n == 0, err == nil  more bytes are needed; Need says how many, if it can
//	n > 0, err != nil   b[:n] is no frame: skip it and go on behind it
//	n == 0, err != nil  nothing sensible can follow: close the connection
//
// It sets m's Seq, Type, Priority, Topic, Attrs, Payload and Frame and nothing
// else; where b begins with no whole frame they are undefined. Topic, Payload and
// Frame alias b. Attributes are appended to scratch, which Attrs then aliases; grown is the
// longer scratch. A topic is bytes that the peer sent, not validated. The error is
// a *Fault. Decode does not allocate unless scratch is too short. A format that
// resynchronises may take a checksum for every byte of hostile garbage: who reads
// from strangers bounds how many faults may follow each other.
func (f *Format) Decode(b, scratch []byte, m *abi.Message) (n int, grown []byte, err error) {
	if f.text != nil {
		n, err = f.decodeLine(b, m)
		return n, scratch, err
	}
	if f.modbus != nil {
		return f.decodeModbus(b, scratch, m)
	}
	if len(b) < f.header {
		n, err = f.incomplete(b)
		return n, scratch, err
	}
	var sizes [maxParts]int
	total, fault := f.measure(b, &sizes)
	if fault != nil {
		n, err = f.lost(b, fault)
		return n, scratch, err
	}
	if len(b) < total {
		return 0, scratch, nil
	}
	whole := b[:total:total]
	if len(f.ends)+len(f.sums) > 0 {
		fault = f.verify(whole, &sizes)
	}
	grown = scratch
	if fault == nil {
		grown, fault = f.fill(whole, scratch, &sizes, m)
	}
	if fault != nil {
		n, err = f.spoilt(b, total, fault)
		return n, scratch, err
	}
	return total, grown, nil
}

// Need is how long the whole frame at the start of b is, in bytes, or 0 if that
// is not known yet or b does not begin with a frame. It is never above Limit.
func (f *Format) Need(b []byte) int {
	if f.text != nil || len(b) < f.header {
		return 0
	}
	if f.modbus != nil {
		return f.needModbus(b)
	}
	var sizes [maxParts]int
	total, fault := f.measure(b, &sizes)
	if fault != nil {
		return 0
	}
	return total
}

// measure checks the header's constants and solves the length fields: the size
// of each part and of the frame. b holds at least the header.
func (f *Format) measure(b []byte, sizes *[maxParts]int) (total int, fault *Fault) {
	if f.quick && binary.LittleEndian.Uint64(b)&f.mask == f.want {
		l := &f.lengths[0]
		v := l.window.read(b)
		if n := v - uint64(l.fixed); n <= uint64(f.limit-f.header-f.trailer) && v >= l.min && v <= l.max {
			sizes[0] = int(n)
			return f.header + f.trailer + int(n), nil
		}
	}
	return f.measureAny(b, sizes)
}

// measureAny is measure for every layout, and finds out what is wrong.
func (f *Format) measureAny(b []byte, sizes *[maxParts]int) (total int, fault *Fault) {
	for i := range f.constants {
		if c := &f.constants[i]; c.number.read(b[c.offset:]) != c.want {
			return 0, c.fault
		}
	}
	total = f.header + f.trailer
	for i := range f.lengths {
		l := &f.lengths[i]
		v := l.number.read(b[l.offset:])
		switch {
		case v > l.max:
			return 0, l.long
		case v < l.min:
			return 0, l.field
		case v > uint64(f.limit):
			return 0, f.tooLong
		}
		n := int(v) - l.fixed
		for _, p := range l.parts {
			n -= sizes[p]
		}
		switch {
		case n < 0 || l.solves < 0 && n != 0:
			return 0, l.bad
		case l.solves >= 0:
			sizes[l.solves] = n
			total += n
		}
	}
	if total > f.limit {
		return 0, f.tooLong
	}
	return total, nil
}

// verify checks the trailer's constants and every checksum of a whole frame.
func (f *Format) verify(b []byte, sizes *[maxParts]int) *Fault {
	for i := range f.ends {
		if c := &f.ends[i]; c.number.read(b[len(b)-f.trailer+c.offset:]) != c.want {
			return c.fault
		}
	}
	for i := range f.sums {
		s := &f.sums[i]
		covered := b[s.from.at(sizes):s.to.at(sizes)]
		if s.checksum.sum(s.checksum, covered) != s.number.read(b[s.at.at(sizes):]) {
			return s.fault
		}
	}
	return nil
}

// fill sets the message from a whole frame.
func (f *Format) fill(b, scratch []byte, sizes *[maxParts]int, m *abi.Message) ([]byte, *Fault) {
	m.Seq, m.Type, m.Priority = 0, f.typ, 0
	m.Topic, m.Attrs, m.Payload, m.Frame = nil, nil, nil, b
	grown := scratch
	var fault *Fault
	for i := range f.heads {
		v := &f.heads[i]
		var raw uint64
		if f.quick {
			raw = v.window.read(b)
		} else {
			raw = v.number.read(b[v.offset:])
		}
		if fault = v.take(raw, m); fault != nil {
			return scratch, fault
		}
		if v.attr != nil {
			grown = v.name(raw, grown)
		}
	}
	if f.quick && f.trailer == 0 {
		m.Payload = b[f.header:]
		return f.complete(b, scratch, grown, m)
	}
	at := f.header
	for i := range f.parts {
		p := &f.parts[i]
		end := at + sizes[i]
		if grown, fault = p.take(b[at:end:end], grown, m); fault != nil {
			return scratch, fault
		}
		at = end
	}
	for i := range f.tails {
		v := &f.tails[i]
		raw := v.number.read(b[at+v.offset:])
		if fault = v.take(raw, m); fault != nil {
			return scratch, fault
		}
		if v.attr != nil {
			grown = v.name(raw, grown)
		}
	}
	return f.complete(b, scratch, grown, m)
}

// complete finishes a message whose fields are set.
func (f *Format) complete(b, scratch, grown []byte, m *abi.Message) ([]byte, *Fault) {
	if len(f.beat.conditions) > 0 && f.beat.is(b, len(m.Payload)) {
		m.Type = abi.TypeHeartbeat
	}
	if len(grown) > len(scratch) {
		m.Attrs = abi.Attributes(grown[len(scratch):len(grown):len(grown)])
		if len(m.Attrs) > abi.MaxAttrs {
			return scratch, f.tooMany
		}
	}
	return grown, nil
}

// take puts a fixed field's value into the message.
func (v *value) take(raw uint64, m *abi.Message) *Fault {
	if v.bounded && (raw < v.min || raw > v.max) {
		return v.field
	}
	switch v.role {
	case roleSeq:
		m.Seq = raw
		if raw == 0 && v.zero != 0 {
			m.Type = abi.Type(v.zero - 1)
		}
	case rolePriority:
		m.Priority = uint8(raw)
	case roleType:
		t := v.types.typeOf(raw)
		if t == 0 {
			return v.field
		}
		m.Type = abi.Type(t - 1)
	}
	return nil
}

// name appends the field as an attribute.
func (v *value) name(raw uint64, grown []byte) []byte {
	at := len(grown)
	grown = append(grown, v.attr...)
	grown = strconv.AppendUint(grown, raw, 10)
	binary.LittleEndian.PutUint16(grown[at+2:], uint16(len(grown)-at-len(v.attr)))
	return grown
}

// take puts a field of variable length into the message.
func (p *part) take(b, grown []byte, m *abi.Message) ([]byte, *Fault) {
	if len(b) > p.most {
		return grown, p.fault
	}
	switch {
	case p.role == rolePayload:
		m.Payload = b
	case p.role == roleTopic:
		m.Topic = b
	case p.attr != nil:
		at := len(grown)
		grown = append(append(grown, p.attr...), b...)
		binary.LittleEndian.PutUint16(grown[at+2:], uint16(len(b)))
	}
	return grown, nil
}

// incomplete handles bytes that end inside the header: a constant that is
// already wrong is refused at its first wrong byte.
func (f *Format) incomplete(b []byte) (int, error) {
	for i := range f.constants {
		c := &f.constants[i]
		if c.offset >= len(b) {
			break
		}
		if !bytes.HasPrefix(c.bytes, b[c.offset:min(len(b), c.offset+len(c.bytes))]) {
			return f.lost(b, c.fault)
		}
	}
	return 0, nil
}

// lost handles a frame whose end is not known.
func (f *Format) lost(b []byte, fault *Fault) (int, error) {
	if f.recover == recoverResync {
		return f.skip(b), fault
	}
	return 0, fault
}

// spoilt handles a frame that ends after total bytes and is bad inside.
func (f *Format) spoilt(b []byte, total int, fault *Fault) (int, error) {
	switch f.recover {
	case recoverFrame:
		return total, fault
	case recoverResync:
		return f.skip(b), fault
	}
	return 0, fault
}

// skip is where, behind the first byte, the start bytes appear next, or could if
// more bytes came.
func (f *Format) skip(b []byte) int {
	if at := bytes.Index(b[1:], f.start); at >= 0 {
		return 1 + at
	}
	for at := max(1, len(b)-len(f.start)+1); at < len(b); at++ {
		if bytes.HasPrefix(f.start, b[at:]) {
			return at
		}
	}
	return len(b)
}
