package server

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/life"
)

// recorder lets the API look at the traffic. While nobody does, no loop knows of
// it: taps are put into the chains, between two turns, when a recording begins.
type recorder struct {
	server *Server

	mu     sync.Mutex // one change of the taps at a time
	active []*recording
	tails  []*tailing

	recorded, missed atomic.Uint64 // of recordings that have ended
	batches          atomic.Uint64 // that tails have looked at
}

// maxRecordings is how many recordings may run at once: each one copies what it
// sees.
const maxRecordings = 8

// recordingParcel bounds what waits for the reader of one recording on each loop,
// see delivery.Handover.
var recordingParcel = delivery.HandoverLimits{Items: 4096, Bytes: 4 << 20}

// Record implements admin.Recorder.
func (r *recorder) Record(_ context.Context, o admin.RecordOptions) (admin.Recording, error) {
	s := r.server
	if state, _ := s.life.State(); state != life.Running {
		return nil, fmt.Errorf("%w: weft is %s", admin.ErrDraining, state)
	}
	at, err := r.listenerOf(o.Listener)
	if err != nil {
		return nil, err
	}
	if err := r.stands(o, at); err != nil {
		return nil, err
	}
	rec := &recording{owner: r, options: o, listener: at, woken: make(chan struct{}, 1), every: max(uint64(o.Every), 1)}
	for range s.paths {
		rec.loops = append(rec.loops, &recordingLoop{box: delivery.NewHandover[tapped](recordingParcel)})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.active) >= maxRecordings {
		return nil, fmt.Errorf("%w: %d recordings run, which is the most; end one", admin.ErrBusy, maxRecordings)
	}
	r.active = append(r.active, rec)
	if err := r.install(); err != nil {
		r.active = r.active[:len(r.active)-1]
		rec.closed.Store(true)
		return nil, fmt.Errorf("%w: %w", admin.ErrBusy, err)
	}
	return rec, nil
}

// stands tells whether the plugin that is to be recorded is in a chain at all.
func (r *recorder) stands(o admin.RecordOptions, listener int) error {
	if o.Plugin == "" {
		return nil
	}
	now, found := r.server.setup(), false
	chainsOf(now.cfg, func(key chainKey, entries []config.ChainEntry) {
		if listener < 0 || key == listenerChain(now.nameOf(uint32(listener))) {
			found = found || slices.ContainsFunc(entries, func(e config.ChainEntry) bool { return e.Plugin == o.Plugin })
		}
	})
	if found {
		return nil
	}
	if o.Listener != "" {
		return fmt.Errorf("%w: plugin %.80q does not stand in the chain of listener %s", admin.ErrUnknown, o.Plugin, o.Listener)
	}
	return fmt.Errorf("%w: plugin %.80q stands in no chain", admin.ErrUnknown, o.Plugin)
}

// install puts the taps of the active recordings into the chains of every loop.
// The caller holds mu.
func (r *recorder) install() error {
	active, tails := slices.Clone(r.active), slices.Clone(r.tails)
	for i := range r.server.paths {
		err := r.server.rollouts.onLoop(i, func(p *path) error {
			p.tail = newPathTail(p, tails, p.trace)
			p.tapChains(active)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// remove takes a recording's taps out again.
func (r *recorder) remove(rec *recording) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = slices.DeleteFunc(r.active, func(other *recording) bool { return other == rec })
	r.recorded.Add(rec.recorded.Load())
	r.missed.Add(rec.missed.Load())
	if err := r.install(); err != nil {
		// Nothing is recorded any more; the taps go with the next change.
		r.server.log.Debug("taps were not taken out", "error", err)
	}
}

func (r *recorder) metrics() []admin.Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	recorded, missed := r.recorded.Load(), r.missed.Load()
	for _, rec := range r.active {
		recorded, missed = recorded+rec.recorded.Load(), missed+rec.missed.Load()
	}
	return []admin.Metric{
		single("weft_recordings", "Recordings of traffic that run.", admin.Gauge, uint64(len(r.active))),
		single("weft_recorded_messages_total", "Messages copied for recordings.", admin.Counter, recorded),
		single("weft_recording_missed_total", "Messages that recordings missed because they came faster than they were read.", admin.Counter, missed),
	}
}

// tapChains gives every place of the path's chains the taps that the recordings
// want there.
func (p *path) tapChains(active []*recording) {
	p.recordings = active
	for i := range p.lanes {
		p.tapChain(p.lanes[i].chain, i, active)
	}
	for i := range p.stages {
		if c := p.stages[i].chain; c != nil {
			p.tapChain(c, -1, active)
		}
	}
}

// tapChain taps one chain: that of a listener, or of a route if listener is below 0.
func (p *path) tapChain(chain *plugins.Chain, listener int, active []*recording) {
	for place := plugins.Whole; place < chain.Len(); place++ {
		name := ""
		if place != plugins.Whole {
			name = chain.Plugin(place).Name()
		}
		t := &tap{path: p, chain: chain, listener: listener, place: place, tail: p.tail}
		for _, r := range active {
			if r.options.Plugin == name && (r.listener < 0 && name != "" || r.listener == listener && listener >= 0) {
				t.recordings = append(t.recordings, r)
			}
		}
		if t.recordings == nil && t.tail == nil {
			chain.Tap(place, nil)
		} else {
			chain.Tap(place, t)
		}
	}
}

// tap shows what passes one place of a chain to recordings.
type tap struct {
	path       *path
	chain      *plugins.Chain
	listener   int // -1: of a route
	place      int
	recordings []*recording
	tail       *pathTail // nil: nobody
}

// Looks implements plugins.Choosy.
func (t *tap) Looks(hook abi.Hook, messages []abi.Message) bool {
	follows := false
	switch {
	case t.tail == nil:
	case t.place == plugins.Whole:
		follows = t.tail.looks(t.listener, hook, messages)
	default:
		follows = t.tail.running > 0
	}
	return follows || len(t.recordings) > 0
}

// Wants implements plugins.Choosy.
func (t *tap) Wants(origin int32) bool {
	return len(t.recordings) > 0 || t.tail.origin(origin) != nil
}

// Saw implements plugins.Tap.
func (t *tap) Saw(hook abi.Hook, seen []plugins.Seen, cost plugins.Cost) {
	if t.tail != nil {
		t.tail.saw(t.chain, t.place, seen, cost)
	}
	for _, r := range t.recordings {
		r.saw(t, hook, seen)
	}
}

// recording is traffic on its way to one reader.
type recording struct {
	owner    *recorder
	options  admin.RecordOptions
	listener int // -1: wherever the plugin stands
	every    uint64
	loops    []*recordingLoop

	woken                     chan struct{}
	closed                    atomic.Bool
	once                      sync.Once
	batches                   atomic.Uint64
	recorded, missed, skipped atomic.Uint64

	next  int // of the reader: the loop to collect from
	queue []*weftv1.RecordedMessage
}

// recordingLoop is a loop's part of a recording.
type recordingLoop struct {
	box   *delivery.Handover[tapped]
	calls uint64 // of the place, of which one in every is recorded
}

// post makes what a loop has recorded ready to be read.
func (r *recording) post(loop int) {
	if r.loops[loop].box.Post() {
		select {
		case r.woken <- struct{}{}:
		default:
		}
	}
}

// Started implements admin.Recording.
func (r *recording) Started() *weftv1.RecordStarted {
	started := &weftv1.RecordStarted{Listener: r.options.Listener, Plugin: r.options.Plugin}
	if r.listener >= 0 {
		now := r.owner.server.setup()
		chainsOf(now.cfg, func(key chainKey, entries []config.ChainEntry) {
			for _, e := range entries {
				if key == listenerChain(now.nameOf(uint32(r.listener))) {
					started.Chain = append(started.Chain, e.Plugin)
				}
			}
		})
	}
	return started
}

// Next implements admin.Recording.
func (r *recording) Next(ctx context.Context) (*weftv1.RecordedMessage, uint64, uint64, error) {
	for len(r.queue) == 0 {
		if r.collect() {
			continue
		}
		select {
		case <-r.woken:
		case <-ctx.Done():
			return nil, r.missed.Load(), r.skipped.Load(), ctx.Err()
		}
	}
	m := r.queue[0]
	r.queue[0] = nil
	r.queue = r.queue[1:]
	return m, r.missed.Load(), r.skipped.Load(), nil
}

// collect reads one parcel; false if there is none.
func (r *recording) collect() bool {
	for range r.loops {
		l := r.loops[r.next]
		r.next = (r.next + 1) % len(r.loops)
		if l.box.Collect(func(p *delivery.Parcel[tapped]) { r.queue = appendRecorded(r.queue[:0], p.Items) }) {
			return true
		}
	}
	return false
}

// Close implements admin.Recording.
func (r *recording) Close() {
	r.once.Do(func() {
		r.closed.Store(true)
		r.owner.remove(r)
	})
}
