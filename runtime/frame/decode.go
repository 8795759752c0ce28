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
// else, and those only where n > 0 and err == nil. Topic, Payload and Frame alias
// b. Attributes are appended to scratch, which Attrs then aliases; grown is the
// longer scratch. A topic is bytes that the peer sent, not validated. The error is
// a *Fault. Decode does not allocate unless scratch is too short.
func (f *Format) Decode(b, scratch []byte, m *abi.Message) (n int, grown []byte, err error) {
	if f.text != nil {
		n, err = f.decodeLine(b, m)
		return n, scratch, err
	}
	if len(b) < f.header {
		n, err = f.incomplete(b)
		return n, scratch, err
	}
	for i := range f.constants {
		if c := &f.constants[i]; c.number.read(b[c.offset:]) != c.want {
			n, err = f.lost(b, c.fault)
			return n, scratch, err
		}
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
	b0 := b[:total:total]
	if fault := f.verify(b0, &sizes); fault != nil {
		n, err = f.spoilt(b, total, fault)
		return n, scratch, err
	}
	grown, fault = f.fill(b0, scratch, &sizes, m)
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
	for i := range f.constants {
		if c := &f.constants[i]; c.number.read(b[c.offset:]) != c.want {
			return 0
		}
	}
	var sizes [maxParts]int
	total, fault := f.measure(b, &sizes)
	if fault != nil {
		return 0
	}
	return total
}

// measure solves the length fields: the size of each part and of the frame.
func (f *Format) measure(b []byte, sizes *[maxParts]int) (total int, fault *Fault) {
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
	d := decoded{typ: f.typ, attrs: scratch}
	for i := range f.heads {
		v := &f.heads[i]
		if fault := d.take(v, v.number.read(b[v.offset:])); fault != nil {
			return scratch, fault
		}
	}
	at := f.header
	for i := range f.parts {
		p := &f.parts[i]
		end := at + sizes[i]
		if fault := d.takePart(p, b[at:end:end]); fault != nil {
			return scratch, fault
		}
		at = end
	}
	for i := range f.tails {
		v := &f.tails[i]
		if fault := d.take(v, v.number.read(b[at+v.offset:])); fault != nil {
			return scratch, fault
		}
	}
	if f.beat.is(b, len(d.payload)) {
		d.typ = abi.TypeHeartbeat
	}
	m.Seq, m.Type, m.Priority = d.seq, d.typ, d.priority
	m.Topic, m.Payload, m.Frame = d.topic, d.payload, b
	m.Attrs = nil
	if len(d.attrs) > len(scratch) {
		m.Attrs = abi.Attributes(d.attrs[len(scratch):len(d.attrs):len(d.attrs)])
		if len(m.Attrs) > abi.MaxAttrs {
			return scratch, f.tooLong
		}
	}
	return d.attrs, nil
}

// decoded is a message in the making.
type decoded struct {
	seq      uint64
	typ      abi.Type
	priority uint8
	topic    []byte
	payload  []byte
	attrs    []byte
}

func (d *decoded) take(v *value, raw uint64) *Fault {
	if v.bounded && (raw < v.min || raw > v.max) {
		return v.field
	}
	switch v.role {
	case roleSeq:
		d.seq = raw
		if raw == 0 && v.zero != 0 {
			d.typ = abi.Type(v.zero - 1)
		}
	case rolePriority:
		d.priority = uint8(raw)
	case roleType:
		t := v.types.typeOf(raw)
		if t == 0 {
			return v.field
		}
		d.typ = abi.Type(t - 1)
	}
	if v.attr != nil {
		at := len(d.attrs)
		d.attrs = append(d.attrs, v.attr...)
		d.attrs = strconv.AppendUint(d.attrs, raw, 10)
		binary.LittleEndian.PutUint16(d.attrs[at+2:], uint16(len(d.attrs)-at-len(v.attr)))
	}
	return nil
}

func (d *decoded) takePart(p *part, b []byte) *Fault {
	switch p.role {
	case rolePayload:
		if len(b) > abi.MaxPayload {
			return p.fault
		}
		d.payload = b
	case roleTopic:
		if len(b) > abi.MaxTopic {
			return p.fault
		}
		d.topic = b
	default:
		if len(b) > abi.MaxAttribute {
			return p.fault
		}
		if p.attr != nil {
			at := len(d.attrs)
			d.attrs = append(append(d.attrs, p.attr...), b...)
			binary.LittleEndian.PutUint16(d.attrs[at+2:], uint16(len(b)))
		}
	}
	return nil
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
// more bytes came. There is no limit to how often it may be called: who reads
// from strangers bounds the number of faults in a row.
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
