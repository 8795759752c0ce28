package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// The opcodes (RFC 6455, section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

const (
	finBit     = 0x80
	maskBit    = 0x80
	maxControl = 125 // bytes of payload in a control frame
)

// header is the head of a frame from a client.
type header struct {
	length uint64
	key    uint32 // of the mask, its first byte lowest
	opcode uint8
	fin    bool
}

func (h *header) control() bool { return h.opcode >= opClose }

// parse reads the header at the start of b. size is its length; 0 if more bytes
// are needed. What cannot become right is refused at its first byte.
func (h *header) parse(b []byte) (size int, fault *Fault) {
	if len(b) == 0 {
		return 0, nil
	}
	h.fin, h.opcode = b[0]&finBit != 0, b[0]&0x0F
	switch {
	case b[0]&0x70 != 0:
		return 0, errReserved
	case h.opcode > opBinary && h.opcode < opClose || h.opcode > opPong:
		return 0, errOpcode
	case h.control() && !h.fin:
		return 0, errControlSplit
	case len(b) < 2:
		return 0, nil
	case b[1]&maskBit == 0:
		return 0, errUnmasked
	}
	short := b[1] &^ maskBit
	if h.control() && short > maxControl {
		return 0, errControlLong
	}
	size = headerSize(short)
	if len(b) < size {
		return 0, nil
	}
	switch h.length = uint64(short); short {
	case 126:
		if h.length = uint64(binary.BigEndian.Uint16(b[2:])); h.length < 126 {
			return 0, errLength
		}
	case 127:
		h.length = binary.BigEndian.Uint64(b[2:])
		switch {
		case h.length>>63 != 0:
			return 0, errHuge
		case h.length < 1<<16:
			return 0, errLength
		}
	}
	h.key = binary.LittleEndian.Uint32(b[size-4:])
	return size, nil
}

// headerSize is the length of a client's header by its seven bits of length.
func headerSize(short byte) int {
	switch short {
	case 126:
		return 8
	case 127:
		return 14
	}
	return 6
}

// wants is how many bytes the header that b begins needs at least, a control frame
// with its payload.
func wants(b []byte) int {
	if len(b) < 2 {
		return 2
	}
	short := b[1] &^ maskBit
	if b[0]&0x08 != 0 {
		return 6 + int(short)
	}
	return headerSize(short)
}

// MaxHeader is how long the header of a frame to a client is at most, in bytes.
const MaxHeader = 10

// Append appends a message of one frame: text, which must be UTF-8, or binary.
func Append(dst, payload []byte, text bool) []byte {
	return append(AppendHeader(dst, len(payload), text), payload...)
}

// AppendHeader appends the header of a message of one frame, whose payload of so many
// bytes is to follow.
func AppendHeader(dst []byte, length int, text bool) []byte {
	first := byte(finBit | opBinary)
	if text {
		first = finBit | opText
	}
	switch {
	case length < 126:
		return append(dst, first, byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(length))
}

// AppendClose appends a Close frame. The reason is UTF-8; as much of it as fits, 123
// bytes, is sent. Empty makes a Close without a code.
func AppendClose(dst []byte, code Code, reason string) []byte {
	if code == Empty {
		return append(dst, finBit|opClose, 0)
	}
	for reason = reason[:min(len(reason), maxControl-2)]; !utf8.ValidString(reason); {
		reason = reason[:len(reason)-1]
	}
	dst = append(dst, finBit|opClose, byte(2+len(reason)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

// Ping is a Ping frame without payload.
func Ping() []byte { return []byte{finBit | opPing, 0} }
