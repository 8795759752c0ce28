package backbone

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What nodes tell each other, integers little-endian:
//
//	version u8, kind u8, part u16, parts u16, life u64, revision u64, digest u64, size u32,
//	lengths u8 of node and host, node, host, body
//
// The body of noteDelta and noteSnapshot is interests: kind u8 (its top bit set: not any
// more), length uvarint, text. That of noteBatch is what the other node's user handed over.
const (
	noteVersion = 1
	noteHead    = 1 + 1 + 2 + 2 + 8 + 8 + 8 + 4 + 2
)

type noteKind uint8

const (
	noteHello    noteKind = iota + 1 // to all: I am new; tell me what you have
	noteBeat                         // to all: I am there, at this revision
	noteDelta                        // to all: what revision is different by
	noteAsk                          // to one: tell me all
	noteSnapshot                     // to one: all, in parts
	noteBye                          // to all: send me nothing new; the set is empty
	noteGone                         // to all: I am not there any more
	noteTaken                        // to one: the name is mine
	noteBatch                        // to one: messages
	noteAck                          // to one, behind messages: nothing follows noteBye
)

// note is one such message. Its slices alias what it was parsed from.
type note struct {
	kind        noteKind
	part, parts uint16
	life        uint64 // of the node: when it was started, in ns since 1970
	revision    uint64
	digest      uint64
	size        uint32
	node, host  string
	body        []byte
}

var errNote = errors.New("malformed note")

func (n *note) append(dst []byte) []byte {
	dst = append(dst, noteVersion, byte(n.kind))
	dst = binary.LittleEndian.AppendUint16(dst, n.part)
	dst = binary.LittleEndian.AppendUint16(dst, n.parts)
	dst = binary.LittleEndian.AppendUint64(dst, n.life)
	dst = binary.LittleEndian.AppendUint64(dst, n.revision)
	dst = binary.LittleEndian.AppendUint64(dst, n.digest)
	dst = binary.LittleEndian.AppendUint32(dst, n.size)
	dst = append(dst, byte(len(n.node)), byte(len(n.host)))
	dst = append(dst, n.node...)
	dst = append(dst, n.host...)
	return append(dst, n.body...)
}

func parseNote(b []byte) (note, error) {
	if len(b) < noteHead {
		return note{}, fmt.Errorf("%w: %d bytes, the head has %d", errNote, len(b), noteHead)
	}
	if b[0] != noteVersion {
		return note{}, fmt.Errorf("%w: version %d, this weft knows %d", errNote, b[0], noteVersion)
	}
	n := note{
		kind: noteKind(b[1]), part: binary.LittleEndian.Uint16(b[2:]), parts: binary.LittleEndian.Uint16(b[4:]),
		life: binary.LittleEndian.Uint64(b[6:]), revision: binary.LittleEndian.Uint64(b[14:]),
		digest: binary.LittleEndian.Uint64(b[22:]), size: binary.LittleEndian.Uint32(b[30:]),
	}
	name, host, rest := int(b[34]), int(b[35]), b[noteHead:]
	if name == 0 || name+host > len(rest) {
		return note{}, fmt.Errorf("%w: names of %d and %d bytes, %d are left", errNote, name, host, len(rest))
	}
	n.node, n.host, n.body = string(rest[:name]), string(rest[name:name+host]), rest[name+host:]
	return n, nil
}

// change is an interest that is there now, or not any more.
type change struct {
	Interest
	on bool
}

const notAnyMore = 0x80

func appendChange(dst []byte, i Interest, on bool) []byte {
	kind := byte(i.Kind)
	if !on {
		kind |= notAnyMore
	}
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(i.Text)))
	return append(dst, i.Text...)
}

// maxText bounds what one interest may be called.
const maxText = 1 << 16

func parseChanges(b []byte) ([]change, error) {
	var list []change
	for len(b) > 0 {
		c := change{on: b[0]&notAnyMore == 0}
		c.Kind = InterestKind(b[0] &^ notAnyMore)
		size, n := binary.Uvarint(b[1:])
		if c.Kind.index() < 0 || n <= 0 || size > maxText || size > uint64(len(b)-1-n) {
			return nil, fmt.Errorf("%w: an interest of kind %d", errNote, b[0])
		}
		b = b[1+n:]
		c.Text = string(b[:size])
		b = b[size:]
		list = append(list, c)
	}
	return list, nil
}
