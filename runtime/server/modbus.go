package server

import (
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/modbus"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/session"
)

// modbusListener is what a Modbus listener's configuration becomes.
type modbusListener struct {
	format  *frame.Format // the server's end
	serial  bool
	most    int // requests of one connection that may wait
	timeout time.Duration
	gateway *gatewayUnits // nil: requests take the routes
	counts  *modbusCounts
}

// newModbusListener compiles what a listener says of Modbus.
func newModbusListener(cfg *config.Config, c *config.Listener) (*modbusListener, error) {
	f, _ := frame.Preset(c.Frame)
	l := &modbusListener{
		format: f.WithLimit(int(c.Limits.Frame)), serial: c.Frame == frame.ModbusRTU,
		most: c.Modbus.Pending, timeout: c.Modbus.Timeout.Std(), counts: &modbusCounts{},
	}
	if l.timeout == 0 {
		l.timeout = cfg.Requests.Timeout.Std()
	}
	var err error
	l.gateway, err = newGatewayUnits(c.Modbus)
	return l, err
}

// newModbusSpeaker makes a Modbus listener's speaker on a loop.
func newModbusSpeaker(p *path, l *listener) speaker {
	return &modbusSpeaker{path: p, listener: l, modbusListener: l.modbus}
}

// modbusSpeaker answers the requests of a Modbus listener's clients on one loop. It
// remembers each until it is answered: by a plugin, by a device, by whom a route leads
// to, or by an exception where none of them does. A client never gets what it did not
// ask for, and on a serial line nothing out of turn.
type modbusSpeaker struct {
	path     *path
	listener *listener
	*modbusListener
	busy    []*dialogue // those with requests that wait
	message abi.Message // that is being cut
}

// altered is told of a change of the listener's configuration.
func (s *modbusSpeaker) altered(l *listener) { s.listener, s.modbusListener = l, l.modbus }

// dialogue is a connection with the requests that it waits for, oldest first.
type dialogue struct {
	peer     *peer
	requests []modbusRequest
	receipt  uint32 // of the last request
	at       int    // in busy; -1 if it is not there
}

// modbusRequest is a request that is not answered yet.
type modbusRequest struct {
	seq         uint64 // by which its answer is found: no other that waits has it
	transaction uint64 // the client's own, which need not be another each time
	deadline    int64
	receipt     uint32
	unit        byte
	function    byte
	asked       bool   // somebody else may answer: it waits until the deadline
	silent      bool   // a broadcast: it is not answered
	answer      []byte // a frame that waits for earlier answers, on a serial line
}

func (s *modbusSpeaker) opened(from *peer) {
	c := from.conn
	from.said = &dialogue{peer: from, at: -1}
	made := session.New(uint64(c.ID()), s.listener.index, time.Now().UnixNano(), c.Remote())
	if admitted, reason := s.path.join(from, made, nil); !admitted {
		s.path.server.crowd.Info("session refused", "listener", s.listener.name, "remote", c.Remote(), "reason", string(reason))
		c.CloseAfterFlush(engine.ReasonDenied)
	}
}

// data cuts requests off b. A header that is none ends the connection; on a serial
// line the next frame is looked for.
func (s *modbusSpeaker) data(from *peer, b []byte) (consumed, need int) {
	p := s.path
	d := from.said.(*dialogue)
	for consumed < len(b) && !from.refused {
		s.message = abi.Message{}
		n, grown, err := s.format.Decode(b[consumed:], p.scratch, &s.message)
		p.scratch = grown
		if err == nil && n == 0 {
			return consumed, s.format.Need(b[consumed:])
		}
		consumed += n
		if err == nil {
			from.faults = 0
			s.request(d, &s.message)
			continue
		}
		p.lanes[s.listener.index].counts.bad(err)
		p.offends(from, offenceFrame)
		if p.server.debugging() {
			p.server.log.Debug("not a frame", "listener", s.listener.name, "remote", from.conn.Remote(), "skipped", n, "error", err)
		}
		if from.faults++; n == 0 || from.faults > maxFaults {
			from.refused = true
			from.conn.CloseAfterFlush(engine.ReasonProtocol)
		}
	}
	if from.refused {
		consumed = len(b)
	}
	return consumed, 0
}

// request takes one request on its way.
func (s *modbusSpeaker) request(d *dialogue, m *abi.Message) {
	unit, _ := unitOf(m) // as Decode has written it
	r := modbusRequest{transaction: m.Seq, unit: unit, function: m.Payload[0], silent: s.format.Unanswered(m)}
	s.counts.request(r.function)
	if len(d.requests) >= s.most {
		s.path.ledger.In++
		s.path.ledger.Drop(delivery.RequestBusy)
		if s.serial {
			s.counts.ignored.Add(1) // an answer would be taken for another's
			return
		}
		s.send(d, s.exception(&r, modbus.DeviceBusy))
		return
	}
	d.receipt = max(d.receipt+1, 1) // 0 is none
	r.receipt, r.deadline = d.receipt, s.path.now+s.timeout.Nanoseconds()
	r.seq = uint64(uint16(r.receipt))
	if d.at < 0 {
		d.at = len(s.busy)
		s.busy = append(s.busy, d)
	}
	d.requests = append(d.requests, r)
	m.Seq, m.Receipt, m.Frame = r.seq, r.receipt, nil
	s.path.enter(d.peer, m)
}

// unitOf is the unit in a message's attributes: Decode has written it, or whoever sent
// the message; false if it is no number from 0 to 255.
func unitOf(m *abi.Message) (unit byte, ok bool) {
	text, _ := m.Attrs.Get("unit")
	n := 0
	for _, c := range text {
		if n = n*10 + int(c-'0'); c < '0' || c > '9' || n > 255 {
			return 0, false
		}
	}
	return byte(n), len(text) > 0
}

// deliver takes an answer to the client that asked. Anything else finds nobody: a
// Modbus server speaks when it is asked.
func (s *modbusSpeaker) deliver(m *abi.Message, to uint64, _ []router.Subscriber) delivery.Reason {
	from := s.path.peer(to)
	if from == nil {
		return delivery.Closed
	}
	if m.Type != abi.TypeResponse {
		return delivery.Unencodable
	}
	d := from.said.(*dialogue)
	for i := range d.requests {
		if r := &d.requests[i]; r.seq == m.Seq && r.answer == nil {
			return s.answer(d, i, m.Payload)
		}
	}
	return delivery.LateResponse
}

// pending: a drain waits for answers that are still to come.
func (s *modbusSpeaker) pending() bool { return len(s.busy) > 0 }

func (s *modbusSpeaker) idle(*peer) {}

func (s *modbusSpeaker) closed(from *peer, reason engine.Reason) {
	if from.session == nil {
		return
	}
	defer s.path.server.sessions.Close(from.session) // whatever plugins still do
	s.path.leave(from, reason, true)
	d := from.said.(*dialogue)
	for len(d.requests) > 0 {
		s.remove(d, len(d.requests)-1)
	}
}
