package backbone

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A message of a log's stream holds one record or a group of them, integers
// little-endian:
//
//	kind u8, writer u64, first u64, then
//	kind 1: the record
//	kind 2: count u16, then count times: size u32, the record
//	kind 3: nothing; it is no record, see mark
//
// writer is the data folder of the node that wrote it, first how many records it
// had written to the log before.
// A record's number for all who read is made of the message's sequence in the
// stream and the record's place in the group.
const (
	kindOne   = 1
	kindGroup = 2
	kindMark  = 3

	oneHead   = 1 + 8 + 8
	groupHead = oneHead + 2
	sizeHead  = 4

	placeBits = 10
	// A group is closed at either; a record that is larger has one of its own.
	groupRecords = 512
	groupBytes   = 256 << 10
)

var errEncoding = errors.New("not a log's message")

// seqOf makes a record's number. Places begin at 0, so that the numbers of single
// records are multiples of 1,024.
func seqOf(stream uint64, place int) uint64 { return stream<<placeBits | uint64(place) }

// placeOf takes a record's number apart.
func placeOf(seq uint64) (stream uint64, place int) {
	return seq >> placeBits, int(seq & (1<<placeBits - 1))
}

func setOrigin(message []byte, writer, first uint64) {
	binary.LittleEndian.PutUint64(message[1:], writer)
	binary.LittleEndian.PutUint64(message[9:], first)
}

// decoded is a message of a log's stream.
type decoded struct {
	writer, first uint64
	count         int
	rest          []byte
	group         bool
}

// decode reads the head, and checks that all of the records are there.
func decode(b []byte) (decoded, error) {
	if len(b) < oneHead {
		return decoded{}, fmt.Errorf("%w: %d bytes", errEncoding, len(b))
	}
	d := decoded{writer: binary.LittleEndian.Uint64(b[1:]), first: binary.LittleEndian.Uint64(b[9:]), count: 1, rest: b[oneHead:]}
	switch b[0] {
	case kindOne:
		return d, nil
	case kindMark:
		d.count = 0
		return d, nil
	case kindGroup:
	default:
		return decoded{}, fmt.Errorf("%w: kind %d", errEncoding, b[0])
	}
	if len(b) < groupHead {
		return decoded{}, fmt.Errorf("%w: %d bytes", errEncoding, len(b))
	}
	d.group, d.count, d.rest = true, int(binary.LittleEndian.Uint16(b[oneHead:])), b[groupHead:]
	if d.count < 1 || d.count > groupRecords {
		return decoded{}, fmt.Errorf("%w: a group of %d", errEncoding, d.count)
	}
	rest := d.rest
	for i := range d.count {
		if len(rest) < sizeHead {
			return decoded{}, fmt.Errorf("%w: record %d of %d is missing", errEncoding, i, d.count)
		}
		size := uint64(binary.LittleEndian.Uint32(rest))
		if size > uint64(len(rest)-sizeHead) {
			return decoded{}, fmt.Errorf("%w: record %d has %d bytes, %d are left", errEncoding, i, size, len(rest)-sizeHead)
		}
		rest = rest[sizeHead+size:]
	}
	if len(rest) > 0 {
		return decoded{}, fmt.Errorf("%w: %d bytes too many", errEncoding, len(rest))
	}
	return d, nil
}

// unreadable tells of a message that is left out by all who read: somebody else wrote
// it, or the disk has changed it. To stop there would be to stop for ever.
func (l *Log) unreadable(stream uint64, err error) {
	l.b.seldom.Error("a record of the log cannot be read, and is left out", "log", l.options.Name, "record", seqOf(stream, 0), "error", err,
		"fix", "let nobody but weft write to "+l.subjects)
}

// take returns the next record; it is called count times at most.
func (d *decoded) take() []byte {
	if !d.group {
		return d.rest
	}
	size := binary.LittleEndian.Uint32(d.rest)
	record := d.rest[sizeHead : sizeHead+size : sizeHead+size]
	d.rest = d.rest[sizeHead+size:]
	return record
}

// records appends a message's records, from a place on, to entries.
func (d decoded) records(entries []Entry, e Entry, stream uint64, from int) []Entry {
	for place := range d.count {
		e.Record = d.take()
		if place < from {
			continue
		}
		e.Seq = seqOf(stream, place)
		entries = append(entries, e)
		e.Skipped = 0
	}
	return entries
}
