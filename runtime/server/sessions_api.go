package server

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// sessionsAPI shows the sessions, as the API does. There are three kinds, each with ids of
// its own: those of a connection have its id; those of MQTT, which may outlive theirs,
// stay-N; and those of clients of frames that are away, away-N.
type sessionsAPI struct{ server *Server }

const (
	stayPrefix = "stay-"
	awayPrefix = "away-"
)

func stayText(id uint64) string { return stayPrefix + strconv.FormatUint(id, 16) }

func parseStay(text string) (uint64, bool) {
	digits, ok := strings.CutPrefix(text, stayPrefix)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 16, 64)
	return id, err == nil && isStay(id)
}

// awayText is the id of a session of frames whose client is away: a hash of its key, so
// that it is the same as long as it waits.
func awayText(key string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return awayPrefix + strconv.FormatUint(h.Sum64(), 16)
}

// List implements admin.Sessions.
func (a sessionsAPI) List(ctx context.Context, which admin.SessionsWanted) (*weftv1.SessionsListResponse, error) {
	out := &weftv1.SessionsListResponse{}
	found := newPage(which.Skip+which.Size, func(x, y *weftv1.Session) int {
		return cmp.Or(cmp.Compare(x.GetName(), y.GetName()), cmp.Compare(x.GetId(), y.GetId()))
	})
	see := func(one *weftv1.Session) {
		out.All++
		switch {
		case which.Listener != "" && one.GetListener() != which.Listener, which.Away && one.GetConnection() != "":
		case which.Contains != "" && !strings.Contains(strings.ToLower(one.GetName()), which.Contains):
		default:
			out.Chosen++
			found.add(one)
		}
	}
	for _, p := range a.server.paths {
		if err := a.onPath(ctx, p, see); err != nil {
			return nil, err
		}
	}
	a.server.lasting.sessions(func(s *lastingSession) { see(a.server.showAway(s)) })
	out.Sessions = found.from(which.Skip)
	return out, nil
}

// onPath sees the sessions of a loop, a part of its tables after another.
func (a sessionsAPI) onPath(ctx context.Context, p *path, see func(*weftv1.Session)) error {
	for from, more := 0, true; more; {
		err := a.server.onLoop(ctx, p, func() {
			from, more = p.loop.Some(from, connectionsPart, func(conn *engine.Conn) {
				if one := p.showSession(conn); one != nil {
					see(one)
				}
			})
		})
		if err != nil {
			return err
		}
	}
	for from, more := 0, true; more; {
		err := a.server.onLoop(ctx, p, func() {
			end := min(from+connectionsPart, len(p.stays.slots))
			for _, st := range p.stays.slots[min(from, end):end] {
				if st != nil && st.said != nil {
					see(p.showStay(st))
				}
			}
			from, more = end, end < len(p.stays.slots)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// showSession is a connection's own session; nil if it has none.
func (p *path) showSession(conn *engine.Conn) *weftv1.Session {
	from, ok := conn.Value.(*peer)
	if !ok || from.session == nil {
		return nil
	}
	if c, ok := from.said.(*mqttConn); ok && c.session != nil {
		return nil // it is among those that may outlive their connections
	}
	return &weftv1.Session{
		Id: conn.ID().String(), Name: utf8(from.session.Name()), Listener: from.listener.name, Protocol: from.listener.protocol,
		Connection: conn.ID().String(), Since: timestamppb.New(conn.Since()), Subscriptions: uint32(from.session.Subscribed()),
	}
}

// showStay is a session that may outlive its connection.
func (p *path) showStay(st *stay) *weftv1.Session {
	s, l := st.said, p.setup.listeners[st.listener]
	one := &weftv1.Session{
		Id: stayText(st.id), Name: utf8(s.key.ClientID), Listener: l.name, Protocol: l.protocol,
		Subscriptions: uint32(len(s.subscriptions)), Waiting: uint32(s.state.Len()),
	}
	if s.peer != nil {
		one.Connection, one.Since = s.peer.conn.ID().String(), timestamppb.New(s.peer.conn.Since())
	} else if s.kept != nil && s.kept.left > 0 {
		one.Expires = timestamppb.New(time.Unix(0, s.kept.left).Add(time.Duration(s.start.Expiry) * time.Second))
	}
	return one
}

// showAway is a session of frames whose client is away.
func (s *Server) showAway(l *lastingSession) *weftv1.Session {
	one := &weftv1.Session{
		Id: awayText(l.key), Listener: s.setup().listeners[l.listener].name, Protocol: s.setup().listeners[l.listener].protocol,
		Subscriptions: uint32(len(l.state.patterns)), Expires: timestamppb.New(time.Unix(0, l.ends)),
	}
	if _, key, ok := cutKeptKey(l.key); ok {
		one.Name = utf8(key.ClientID)
	}
	return one
}

// sessions visits those whose clients are away.
func (t *lasting) sessions(visit func(*lastingSession)) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.away {
		visit(s)
	}
}

// Get implements admin.Sessions.
func (a sessionsAPI) Get(ctx context.Context, text string) (*weftv1.SessionsGetResponse, error) {
	var out *weftv1.SessionsGetResponse
	err := a.with(ctx, text,
		func(p *path, conn *engine.Conn) {
			if one := p.showSession(conn); one != nil {
				whole := p.wholeConnection(conn)
				out = &weftv1.SessionsGetResponse{Session: one, Subscriptions: whole.GetSubscriptions(), Queues: whole.GetQueues(), Context: whole.GetContext()}
			}
		},
		func(p *path, st *stay) {
			out = &weftv1.SessionsGetResponse{Session: p.showStay(st), Context: map[string]string{}}
			for _, one := range st.said.subscriptions[:min(len(st.said.subscriptions), maxShown)] {
				out.Subscriptions = append(out.Subscriptions, utf8(one.filter))
			}
			if st.said.peer != nil && st.said.peer.session != nil {
				showContext(out.Context, st.said.peer.session.Context())
			} else if st.said.context != nil {
				showContext(out.Context, st.said.context.context)
			}
		},
		func(l *lastingSession) {
			out = &weftv1.SessionsGetResponse{Session: a.server.showAway(l), Context: map[string]string{}}
			for _, pattern := range l.state.patterns[:min(len(l.state.patterns), maxShown)] {
				if queue, ok := strings.CutPrefix(pattern, "queue:"); ok {
					out.Queues = append(out.Queues, utf8(queue))
				} else {
					out.Subscriptions = append(out.Subscriptions, utf8(pattern))
				}
			}
			showContext(out.Context, l.state.context)
		})
	if err == nil && out == nil {
		err = admin.ErrGone
	}
	return out, err
}

func showContext(into map[string]string, context abi.Attributes) {
	for name, value := range context.All() {
		if string(name) != attrPassword {
			into[utf8(string(name))] = utf8(string(value))
		}
	}
}

// End implements admin.Sessions.
func (a sessionsAPI) End(ctx context.Context, text string) error {
	ended := false
	err := a.with(ctx, text,
		func(p *path, conn *engine.Conn) {
			if p.showSession(conn) == nil {
				return
			}
			if k := conn.Value.(*peer).lasts(); k != nil && k.session != nil {
				a.server.lasting.end(k.session)
			}
			conn.Close(engine.ReasonOperator)
			ended = true
		},
		func(p *path, st *stay) {
			p.speakers[st.listener].(*mqttSpeaker).endByOperator(st.said)
			ended = true
		},
		func(l *lastingSession) {
			a.server.lasting.forget(l) // its lock is held
			ended = true
		})
	switch {
	case err != nil:
		return err
	case !ended:
		return admin.ErrGone
	}
	a.server.log.Info("a session was ended by the API", "session", text)
	return nil
}

// endByOperator ends a session with all that it has.
func (s *mqttSpeaker) endByOperator(session *mqttSession) {
	s.path.begin()
	if from := session.peer; from != nil {
		s.dismiss(from, from.said.(*mqttConn), packet.AdministrativeAction, "the session was ended by an operator", engine.ReasonOperator)
		s.detach(session)
		s.gone(session)
	}
	s.away.End(session.state, s.path.now)
	s.due()
}

// with calls one of the functions with a session, where it lives.
func (a sessionsAPI) with(ctx context.Context, text string, connected func(*path, *engine.Conn), stays func(*path, *stay), away func(*lastingSession)) error {
	if strings.HasPrefix(text, awayPrefix) {
		t := a.server.lasting
		if t == nil {
			return admin.ErrGone
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, l := range t.away {
			if awayText(l.key) == text {
				away(l)
				return nil
			}
		}
		return admin.ErrGone
	}
	id, ok := parseStay(text)
	if !ok {
		return connections(a).with(ctx, text, connected)
	}
	if loopOf(id) >= len(a.server.paths) {
		return admin.ErrGone
	}
	p, err := a.server.paths[loopOf(id)], error(nil)
	asked := a.server.onLoop(ctx, p, func() {
		st := p.stays.get(id)
		if st == nil || st.said == nil {
			err = fmt.Errorf("%w", admin.ErrGone)
			return
		}
		stays(p, st)
	})
	return cmp.Or(asked, err)
}

// Sessions are those that there are, as the API shows them.
func (s *Server) Sessions() admin.Sessions { return sessionsAPI{s} }

// Subscriptions are those in force, as the API shows them.
func (s *Server) Subscriptions() admin.Subscriptions { return subscriptions{s} }
