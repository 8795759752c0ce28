package delivery

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weftrun/weft/abi"
)

// Record is a message as it is kept in a log or sent to another node: all of it that
// means something outside of this process.
type Record struct {
	// Node is the node that accepted the message, From the session that it came from, as
	// its node calls it, Listener the name of its listener. They may be empty.
	Node, From, Listener []byte
	// Message has Type, Priority, QoS, Flags, Seq, Time, Topic, Attrs, Context and
	// Payload. Session, Listener, Receipt and Frame are not kept.
	Message abi.Message
}

// A record, integers little-endian:
//
//	version u8, type u8, priority u8, qos u8, flags u32, seq u64, time i64,
//	lengths u32 of node, from, listener, topic, attributes, context, payload,
//	the bytes of these seven
const (
	recordVersion = 1
	recordParts   = 7
	recordHead    = 4 + 4 + 8 + 8 + 4*recordParts
)

// ErrRecord is wrapped by every error about a record's bytes.
var ErrRecord = errors.New("malformed record")

// AppendRecord appends the record's bytes to dst. It allocates only to grow dst.
func AppendRecord(dst []byte, r *Record) []byte {
	m := &r.Message
	dst = append(dst, recordVersion, byte(m.Type), m.Priority, m.QoS)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.Flags))
	dst = binary.LittleEndian.AppendUint64(dst, m.Seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Time))
	parts := [recordParts][]byte{r.Node, r.From, r.Listener, m.Topic, m.Attrs, m.Context, m.Payload}
	for _, part := range parts {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(part)))
	}
	for _, part := range parts {
		dst = append(dst, part...)
	}
	return dst
}

// RecordTopic is the topic of a record, which is read no further; nil if there is none
// or these are no record's bytes. It aliases b.
func RecordTopic(b []byte) []byte {
	if len(b) < recordHead || b[0] != recordVersion {
		return nil
	}
	size := func(part int) uint64 { return uint64(binary.LittleEndian.Uint32(b[24+4*part:])) }
	at := recordHead + size(0) + size(1) + size(2)
	if end := at + size(3); end <= uint64(len(b)) {
		return b[at:end:end]
	}
	return nil
}

// ParseRecord reads a record, whose slices alias b. The error wraps ErrRecord.
func ParseRecord(b []byte, r *Record) error {
	if len(b) < recordHead {
		return fmt.Errorf("%w: %d bytes, the head has %d", ErrRecord, len(b), recordHead)
	}
	if b[0] != recordVersion {
		return fmt.Errorf("%w: version %d, this weft knows %d", ErrRecord, b[0], recordVersion)
	}
	*r = Record{Message: abi.Message{
		Type: abi.Type(b[1]), Priority: b[2], QoS: b[3],
		Flags: abi.Flags(binary.LittleEndian.Uint32(b[4:])),
		Seq:   binary.LittleEndian.Uint64(b[8:]),
		Time:  int64(binary.LittleEndian.Uint64(b[16:])),
	}}
	m := &r.Message
	rest := b[recordHead:]
	for i, part := range [recordParts]*[]byte{&r.Node, &r.From, &r.Listener, &m.Topic, (*[]byte)(&m.Attrs), (*[]byte)(&m.Context), &m.Payload} {
		size := uint64(binary.LittleEndian.Uint32(b[24+4*i:]))
		if size > uint64(len(rest)) {
			return fmt.Errorf("%w: part %d has %d bytes, %d are left", ErrRecord, i, size, len(rest))
		}
		if size > 0 {
			*part = rest[:size:size]
		}
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes too many", ErrRecord, len(rest))
	}
	for _, block := range []abi.Attributes{m.Attrs, m.Context} {
		if err := block.Validate(abi.MaxAttrs); err != nil {
			return fmt.Errorf("%w: %w", ErrRecord, err)
		}
	}
	return nil
}
