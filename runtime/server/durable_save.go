package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/config"
)

// keep writes how far this node is, and its sessions are, until ctx ends.
func (d *durables) keep(ctx context.Context) {
	every := time.NewTicker(savedEvery)
	defer every.Stop()
	for {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		if err := d.save(ctx, onLoops{}); err != nil && ctx.Err() == nil {
			d.server.crowd.Warn("how far receivers of durable routes are could not be written: after a crash they get more than once what came since", "error", err)
		}
	}
}

// runner runs a function that belongs to a loop: on it, or directly when it has ended.
type runner interface {
	run(s *Server, loop int, fn func()) error
}

type onLoops struct{}

func (onLoops) run(s *Server, loop int, fn func()) error {
	done := make(chan struct{})
	if err := s.engine.Do(loop, func() { defer close(done); fn() }); err != nil {
		return err
	}
	<-done
	return nil
}

type direct struct{}

func (direct) run(_ *Server, _ int, fn func()) error { fn(); return nil }

// savedAtOnce is how many sessions a loop describes before it goes on with its turns.
const savedAtOnce = 128

// save writes the sessions that have changed, then the positions.
func (d *durables) save(ctx context.Context, on runner) error {
	s := d.server
	position := make([]uint64, len(d.list))
	for i := range position {
		position[i] = ^uint64(0)
	}
	var mu sync.Mutex
	var failed error
	var wrote sync.WaitGroup
	for i, p := range s.paths {
		first := true
		for more := true; more; first = false {
			err := on.run(s, i, func() {
				if first {
					for _, at := range d.unwritten.take(i) {
						at.speaker.dirty(at.session)
					}
					for _, l := range p.logList {
						position[l.route.place] = min(position[l.route.place], l.fed)
					}
				}
				more = p.describeDirty(savedAtOnce, func(at dirtied, record []byte) {
					wrote.Add(1)
					k := at.session.kept
					d.kept.put(k.key, k.own, record, func(err error) {
						defer wrote.Done()
						if err == nil || errors.Is(err, errMoved) {
							return
						}
						if !errors.Is(err, backbone.ErrTooLarge) { // it stays so
							d.unwritten.add(i, at)
						}
						mu.Lock()
						defer mu.Unlock()
						failed = errors.Join(failed, err)
					})
				})
			})
			if err != nil {
				return err
			}
		}
	}
	if err := waitFor(ctx, &wrote); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != nil {
		return failed
	}
	var errs []error
	for _, r := range d.list {
		seq, floor := position[r.place], r.floor
		if r.Keep == config.KeepDelivered {
			if floor, err := d.floorOf(on, r, seq); err == nil {
				r.floor = floor
			} else {
				errs = append(errs, err)
			}
		}
		if seq != r.stored.Load() || floor != r.floor || r.unsaved || r.newest.Load() > r.savedNewest || time.Since(r.signed) >= r.signEvery() {
			errs = append(errs, d.kept.savePosition(ctx, r, seq))
		}
		if floor != r.floor || len(r.once) > 0 && r.Keep == config.KeepDelivered {
			errs = append(errs, d.release(ctx, r))
		}
		errs = append(errs, d.look(ctx, r))
	}
	return errors.Join(errs...)
}

// unwritten is the sessions whose record was not written, by loop: no position may pass
// what it has, so they are written before the next one.
type unwritten struct {
	mu   sync.Mutex
	list map[int][]dirtied
}

func (u *unwritten) add(loop int, at dirtied) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.list == nil {
		u.list = map[int][]dirtied{}
	}
	u.list[loop] = append(u.list[loop], at)
}

func (u *unwritten) take(loop int) []dirtied {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := u.list[loop]
	delete(u.list, loop)
	return list
}

// waitFor waits for a group, as long as ctx lets it.
func waitFor(ctx context.Context, group *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// floorOf is up to where this node's receivers have everything, of which the loops have
// dealt with what is up to seq. A session that is being given to another node is held before
// it departs: who has gone when a loop is looked at is among those that are held afterwards.
// For one that comes meanwhile the node that gave it still holds the log, or the floor of a
// node that is gone does.
func (d *durables) floorOf(on runner, r *durableRoute, seq uint64) (uint64, error) {
	if !r.fan {
		return ^uint64(0) >> 1, nil // its works alone say what is done
	}
	for i, p := range d.server.paths {
		for at := 0; at >= 0; {
			err := on.run(d.server, i, func() {
				at = p.ackedBy(r, at, &seq)
			})
			if err != nil {
				return 0, err
			}
		}
	}
	d.kept.moves.floor(r.name, &seq)
	return seq, nil
}

// ackedBy lowers seq to what the kept sessions of the loop have acknowledged, from one
// place of the table on, and answers the next; -1 behind the last.
func (p *path) ackedBy(r *durableRoute, from int, seq *uint64) (next int) {
	slots := p.stays.slots
	to := min(from+8*savedAtOnce, len(slots))
	for _, st := range slots[min(from, to):to] {
		if st == nil || st.said == nil || st.said.kept == nil {
			continue
		}
		if acked, _, live := st.said.acked(p.logs[r.rule]); !live {
			*seq = min(*seq, acked)
		}
	}
	if to == len(slots) {
		return -1
	}
	return to
}

// release drops from a log what all nodes' receivers and all works have.
func (d *durables) release(ctx context.Context, r *durableRoute) error {
	floor := r.floor
	if d.server.cfg.Backbone.External() { // else other names are what this node was called before
		var err error
		if floor, err = d.lowest(ctx, r); err != nil {
			return err
		}
	}
	for _, w := range r.once {
		below, err := r.log.Worked(ctx, w.to)
		if err != nil {
			return err
		}
		floor = min(floor, max(below, 1)-1)
	}
	if floor <= r.released {
		return nil
	}
	if err := r.log.Release(ctx, floor+1); err != nil {
		return err
	}
	r.released = floor
	return nil
}

// lowest is the lowest floor of all nodes.
func (d *durables) lowest(ctx context.Context, r *durableRoute) (uint64, error) {
	others, err := d.sight(ctx, r, time.Now())
	floor := r.floor
	for i := range others {
		floor = min(floor, others[i].floor)
	}
	return floor, err
}

// describeDirty hands over what the bucket is to have of the sessions that have
// changed, so many of them; true if there are more.
func (p *path) describeDirty(most int, write func(at dirtied, record []byte)) (more bool) {
	n := min(most, len(p.dirtied))
	for i := range n {
		at := p.dirtied[i]
		p.dirtied[i] = dirtied{}
		if k := at.session.kept; k != nil {
			k.dirty = false
			write(at, at.speaker.record(at.session))
		}
	}
	left := copy(p.dirtied, p.dirtied[n:])
	clear(p.dirtied[left:])
	p.dirtied = p.dirtied[:left]
	return len(p.dirtied) > 0
}
