package load

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Modbus polls registers by Modbus TCP (Modbus Messaging on TCP/IP, 1.0b). It has no
// payload: only Request mode measures it. An exception counts as refused.
type Modbus struct {
	// Unit is the device, Function what is read: 1 coils, 2 discrete inputs, 3 holding
	// registers, 4 input registers.
	Unit, Function uint8
	// At is the first, counted from 0; Count how many.
	At, Count uint16
}

const mbapHeader = 7 // transaction, protocol, length, unit

// Name is "modbus-tcp".
func (*Modbus) Name() string { return "modbus-tcp" }

// Text is false.
func (*Modbus) Text() bool { return false }

// Stampless implements stampless.
func (*Modbus) Stampless() bool { return true }

// Handshake does nothing: there is none.
func (*Modbus) Handshake(io.ReadWriter, Peer) ([]byte, error) { return nil, nil }

// Append writes a request. The sequence id is the transaction.
func (m *Modbus) Append(dst []byte, p Publication) ([]byte, error) {
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.Seq))
	dst = append(dst, 0, 0, 0, 6, m.Unit, m.Function)
	dst = binary.BigEndian.AppendUint16(dst, m.At)
	return binary.BigEndian.AppendUint16(dst, m.Count), nil
}

// Cutter reads answers; the payload of one is what it holds behind the function.
func (m *Modbus) Cutter() Cutter {
	c := &cutter{}
	c.parse = func(b []byte) (Span, int, bool, error) {
		if len(b) < mbapHeader {
			return Span{}, 0, false, nil
		}
		n := int(binary.BigEndian.Uint16(b[4:]))
		if b[2] != 0 || b[3] != 0 || n < 3 || n > 254 {
			return Span{}, 0, false, fmt.Errorf("%w: no Modbus TCP: % x", ErrProtocol, b[:mbapHeader])
		}
		total := mbapHeader - 1 + n
		if len(b) < total {
			return Span{}, 0, false, nil
		}
		c.acked++
		switch function := b[mbapHeader]; {
		case function == m.Function|0x80:
			c.refuse(fmt.Sprintf("exception %d", b[mbapHeader+1]))
		case function != m.Function:
			return Span{}, 0, false, fmt.Errorf("%w: an answer for function %d to a request of %d", ErrProtocol, function, m.Function)
		}
		return Span{mbapHeader + 1, n - 2}, total, true, nil
	}
	return c
}
