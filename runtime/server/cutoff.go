package server

import (
	"context"
	"time"

	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/filter"
)

// cutPause is how long it is at least from one look at all connections to the next:
// who blocks many sources one by one has them closed together.
const cutPause = 100 * time.Millisecond

// cutoff closes the connections of sources that may not speak to their listener any
// more: without it, who is blocked could go on with what stands. Nothing of that is on
// the way of a message. As an enforcer of the book it only hears that there may be some.
type cutoff struct{ wake chan struct{} }

func newCutoff() *cutoff { return &cutoff{wake: make(chan struct{}, 1)} }

func (c *cutoff) look() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Listeners implements filter.Enforcer: a default may be another one.
func (c *cutoff) Listeners([]filter.Listener) error { c.look(); return nil }

// Put implements filter.Enforcer.
func (c *cutoff) Put(list []filter.Entry) error { return c.about(list, filter.Deny) }

// Delete implements filter.Enforcer: who was allowed may be denied.
func (c *cutoff) Delete(list []filter.Entry) error { return c.about(list, filter.Allow) }

// Counts implements filter.Enforcer: it counts nothing.
func (c *cutoff) Counts(list []filter.Count) ([]filter.Count, error) { return list, nil }

func (c *cutoff) about(list []filter.Entry, what filter.Action) error {
	for i := range list {
		if list[i].Action == what {
			c.look()
			break
		}
	}
	return nil
}

// startCutoff closes connections from now on, until the function that it returns is
// called.
func (s *Server) startCutoff() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.cut(ctx) }()
	return func() { cancel(); <-done }
}

// cut closes what is to be closed until ctx ends.
func (s *Server) cut(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-s.fastPath.cutoff.wake:
		}
		if closed := s.cutAll(ctx); closed > 0 {
			s.log.Info("connections of sources that are denied or blocked were closed", "connections", closed)
		}
		pause.Reset(cutPause)
	}
}

// cutAll goes through all connections, in parts between which loops have their turns.
func (s *Server) cutAll(ctx context.Context) (closed int) {
	for _, p := range s.paths {
		for from, more := 0, true; more; {
			n := 0
			err := s.onLoop(ctx, p, func() {
				now := time.Now().UnixNano()
				from, more = p.loop.Some(from, connectionsPart, func(conn *engine.Conn) {
					if s.fastPath.shut(conn, now) {
						conn.Close(engine.ReasonDenied)
						n++
					}
				})
			})
			if err != nil { // it ends, or is too busy: then later
				s.fastPath.cutoff.look()
				break
			}
			closed += n
		}
	}
	return closed
}

// shutOut closes a connection that comes to its loop and may not be there any more.
func (p *path) shutOut(c *engine.Conn) bool {
	if c.Datagrams() || !p.server.fastPath.shut(c, p.loop.Now().UnixNano()) {
		return false
	}
	c.Close(engine.ReasonDenied)
	return true
}

// shut tells whether the connection's source may not speak to its listener, and counts
// nothing. now is in nanoseconds since 1970.
func (f *fastPath) shut(conn *engine.Conn, now int64) bool {
	return f.table.Rules(uint16(conn.Listener()), conn.Remote().Addr(), now) != filter.Pass
}
