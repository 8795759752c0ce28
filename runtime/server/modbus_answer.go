package server

import (
	"strconv"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/modbus"
)

// answer answers a request with a PDU, or with exception 4 if it is none for it.
func (s *modbusSpeaker) answer(d *dialogue, i int, pdu []byte) delivery.Reason {
	r := &d.requests[i]
	if r.silent {
		s.counts.broadcasts.Add(1)
		s.remove(d, i)
		return taken
	}
	why := taken
	unit, err := s.frame(r, pdu)
	if err != nil || pdu[0]&^exceptionBit != r.function&^exceptionBit {
		why, unit = delivery.Unencodable, s.exception(r, modbus.DeviceFailure)
	} else if e, is := modbus.AsException(pdu); is {
		s.counts.exception(e)
	} else {
		s.counts.answers.Add(1)
	}
	if sent := s.release(d, i, unit); why == taken {
		return sent
	}
	return why
}

const exceptionBit = 0x80

// frame is an answer as a frame, in the turn's scratch.
func (s *modbusSpeaker) frame(r *modbusRequest, pdu []byte) ([]byte, error) {
	p := s.path
	var digits [3]byte
	start := len(p.scratch)
	attrs := abi.Attributes(p.scratch).Append("unit", strconv.AppendUint(digits[:0], uint64(r.unit), 10))
	p.scratch = attrs
	m := abi.Message{Type: abi.TypeResponse, Seq: r.transaction, Attrs: attrs[start:], Payload: pdu}
	at := len(p.scratch)
	grown, err := s.format.Append(p.scratch, &m)
	p.scratch = grown
	return grown[at:len(grown):len(grown)], err
}

// exception is the frame that answers a request with an exception, counted.
func (s *modbusSpeaker) exception(r *modbusRequest, e modbus.Exception) []byte {
	s.counts.exception(e)
	var pdu [2]byte
	unit, _ := s.frame(r, modbus.AppendException(pdu[:0], r.function, e))
	return unit
}

// release sends an answer: at once on TCP, where its transaction says what it is for,
// and after those to earlier requests on a serial line.
func (s *modbusSpeaker) release(d *dialogue, i int, unit []byte) delivery.Reason {
	if s.serial && i > 0 {
		d.requests[i].answer = append([]byte{}, unit...)
		return taken
	}
	s.remove(d, i)
	why := s.send(d, unit)
	for len(d.requests) > 0 && d.requests[0].answer != nil {
		unit := d.requests[0].answer
		s.remove(d, 0)
		s.send(d, unit)
	}
	return why
}

func (s *modbusSpeaker) send(d *dialogue, unit []byte) delivery.Reason {
	switch s.path.write(d.peer, unit, 0) {
	case engine.Pressed:
		s.path.loop.Hold(d.peer.conn.ID(), d.peer.conn.ID())
	case engine.Dropped:
		return delivery.OutboxFull
	case engine.Closed:
		return delivery.Closed
	}
	return taken
}

// remove forgets a request.
func (s *modbusSpeaker) remove(d *dialogue, i int) {
	d.requests = append(d.requests[:i], d.requests[i+1:]...)
	if len(d.requests) > 0 || d.at < 0 {
		return
	}
	last := len(s.busy) - 1
	s.busy[d.at] = s.busy[last]
	s.busy[d.at].at = d.at
	s.busy[last] = nil
	s.busy, d.at = s.busy[:last], -1
}

// ended answers a request whose message went no further without having been answered.
// What a plugin dropped is not answered: silence was its word.
func (s *modbusSpeaker) ended(m *abi.Message, why delivery.Reason) {
	from := s.path.peer(m.Session)
	if from == nil {
		return
	}
	d := from.said.(*dialogue)
	for i := range d.requests {
		r := &d.requests[i]
		if r.receipt != m.Receipt || r.answer != nil {
			continue
		}
		switch {
		case r.silent:
			s.counts.broadcasts.Add(1)
			s.drop(d, i)
		case why == taken && s.path.asked == m.Receipt && s.path.askedBy == m.Session:
			r.asked = true
		case why == delivery.PluginDrop:
			s.counts.silenced.Add(1)
			s.drop(d, i)
		default:
			s.release(d, i, s.exception(r, exceptionFor(why)))
		}
		return
	}
}

// drop forgets a request that gets no answer; those behind it may go.
func (s *modbusSpeaker) drop(d *dialogue, i int) {
	s.remove(d, i)
	for len(d.requests) > 0 && d.requests[0].answer != nil {
		unit := d.requests[0].answer
		s.remove(d, 0)
		s.send(d, unit)
	}
}

// exceptionFor is the exception that says why a request was not answered (MODBUS
// Application Protocol V1.1b3, section 7).
func exceptionFor(why delivery.Reason) modbus.Exception {
	switch why {
	case delivery.NoNode, delivery.NoMember, delivery.NoUpstream:
		return modbus.NoPath
	case delivery.RequestBusy, delivery.OutboxFull, delivery.LoopBusy, delivery.HoldFull, delivery.UpstreamFull:
		return modbus.DeviceBusy
	}
	return modbus.DeviceFailure
}

// tick answers what nobody has answered in time.
func (s *modbusSpeaker) tick(now time.Time) {
	for at := len(s.busy) - 1; at >= 0; at-- {
		d := s.busy[at]
		for i := 0; i < len(d.requests); {
			r := &d.requests[i]
			if r.deadline > now.UnixNano() || r.answer != nil {
				i++
				continue
			}
			s.counts.timeouts.Add(1)
			if r.silent {
				s.drop(d, i)
				continue
			}
			before := len(d.requests)
			s.release(d, i, s.exception(r, modbus.NoResponse))
			if len(d.requests) == before {
				i++ // it waits for its turn
			}
		}
	}
}
