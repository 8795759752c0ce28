package server

import (
	"errors"
	"fmt"
)

// A batch between nodes is records one behind the other, integers little-endian:
//
//	size u32 of all that follows,
//	kind u8, flags u8, length of name u8, number of groups u8, wait u32 (ms),
//	key u32, epoch u16, 0 u16, token u64, name, groups u64 each, the message's record
//
// wait, key, epoch and token belong to requests: how long the answer is waited for, and by
// what the node that asks knows it.
const (
	farSize = 4
	farHead = 4 + 4 + 4 + 2 + 2 + 8
)

type farKind uint8

const (
	farTopic    farKind = iota + 1 // to who subscribes to the topic
	farName                        // to the session that has the name
	farQueue                       // to one member of the queue group
	farAll                         // to all sessions that have names
	farResponse                    // to who asked
	farReply                       // to the request of the API whose topic the message has
	farUnasked                     // there is no response to wait for
)

const (
	farPlain   = 1 << iota // farTopic: to subscriptions that are not shared
	farTracked             // a request: its response is expected by token
	farAsk                 // of the API
	farLost                // farUnasked: nobody has got the message, or who had it is gone
	farConfirm             // farUnasked is to say whether somebody took the message
)

// farRecord is the head of one record.
type farRecord struct {
	kind   farKind
	flags  uint8
	wait   uint32
	key    uint32
	epoch  uint16
	token  uint64
	name   []byte
	groups []uint64 // in the bytes that it was read from: see group
	packed []byte
}

// append appends the head, with an empty size.
func (h *farRecord) append(dst []byte) []byte {
	dst = append(dst, 0, 0, 0, 0, byte(h.kind), h.flags, byte(len(h.name)), byte(len(h.groups)))
	dst = le.AppendUint32(dst, h.wait)
	dst = le.AppendUint32(dst, h.key)
	dst = le.AppendUint16(dst, h.epoch)
	dst = le.AppendUint16(dst, 0)
	dst = le.AppendUint64(dst, h.token)
	dst = append(dst, h.name...)
	for _, g := range h.groups {
		dst = le.AppendUint64(dst, g)
	}
	return dst
}

// wants tells whether a record that was read is for the shared subscription.
func (h *farRecord) wants(key uint64) bool {
	for b := h.packed; len(b) > 0; b = b[8:] {
		if le.Uint64(b) == key {
			return true
		}
	}
	return false
}

var errFar = errors.New("malformed record of another node")

// cutFar cuts the first record off a batch. What it returns aliases b.
func cutFar(b []byte) (record, rest []byte, err error) {
	if len(b) < farSize {
		return nil, nil, fmt.Errorf("%w: %d bytes are left", errFar, len(b))
	}
	size := uint64(le.Uint32(b))
	if size < farHead || size > uint64(len(b)-farSize) {
		return nil, nil, fmt.Errorf("%w: it says that it has %d bytes, %d are left", errFar, size, len(b)-farSize)
	}
	return b[farSize : farSize+size], b[farSize+size:], nil
}

// parseFar reads the head of a record and answers the message's own bytes.
func parseFar(b []byte, h *farRecord) (message []byte, err error) {
	name, groups := int(b[2]), 8*int(b[3])
	if farHead+name+groups > len(b) {
		return nil, fmt.Errorf("%w: a name of %d bytes and %d of groups in %d", errFar, name, groups, len(b))
	}
	*h = farRecord{
		kind: farKind(b[0]), flags: b[1], wait: le.Uint32(b[4:]), key: le.Uint32(b[8:]), epoch: le.Uint16(b[12:]), token: le.Uint64(b[16:]),
		name: b[farHead : farHead+name], packed: b[farHead+name : farHead+name+groups],
	}
	return b[farHead+name+groups:], nil
}
