package main

import (
	"encoding/binary"
	"fmt"
	"time"
)

// stamp is what a message's payload says of it.
type stamp struct {
	seed   uint64 // of the run that sent it
	source uint32
	seq    uint64 // 1 for the first message of the source
	time   time.Time
}

// A payload, integers big-endian: magic u32, source u32, seed u64, sequence u64,
// time i64 in nanoseconds, then as many zeroes as the size asks for.
const (
	stampMagic = 0x63_68_61_6f // "chao"
	stampSize  = 32
)

// append adds the payload to dst, size bytes or stampSize, whichever is more.
func (s stamp) append(dst []byte, size int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, stampMagic)
	dst = binary.BigEndian.AppendUint32(dst, s.source)
	dst = binary.BigEndian.AppendUint64(dst, s.seed)
	dst = binary.BigEndian.AppendUint64(dst, s.seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.time.UnixNano()))
	if size > stampSize {
		dst = append(dst, make([]byte, size-stampSize)...)
	}
	return dst
}

// parseStamp reads a payload; not ok: it is none of ours.
func parseStamp(b []byte) (s stamp, ok bool) {
	if len(b) < stampSize || binary.BigEndian.Uint32(b) != stampMagic {
		return stamp{}, false
	}
	for _, padding := range b[stampSize:] {
		if padding != 0 {
			return stamp{}, false
		}
	}
	return stamp{
		source: binary.BigEndian.Uint32(b[4:]), seed: binary.BigEndian.Uint64(b[8:]), seq: binary.BigEndian.Uint64(b[16:]),
		time: time.Unix(0, int64(binary.BigEndian.Uint64(b[24:]))),
	}, true
}

// id is the message's id: the same at every try.
func (s stamp) id() string { return fmt.Sprintf("%x-%d-%d", s.seed, s.source, s.seq) }
