package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/router"
)

// logsAPI is the part of the server that the API shows and replays logs of.
type logsAPI struct{ server *Server }

// route finds a durable route.
func (a logsAPI) route(name string) (*durableRoute, error) {
	var known []string
	if d := a.server.durable; d != nil {
		for _, r := range d.list {
			if r.name == name {
				return r, nil
			}
			known = append(known, r.name)
		}
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("%w: no route of this weft is durable", admin.ErrUnknown)
	}
	return nil, fmt.Errorf("%w: %.80q is no durable route; there are %.400q", admin.ErrUnknown, name, known)
}

// awayOr says that a log cannot be read, unless the caller has gone.
func awayOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", admin.ErrAway, err)
}

// Logs implements admin.Logs.
func (a logsAPI) Logs(ctx context.Context) ([]admin.Log, error) {
	d := a.server.durable
	if d == nil {
		return nil, nil
	}
	var list []admin.Log
	for _, r := range d.list {
		info, err := r.log.Info(ctx)
		if err != nil {
			return nil, awayOr(ctx, err)
		}
		l := admin.Log{
			Route: r.name, First: info.First, Last: info.Last, Records: info.Records, Bytes: info.Bytes,
			Pending: uint64(max(info.Waiting, 0)), Delayed: info.Delayed,
		}
		if info.Records > 0 {
			l.Oldest, l.Newest = info.Oldest, info.Newest
		}
		if r.fan {
			seq := r.counts.followed.Load()
			l.Readers = append(l.Readers, admin.LogReader{Name: a.server.node, Seq: seq, Lag: lagOf(&info, seq)})
		}
		for _, w := range r.once {
			if below, err := r.log.Worked(ctx, w.to); err == nil {
				seq := max(below, 1) - 1
				l.Readers = append(l.Readers, admin.LogReader{Name: w.to, Seq: seq, Lag: lagOf(&info, seq)})
			}
		}
		list = append(list, l)
	}
	return list, nil
}

// SeqAt implements admin.Logs.
func (a logsAPI) SeqAt(ctx context.Context, route string, at time.Time) (uint64, error) {
	r, err := a.route(route)
	if err != nil {
		return 0, err
	}
	seq, err := r.log.SeqAt(ctx, at)
	if err != nil {
		return 0, awayOr(ctx, err)
	}
	return seq, nil
}

// Read implements admin.Logs.
func (a logsAPI) Read(ctx context.Context, route string, from uint64, limit int) ([]admin.LogEntry, error) {
	r, err := a.route(route)
	if err != nil {
		return nil, err
	}
	entries, err := r.log.Read(ctx, from, limit)
	if err != nil {
		return nil, awayOr(ctx, err)
	}
	list := make([]admin.LogEntry, 0, len(entries))
	for i := range entries {
		e := admin.LogEntry{Seq: entries[i].Seq, Time: entries[i].Time}
		var record delivery.Record
		if err := delivery.ParseRecord(entries[i].Record, &record); err != nil {
			record = delivery.Record{Message: abi.Message{Payload: entries[i].Record}}
		}
		m := record.Message
		e.Node, e.From = string(record.Node), shownSender(record.From)
		e.Delivery = admin.Delivery{Message: &m, Listener: string(record.Listener)}
		list = append(list, e)
	}
	return list, nil
}

// replayBatch is how many entries are under way at once.
const replayBatch = 64

// Replay implements admin.Logs.
func (a logsAPI) Replay(ctx context.Context, route string, way admin.LogReplay) (done admin.LogReplayed, err error) {
	r, err := a.route(route)
	if err != nil {
		return done, err
	}
	if way.Route != "" && a.server.setup().rule(way.Route) < 0 {
		return done, fmt.Errorf("%w: there is no route %.80q", admin.ErrUnknown, way.Route)
	}
	if way.Topic != "" {
		if err := router.ValidateTopic([]byte(way.Topic)); err != nil {
			return done, fmt.Errorf("%w: %w", admin.ErrInvalidMessage, err)
		}
	}
	if state, _ := a.server.life.State(); state != life.Running {
		return done, fmt.Errorf("%w: weft is %s", admin.ErrDraining, state)
	}
	if done.To = way.To; done.To == 0 {
		info, err := r.log.Info(ctx)
		if err != nil {
			return done, awayOr(ctx, err)
		}
		done.To = info.Last // what is replayed may end in the same log
	}
	done.Next, done.Dropped = way.From, map[string]int{}
	for left := way.Limit; left > 0; {
		entries, err := a.Read(ctx, route, done.Next, min(left, replayBatch))
		if err != nil {
			return done, err
		}
		for i := range entries {
			if entries[i].Seq > done.To {
				entries = entries[:i]
				break
			}
		}
		if len(entries) == 0 {
			done.Next = 0
			return done, nil
		}
		if err := a.send(ctx, r, entries, way, &done); err != nil {
			return done, err
		}
		left -= len(entries)
		done.Next = entries[len(entries)-1].Seq + 1
	}
	return done, nil
}

// send sends entries on their way, in order, and waits for what becomes of them.
func (a logsAPI) send(ctx context.Context, r *durableRoute, entries []admin.LogEntry, way admin.LogReplay, done *admin.LogReplayed) error {
	s := a.server
	at := r.place % len(s.paths)
	results := make([]chan admin.Receipt, len(entries))
	for i := range results {
		results[i] = make(chan admin.Receipt, 1)
	}
	err := s.engine.Do(at, func() {
		for i := range entries {
			m := entries[i].Delivery.Message
			m.Session, m.Frame, m.Listener = 0, nil, apiListener
			m.Changed = true // what came before the plugins is not in a log
			m.Flags = m.Flags&^abi.FlagEmitted | abi.FlagRedelivered
			if way.Topic != "" {
				m.Topic = []byte(way.Topic)
			}
			s.paths[at].takeFor(m, s.paths[at].setup.rule(way.Route), results[i])
		}
	})
	if err != nil {
		return fmt.Errorf("%w: %w", admin.ErrBusy, err)
	}
	for _, result := range results {
		select {
		case receipt := <-result:
			done.Replayed++
			if receipt.Dropped == "" {
				done.Taken++
			} else {
				done.Dropped[receipt.Dropped]++
			}
		case <-ctx.Done():
			return errors.Join(errors.New("what became of the last entries is not known"), ctx.Err())
		}
	}
	return nil
}
