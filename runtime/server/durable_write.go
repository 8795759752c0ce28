package server

import (
	"context"
	"errors"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
)

// write hands the loops' records to the log until ctx ends. A log that takes no more
// for now holds it up, and with it the loops' hand-overs.
func (r *durableRoute) write(ctx context.Context, s *Server) {
	for {
		select {
		case <-r.woken:
		case <-ctx.Done():
			return
		}
		for found := true; found && ctx.Err() == nil; {
			found = false
			for i, l := range r.lanes {
				found = l.box.Collect(func(parcel *delivery.Parcel[logItem]) {
					for k := range parcel.Items {
						r.append(ctx, s, s.paths[i], l, &parcel.Items[k])
					}
				}) || found
			}
		}
	}
}

// append hands over one record, as soon as the log takes it.
func (r *durableRoute) append(ctx context.Context, s *Server, p *path, l *logLane, item *logItem) {
	token := item.token
	answer := func(a backbone.Appended) {
		select {
		case r.room <- struct{}{}:
		default:
		}
		if a.Duplicate {
			r.counts.duplicates.Add(1)
		} else if a.Err == nil {
			r.counts.appended.Add(1)
			if a.Seq > r.newest.Load() { // the log's goroutine alone writes it
				r.newest.Store(a.Seq)
			}
		}
		p.logAnswered(l, logAnswer{token, r.refusal(s, a.Err)})
	}
	for {
		err := r.log.Append(string(item.id), item.delay, item.record, answer)
		if err == nil {
			return
		}
		if !errors.Is(err, backbone.ErrBusy) {
			p.logAnswered(l, logAnswer{token, r.refusal(s, err)})
			return
		}
		select {
		case <-r.room:
		case <-ctx.Done():
			p.logAnswered(l, logAnswer{token, delivery.LogAway})
			return
		}
	}
}

// refusal is why the log did not take a record; taken if it did.
func (r *durableRoute) refusal(s *Server, err error) delivery.Reason {
	switch {
	case err == nil:
		return taken
	case errors.Is(err, backbone.ErrFull):
		r.counts.full.Add(1)
		return delivery.LogFull
	case errors.Is(err, backbone.ErrTooLarge):
		r.counts.tooLarge.Add(1)
		return delivery.TooLarge
	}
	r.counts.away.Add(1)
	s.crowd.Warn("a durable message was refused: its sender is told", "route", r.name, "error", err)
	return delivery.LogAway
}
