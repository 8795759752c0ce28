package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/websocket"
)

// web is what a listener with WebSocket under its frames has for all connections.
type web struct {
	site    websocket.Site
	kind    websocket.Kind
	trim    []byte // before the delimiter, where the frames are text
	headers []string
	query   string // the parameter with the client's token
	header  string // or the header with it
	ping    []byte
	within  int64 // nanoseconds from a unit's first byte to its last
}

// newWeb compiles what a listener says of WebSocket; nil if it says nothing.
func newWeb(c *config.Listener, l *listener) (*web, error) {
	if c.WebSocket == nil {
		return nil, nil
	}
	w := &web{
		site:    websocket.Site{Path: c.WebSocket.Path, Origins: c.WebSocket.Origins, Protocol: l.protocol, Required: c.Frame == config.FrameMQTT},
		headers: c.WebSocket.Headers, ping: websocket.Ping(), within: c.Deadlines.Read.Std().Nanoseconds(),
	}
	if query, ok := strings.CutPrefix(c.WebSocket.Token, config.TokenQuery); ok {
		w.query = query
	}
	if header, ok := strings.CutPrefix(c.WebSocket.Token, config.TokenHeader); ok {
		w.header = header
	}
	if l.format != nil {
		w.kind.Delimiter, w.trim = l.format.Ending()
	}
	if n := len(w.kind.Delimiter); n > websocket.MaxDelimiter {
		return nil, fmt.Errorf("listeners.%s.websocket: the frame's delimiter has %d bytes; expected at most %d under WebSocket", c.Name, n, websocket.MaxDelimiter)
	}
	return w, nil
}

// webUnit is how many bytes of a connection the engine must keep, beside those of a
// unit of the listener's own.
func webUnit(limit int) int { return max(websocket.MaxKept(limit), websocket.MaxRequest) + 1 }

// webState is what a connection of such a listener has of its own.
type webState struct {
	reader websocket.Reader
	attrs  abi.Attributes // of the upgrade, until the session begins
	since  int64          // when the unit of which bytes are kept began
	open   bool           // it has been upgraded
	closed bool           // a Close frame was sent, or the upgrade refused
}

// web deals with the bytes of a WebSocket connection, as engine.Handler.Data.
func (p *path) web(from *peer, b []byte) (consumed, need int) {
	w := from.web
	if w.closed {
		return len(b), 0
	}
	if !w.open {
		consumed = p.upgrade(from, b)
		switch {
		case w.closed:
			return len(b), 0
		case !w.open || consumed == len(b):
			return consumed, 0
		}
		b = b[consumed:]
	}
	n, need := p.unwrap(from, b)
	return consumed + n, need
}

// unwrap hands what is in b to the listener's protocol.
func (p *path) unwrap(from *peer, b []byte) (consumed, need int) {
	w, kind := from.web, &from.listener.web.kind
	before := w.reader.Partial()
	in := w.reader.Unwrap(kind, b, p.scratch)
	answers := in.Answers[len(p.scratch):]
	p.scratch = in.Answers
	counts := p.lanes[from.listener.index].web
	counts.pings += uint64(in.Pings)
	counts.pongs += uint64(in.Pongs)
	if in.Pings > 0 && in.Closed == 0 && in.Fault == nil && from.conn.Send(answers, abi.MaxPriority) == engine.Pressed {
		p.loop.Hold(from.conn.ID(), from.conn.ID())
	}
	if len(in.Inner) == before && p.speakers[from.listener.index] != nil {
		from.conn.Disregard() // its keep-alive is about its own packets
	}
	if len(in.Inner) > 0 {
		var follows []byte // nil: the connection cannot move
		if in.Fault == nil && in.Closed == 0 {
			follows = w.reader.Wrapped(b)
		}
		var moved bool
		if consumed, need, moved = p.cutWrapped(from, in.Inner, follows); moved {
			return len(b), 0
		}
	}
	switch {
	case in.Fault != nil:
		p.offends(from, offenceFrame)
		if p.server.debugging() {
			p.server.log.Debug("not WebSocket", "listener", from.listener.name, "remote", from.conn.Remote(), "error", in.Fault)
		}
		p.farewell(from, in.Fault.Code, in.Fault.Reason)
		from.conn.CloseAfterFlush(engine.ReasonProtocol)
	case in.Closed != 0:
		counts.closedByPeer.add(in.Closed)
		w.closed = true
		from.conn.Send(answers, 0) // behind everything that is queued
		from.conn.CloseAfterFlush(engine.ReasonPeerClosed)
	case from.refused:
		return len(b), 0
	}
	taken, need := w.reader.Keep(kind, b, consumed, need)
	p.watch(from, consumed)
	return taken, need
}

// watch ends a connection that takes too long for a unit. The engine watches the
// bytes; WebSocket's own, of which there may be some all the time, are not the unit's.
func (p *path) watch(from *peer, consumed int) {
	w := from.web
	switch within := from.listener.web.within; {
	case w.reader.Partial() == 0:
		w.since = 0
	case w.since == 0 || consumed > 0:
		w.since = p.now
	case within > 0 && p.now-w.since > within:
		from.conn.CloseAfterFlush(engine.ReasonReadDeadline)
	}
}

// upgrade answers the HTTP request that b begins, and says how much of b it was.
func (p *path) upgrade(from *peer, b []byte) int {
	l, w := from.listener, from.web
	counts := p.lanes[l.index].web
	req, size, refusal := websocket.ParseRequest(b)
	if size == 0 && refusal == nil {
		return 0
	}
	var agreed websocket.Agreement
	if refusal == nil {
		agreed, refusal = l.web.site.Check(&req)
	}
	start := len(p.scratch)
	if refusal != nil {
		counts.refuse(refusal.Status)
		if refusal.Status == http.StatusBadRequest {
			p.offends(from, offenceFrame)
		}
		if p.server.debugging() {
			p.server.log.Debug("no WebSocket", "listener", l.name, "remote", from.conn.Remote(), "status", refusal.Status, "error", refusal.Text)
		}
		p.scratch = websocket.AppendRefusal(p.scratch, refusal)
		w.closed, from.refused = true, true
		from.conn.Send(p.scratch[start:], abi.MaxPriority)
		from.conn.CloseAfterFlush(engine.ReasonDenied)
		return len(b)
	}
	counts.accepted++
	w.open, w.attrs = true, l.web.attributes(&req, &agreed)
	p.scratch = websocket.AppendAccept(p.scratch, agreed)
	from.conn.Send(p.scratch[start:], abi.MaxPriority)
	p.connected(from)
	return size
}

// attributes is what plugins see of the upgrade when the session begins.
func (w *web) attributes(req *websocket.Request, agreed *websocket.Agreement) abi.Attributes {
	a := abi.Attributes(nil).Append("ws.path", req.Path)
	if agreed.Origin != nil {
		a = a.Append("ws.origin", agreed.Origin)
	}
	if agreed.Protocol != "" {
		a = a.AppendString("ws.protocol", agreed.Protocol)
	}
	for _, name := range w.headers {
		if value, n := req.Get(name); n > 0 {
			a = a.Append(strings.ToLower(name), value)
		}
	}
	if w.query != "" {
		if token, ok := req.Param(w.query); ok {
			a = a.AppendString(plugins.SecretAttribute, token)
		}
	}
	if w.header != "" {
		if token, n := req.Get(w.header); n > 0 {
			a = a.Append(plugins.SecretAttribute, token)
		}
	}
	return a
}

// over is the attributes of an upgrade, without its token where the protocol above it
// has a password of its own, in more. Nothing else of the upgrade gives way: they come
// first, and what the client says later cannot take their place.
func (s *webState) over(more abi.Attributes) abi.Attributes {
	var left abi.Attributes
	for name, value := range s.attrs.All() {
		if _, own := more.Get(string(name)); !own || string(name) != plugins.SecretAttribute {
			left = left.Append(string(name), value)
		}
	}
	s.attrs = nil
	return left
}

// wrap makes a WebSocket message of a unit, valid until the turn ends. Receivers
// of one unit share it.
func (p *path) wrap(w *web, unit []byte) []byte {
	text := len(w.kind.Delimiter) > 0
	last := &p.lastWrap
	if len(unit) == len(last.unit) && len(unit) > 0 && &unit[0] == &last.unit[0] && text == last.text {
		return last.message
	}
	payload := unit
	if text {
		payload = trimEnd(trimEnd(payload, w.kind.Delimiter), w.trim)
	}
	start := len(p.scratch)
	p.scratch = websocket.Append(p.scratch, payload, text && websocket.IsText(payload))
	*last = wrap{unit: unit, text: text, message: p.scratch[start:]}
	return last.message
}

// wrap remembers the message that a unit was last made to.
type wrap struct {
	unit, message []byte
	text          bool
}

func trimEnd(b, end []byte) []byte {
	if n := len(b) - len(end); n >= 0 && string(b[n:]) == string(end) {
		return b[:n]
	}
	return b
}

// farewell sends the Close frame, unless that was done. The connection is then to be
// closed.
func (p *path) farewell(to *peer, code websocket.Code, reason string) {
	w := to.web
	if w == nil || !w.open || w.closed {
		return
	}
	w.closed = true
	p.lanes[to.listener.index].web.closedByWeft.add(code)
	start := len(p.scratch)
	p.scratch = websocket.AppendClose(p.scratch, code, reason)
	to.conn.Send(p.scratch[start:], 0)
}

// badFrame sends the Close frame for bytes that are no frame of the listener's.
func (p *path) badFrame(to *peer, err error) {
	if to.web == nil {
		return
	}
	code := websocket.BadData
	if fault := (*frame.Fault)(nil); errors.As(err, &fault) && fault.Reason == frame.TooLong {
		code = websocket.TooBig
	}
	p.farewell(to, code, err.Error())
}

// Leave implements engine.Leaver.
func (p *path) Leave(c *engine.Conn, reason engine.Reason) {
	from, ok := c.Value.(*peer)
	if !ok {
		return
	}
	if s, ok := p.speakers[from.listener.index].(interface{ left(*peer, engine.Reason) }); ok {
		s.left(from, reason)
	}
	if from.web != nil {
		p.farewell(from, closeCode(reason), reason.String())
	}
}

// closeCode is the code with which a WebSocket ends for this reason.
func closeCode(reason engine.Reason) websocket.Code {
	switch reason {
	case engine.ReasonSilence, engine.ReasonDrained, engine.ReasonStopped, engine.ReasonOperator:
		return websocket.GoingAway
	case engine.ReasonUnitTooLong:
		return websocket.TooBig
	case engine.ReasonProtocol:
		return websocket.BadData
	case engine.ReasonPanic:
		return websocket.Internal
	case engine.ReasonPeerClosed:
		return websocket.Normal
	}
	return websocket.Policy
}

// pinged sends a ping to a WebSocket that has been silent, and ends one that has not
// even been upgraded.
func (p *path) pinged(to *peer) {
	switch w := to.web; {
	case w.closed:
	case w.open:
		p.lanes[to.listener.index].web.sent++
		to.conn.Send(to.listener.web.ping, abi.MaxPriority)
	default:
		w.closed = true
		to.conn.CloseAfterFlush(engine.ReasonSilence)
	}
}

// cutWrapped is cut of what WebSocket carried; follows are the bytes behind it. After
// moved the connection is another loop's.
func (p *path) cutWrapped(from *peer, inner, follows []byte) (consumed, need int, moved bool) {
	p.wrapped = follows
	defer func() { moved, p.moved, p.wrapped = p.moved, false, nil }() // even if it panics
	consumed, need = p.cut(from, inner)
	return consumed, need, false
}

// move takes a connection to another loop; rest is what cut was given and has not
// consumed. It may be called while its bytes are cut. After true nothing of the peer
// may be touched.
func (p *path) move(from *peer, to int, rest []byte) bool {
	w := from.web
	if w == nil {
		return p.loop.Move(from.conn, to, rest)
	}
	if p.wrapped == nil {
		return false // it ends
	}
	before := w.reader
	all := append(append([]byte(nil), rest...), p.wrapped...)
	w.reader.Restart(len(rest))
	if !p.loop.Move(from.conn, to, all) {
		w.reader = before
		return false
	}
	p.moved = true
	return true
}
