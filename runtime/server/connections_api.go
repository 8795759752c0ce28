package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/engine"
)

// connections shows who is connected, as the API does.
type connections struct{ server *Server }

// connectionsPart is how many places of a loop's table are looked at between two turns.
const connectionsPart = 1024

// maxShown bounds the subscriptions that one answer shows.
const maxShown = 1000

// List implements admin.Connections.
func (c connections) List(ctx context.Context, which admin.ConnectionsWanted) (*weftv1.ConnectionsListResponse, error) {
	var all []*weftv1.Connection
	total := uint64(0)
	for _, p := range c.server.paths {
		for from, more := 0, true; more; {
			err := c.server.onLoop(ctx, p, func() {
				from, more = p.loop.Some(from, connectionsPart, func(conn *engine.Conn) {
					total++
					if one := p.connection(conn); wanted(&which, conn, one) {
						all = append(all, one)
					}
				})
			})
			if err != nil {
				return nil, err
			}
		}
	}
	order := orderOf(which.Order)
	slices.SortFunc(all, func(a, b *weftv1.Connection) int { return cmp.Or(order(a, b), cmp.Compare(a.GetId(), b.GetId())) })
	r := &weftv1.ConnectionsListResponse{Chosen: uint64(len(all)), All: total}
	if which.Skip < len(all) {
		r.Connections = all[which.Skip:min(which.Skip+which.Size, len(all))]
	}
	return r, nil
}

// wanted tells whether a connection is among those that are wanted.
func wanted(which *admin.ConnectionsWanted, conn *engine.Conn, one *weftv1.Connection) bool {
	switch {
	case which.Listener != "" && one.GetListener() != which.Listener:
		return false
	case which.Source.IsValid() && !which.Source.Contains(conn.Remote().Addr().WithZone("")):
		return false
	case which.Contains == "":
		return true
	}
	return slices.ContainsFunc([]string{one.GetNode(), one.GetClientId(), one.GetIdentity()}, func(text string) bool {
		return strings.Contains(strings.ToLower(text), which.Contains)
	})
}

// orderOf compares connections: the first one comes first.
func orderOf(order weftv1.ConnectionOrder) func(a, b *weftv1.Connection) int {
	oldest := func(a, b *weftv1.Connection) int { return a.GetSince().AsTime().Compare(b.GetSince().AsTime()) }
	most := func(of func(*weftv1.Connection) uint64) func(a, b *weftv1.Connection) int {
		return func(a, b *weftv1.Connection) int { return cmp.Compare(of(b), of(a)) }
	}
	switch order {
	case weftv1.ConnectionOrder_CONNECTION_ORDER_NEWEST:
		return func(a, b *weftv1.Connection) int { return oldest(b, a) }
	case weftv1.ConnectionOrder_CONNECTION_ORDER_QUEUED:
		return most((*weftv1.Connection).GetQueuedBytes)
	case weftv1.ConnectionOrder_CONNECTION_ORDER_BYTES_IN:
		return most((*weftv1.Connection).GetBytesIn)
	case weftv1.ConnectionOrder_CONNECTION_ORDER_BYTES_OUT:
		return most((*weftv1.Connection).GetBytesOut)
	case weftv1.ConnectionOrder_CONNECTION_ORDER_SILENT:
		return func(a, b *weftv1.Connection) int { return a.GetHeard().AsTime().Compare(b.GetHeard().AsTime()) }
	}
	return oldest
}

// Get implements admin.Connections.
func (c connections) Get(ctx context.Context, text string) (*weftv1.ConnectionsGetResponse, error) {
	var r *weftv1.ConnectionsGetResponse
	if err := c.with(ctx, text, func(p *path, conn *engine.Conn) { r = p.wholeConnection(conn) }); err != nil {
		return nil, err
	}
	return r, nil
}

// Close implements admin.Connections.
func (c connections) Close(ctx context.Context, ids []string) (gone []string, err error) {
	for _, id := range ids {
		err := c.with(ctx, id, func(_ *path, conn *engine.Conn) { conn.Close(engine.ReasonOperator) })
		switch {
		case errors.Is(err, admin.ErrGone):
			gone = append(gone, id)
		case err != nil:
			return gone, err
		default:
			c.server.log.Info("a connection was closed by the API", "connection", id)
		}
	}
	return gone, nil
}

// with calls f with a connection, on its loop.
func (c connections) with(ctx context.Context, text string, f func(*path, *engine.Conn)) error {
	id, ok := engine.ParseConnID(text)
	if !ok || id.Loop() >= len(c.server.paths) {
		return admin.ErrGone
	}
	p, found := c.server.paths[id.Loop()], false
	err := c.server.onLoop(ctx, p, func() {
		if conn := p.loop.Conn(id); conn != nil {
			found = true
			f(p, conn)
		}
	})
	if err == nil && !found {
		return admin.ErrGone
	}
	return err
}

// connection says what the table of connections shows of one.
func (p *path) connection(conn *engine.Conn) *weftv1.Connection {
	one := &weftv1.Connection{
		Id: conn.ID().String(), Listener: p.setup.listeners[conn.Listener()].name, Protocol: p.setup.listeners[conn.Listener()].protocol,
		Remote: conn.Remote().String(), Since: timestamppb.New(conn.Since()), Heard: timestamppb.New(conn.Heard()),
		BytesIn: conn.BytesIn(), BytesOut: conn.BytesOut(), QueuedBytes: uint64(max(conn.Queued(), 0)), Paused: conn.Held(), Closing: conn.Closing(),
	}
	from, ok := conn.Value.(*peer)
	if !ok {
		return one
	}
	if c, ok := from.said.(*mqttConn); ok && c.session != nil {
		one.ClientId = c.session.key.ClientID
		one.Subscriptions = uint32(len(c.session.subscriptions))
	}
	if s := from.session; s != nil {
		one.Node = s.Name()
		one.Subscriptions += uint32(s.Subscribed())
		if identity, ok := s.Context().Get(attrIdentity); ok {
			one.Identity = string(identity)
		}
	}
	return one
}

// wholeConnection says everything that is known of a connection.
func (p *path) wholeConnection(conn *engine.Conn) *weftv1.ConnectionsGetResponse {
	r := &weftv1.ConnectionsGetResponse{Connection: p.connection(conn), Context: map[string]string{}}
	from, ok := conn.Value.(*peer)
	if !ok {
		return r
	}
	if c, ok := from.said.(*mqttConn); ok && c.session != nil {
		for _, s := range c.session.subscriptions[:min(len(c.session.subscriptions), maxShown)] {
			r.Subscriptions = append(r.Subscriptions, s.filter)
		}
	}
	if s := from.session; s != nil {
		r.Subscriptions = append(r.Subscriptions, s.Subscriptions()...)
		r.Queues = s.Queues()
		for name, value := range s.Context().All() {
			if string(name) != attrPassword {
				r.Context[strings.ToValidUTF8(string(name), "�")] = strings.ToValidUTF8(string(value), "�")
			}
		}
	}
	r.Subscriptions = r.Subscriptions[:min(len(r.Subscriptions), maxShown)]
	return r
}

// onLoop runs f on a path's loop, between two turns, and waits until it is done. If ctx
// ends before, f may still run: what it writes is then not to be read.
func (s *Server) onLoop(ctx context.Context, p *path, f func()) error {
	done := make(chan struct{})
	if err := s.engine.Do(p.loop.Index(), func() { defer close(done); f() }); err != nil {
		if errors.Is(err, engine.ErrStopped) {
			return fmt.Errorf("%w: %w", admin.ErrDraining, err)
		}
		return fmt.Errorf("%w: %w", admin.ErrBusy, err)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Connections are those that are open, as the API shows them.
func (s *Server) Connections() admin.Connections { return connections{s} }
