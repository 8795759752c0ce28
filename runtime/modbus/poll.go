package modbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"strconv"
	"time"
)

// Poll is a range of values that is read again and again.
type Poll struct {
	Unit    byte
	Table   Table
	Address int // from 0
	Count   int // at most Table.MaxRead
	Every   time.Duration
	// Raw publishes the bytes of the response behind its byte count instead of JSON.
	Raw bool
	// OnChange publishes only what differs from the last time, and the first answer
	// after a failure.
	OnChange bool
}

// request is the PDU that reads it.
func (p *Poll) request() []byte {
	pdu := binary.BigEndian.AppendUint16([]byte{byte(p.Table)}, uint16(p.Address))
	return binary.BigEndian.AppendUint16(pdu, uint16(p.Count))
}

// Poll reads the values until ctx ends and hands them to publish, one after another.
// A read that takes longer than Every delays the next. Failures are counted and
// handed to failed, which may be nil.
func (d *Device) Poll(ctx context.Context, p Poll, publish func(payload []byte), failed func(error)) {
	tick := time.NewTicker(p.Every)
	defer tick.Stop()
	var last []byte
	for {
		pdu, err := d.Do(ctx, p.Unit, p.request())
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			last = nil
			if failed != nil {
				failed(err)
			}
		default:
			values := pdu[2:]
			if !p.OnChange || last == nil || !bytes.Equal(values, last) {
				publish(p.payload(values))
			}
			last = values
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// payload is what is published of a response's values.
func (p *Poll) payload(values []byte) []byte {
	if p.Raw {
		return bytes.Clone(values)
	}
	out := []byte{'{'}
	for i := range p.Count {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = strconv.AppendInt(out, int64(p.Table.Number(p.Address+i)), 10)
		out = append(out, '"', ':')
		if p.Table.Bits() {
			out = strconv.AppendBool(out, values[i/8]>>(i%8)&1 == 1)
		} else {
			out = strconv.AppendUint(out, uint64(binary.BigEndian.Uint16(values[2*i:])), 10)
		}
	}
	return append(out, '}')
}
