package load

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"time"
)

// moment is what the counters said at one time.
type moment struct {
	at             int64
	sent, received uint64
	server, driver time.Duration
}

// measure sends, waits for what is under way and sums up.
func (r *run) measure() (*Result, error) {
	r.started = r.now()
	r.deadline = math.MaxInt64
	if r.cfg.Duration > 0 {
		r.deadline = r.started + int64(r.cfg.Warmup+r.cfg.Duration)
	}
	r.requests = make([]Counts, len(r.publishers))
	r.latency = make([]*Histogram, len(r.publishers))
	r.measureFrom.Store(r.started + int64(r.cfg.Warmup))
	first, err := r.moment()
	if err != nil {
		return nil, err
	}
	if r.cfg.Mode == Open {
		r.plan = newSchedule(&r.cfg)
	}
	r.series = newSeries(widthOf(&r.cfg), r.started+int64(r.cfg.Warmup), &r.cfg)
	r.moments = append(r.moments[:0], first)
	for _, s := range r.subscribers {
		s.begin.Store(r.series)
	}
	defer r.places()()
	sent := r.send()
	first, last, err := r.supervise(first, sent)
	r.stopSending(sent)
	if err != nil {
		return r.cutShort(first, err)
	}
	if err := r.drain(); err != nil {
		return r.cutShort(first, err)
	}
	if r.cfg.Duration == 0 { // a count: what matters is when the last one came
		if last, err = r.moment(); err != nil {
			return nil, err
		}
		last.at = max(r.lastArrival(), first.at+1)
	}
	if err := r.cause(); err != nil {
		return r.cutShort(first, err)
	}
	r.close()
	r.moments = append(r.moments, last)
	return r.result(first, last), nil
}

// cutShort sums up what was measured until a connection failed, and hands on why. The
// publishers have ended.
func (r *run) cutShort(from moment, why error) (*Result, error) {
	if r.outer.Err() != nil || from.at < r.measureFrom.Load() {
		return nil, why
	}
	r.cfg.ServerPID = 0 // it may be gone
	to, err := r.moment()
	if err != nil {
		return nil, why
	}
	to.at = max(to.at, from.at+1)
	r.close()
	r.moments = append(r.moments, to)
	out := r.result(from, to)
	out.CutOff = why.Error()
	return out, why
}

// maxPlaces bounds how many publishers sleep on time.
const maxPlaces = 64

// places gives every publisher of an open run a place of its own in Go's scheduler,
// and returns what takes them back. A publisher that sleeps keeps its place until the
// scheduler looks, which may be 10 ms later: with fewer places than publishers they
// would wait for each other, and that would be measured.
func (r *run) places() (restore func()) {
	if r.cfg.Mode != Open {
		return func() {}
	}
	former := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(former + min(len(r.publishers), maxPlaces))
	return func() { runtime.GOMAXPROCS(former) }
}

// send starts the publishers; the channel is closed when all are done.
func (r *run) send() <-chan struct{} {
	var group sync.WaitGroup
	for i, p := range r.publishers {
		limit := uint64(math.MaxUint64)
		if r.cfg.Count > 0 {
			limit = r.cfg.Count / uint64(len(r.publishers))
			if uint64(i) < r.cfg.Count%uint64(len(r.publishers)) {
				limit++
			}
		}
		r.latency[i] = NewHistogram()
		p.recent.series = r.series
		group.Go(func() {
			if err := r.publish(p, limit); err != nil {
				r.cancel(err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	return done
}

func (r *run) publish(p *publisher, limit uint64) error {
	switch r.cfg.Mode {
	case Open:
		return p.open(limit)
	case Request:
		return p.request(limit, r.latency[p.index], &r.requests[p.index])
	}
	return p.closed(limit)
}

// supervise waits for the end of sending, notes the counters when the warm-up and
// the measurement end, and shows the progress. A run without a Duration is given
// up when nothing moves for Timeout.
func (r *run) supervise(first moment, sent <-chan struct{}) (from, to moment, err error) {
	warm := time.NewTimer(r.cfg.Warmup)
	defer warm.Stop()
	var over <-chan time.Time
	if r.cfg.Duration > 0 {
		timer := time.NewTimer(time.Duration(r.deadline - r.now()))
		defer timer.Stop()
		over = timer.C
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	fine := time.NewTicker(time.Duration(r.series.width))
	defer fine.Stop()
	from = first
	shown, moved := first, first
	for {
		select {
		case <-r.ctx.Done():
			return from, to, r.cause()
		case <-warm.C:
			if r.cfg.Warmup > 0 {
				if from, err = r.moment(); err != nil {
					return from, to, err
				}
				r.moments = append(r.moments, from)
				fine.Reset(time.Duration(r.series.width)) // intervals end with a tick
			}
		case <-sent:
			to, err = r.moment()
			return from, to, err
		case <-over:
			to, err = r.moment()
			return from, to, err
		case <-fine.C:
			now, err := r.moment()
			if err != nil {
				return from, to, err
			}
			if len(r.moments) < 4*maxIntervals {
				r.moments = append(r.moments, now)
			}
		case <-ticker.C:
			now, err := r.moment()
			if err != nil {
				return from, to, err
			}
			r.progress(shown, now)
			shown = now
			if now.sent != moved.sent || now.received != moved.received {
				moved = now
			} else if r.cfg.Duration == 0 && time.Duration(now.at-moved.at) > r.cfg.Timeout {
				return from, now, nil
			}
		}
	}
}

// stopSending tells the publishers to stop and waits for them: one that hangs in a
// write is given up when nothing has arrived for Drain.
func (r *run) stopSending(sent <-chan struct{}) {
	close(r.stop)
	r.window.wakeAll()
	r.whileMoving(func() bool {
		select {
		case <-sent:
			return true
		default:
			return false
		}
	})
	for _, p := range r.publishers {
		_ = p.conn.SetWriteDeadline(time.Now()) // a closed connection needs none
		if r.cfg.Mode == Request {
			_ = p.conn.SetReadDeadline(time.Now())
		}
	}
	<-sent
	for _, p := range r.publishers {
		if p.unsent == 0 { // it still answers, as QoS 2 has it; behind half a message nothing can come
			_ = p.conn.SetWriteDeadline(time.Time{})
		}
	}
}

// whileMoving waits until something is done, the run is cancelled, or nothing has arrived
// for Drain.
func (r *run) whileMoving(done func() bool) {
	last, since := r.received(), time.Now()
	for !done() && r.ctx.Err() == nil && time.Since(since) < r.cfg.Drain {
		select {
		case <-r.ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
		if n := r.received(); n != last {
			last, since = n, time.Now()
		}
	}
}

// drain waits until everything sent has arrived or nothing came for Drain.
func (r *run) drain() error {
	if len(r.subscribers) == 0 {
		return nil
	}
	known := uint64(max(r.window.sent.Load(), 0))
	all := func() bool {
		received := r.received()
		return received >= known && received >= r.expected()
	}
	r.whileMoving(all)
	if !all() && r.ctx.Err() != nil {
		return r.cause()
	}
	return nil
}

// expected is how many deliveries were sent on the streams that have come to their
// subscribers, those too that came when sending had begun.
func (r *run) expected() (n uint64) {
	for _, s := range r.subscribers {
		s.mu.Lock()
		for stream := range s.probes {
			p := r.publishers[stream/len(r.cfg.Topics)]
			n += p.ring.sent(p.sent.Load(), stream%len(r.cfg.Topics))
		}
		s.mu.Unlock()
	}
	return n
}

func (r *run) lastArrival() int64 {
	if len(r.subscribers) == 0 {
		return r.now()
	}
	var last int64
	for _, s := range r.subscribers {
		last = max(last, s.last.Load())
	}
	return last
}

func (r *run) received() (n uint64) {
	for _, s := range r.subscribers {
		n += s.received.Load()
	}
	for _, p := range r.publishers {
		n += p.answered.Load()
	}
	return n
}

func (r *run) moment() (m moment, err error) {
	if r.cfg.ServerPID > 0 {
		if m.server, err = ProcessCPU(r.cfg.ServerPID); err != nil {
			return m, err
		}
	}
	m.driver, _ = ProcessCPU(os.Getpid()) // without /proc it is not reported
	for _, p := range r.publishers {
		m.sent += p.sent.Load()
	}
	m.received = r.received()
	m.at = r.now()
	return m, nil
}

// progress writes one line.
func (r *run) progress(from, to moment) {
	if r.cfg.Progress == nil {
		return
	}
	seconds := float64(to.at-from.at) / 1e9
	_, _ = fmt.Fprintf(r.cfg.Progress, "%4.0f s  sent %d (%s/s)  received %d (%s/s)\n", float64(to.at-r.started)/1e9, // progress may be lost
		to.sent, short(float64(to.sent-from.sent)/seconds), to.received, short(float64(to.received-from.received)/seconds))
}

// result sums up; the readers have ended.
func (r *run) result(from, to moment) *Result {
	c := r.cfg
	first := r.publishers[0].ring
	out := &Result{
		Protocol: c.Protocol.Name(), Mode: c.Mode, Publishers: c.Publishers, Subscribers: c.Subscribers,
		Topics: len(c.Topics), PayloadBytes: len(first.payloads[0].bytes), FrameBytes: first.slots[0].len,
		TargetRate: c.Rate, Histogram: NewHistogram(),
	}
	if c.Mode == Closed {
		out.Window = c.Window
	}
	m := &out.Measured
	m.Seconds = float64(to.at-from.at) / 1e9
	m.Sent, m.Received = to.sent-from.sent, to.received-from.received
	m.Rate = float64(m.messages()) / m.Seconds
	m.MegabytesPerSecond = m.Rate * float64(out.PayloadBytes) / 1e6
	for i, p := range r.publishers {
		out.Counts.Sent += p.sent.Load()
		out.Counts.Unsent += p.unsent
		m.LagNanoseconds = max(m.LagNanoseconds, p.lag)
		out.Counts.Add(r.requests[i])
		out.Histogram.Merge(r.latency[i])
	}
	if c.Mode == Request {
		out.Counts.Expected = out.Counts.Sent
		out.Counts.Lost = out.Counts.Sent - (out.Counts.Received - out.Counts.Duplicates - out.Counts.Foreign)
	}
	for _, s := range r.subscribers {
		for stream := range s.probes {
			s.tracker.probed[stream] = true
		}
		out.Counts.Add(s.tracker.finish(func(publisher, topic int) uint64 {
			p := r.publishers[publisher]
			return p.ring.sent(p.sent.Load(), topic)
		}))
		out.Histogram.Merge(s.latency)
		s.recent.finish()
		r.gather(out, s.checker)
	}
	for _, p := range r.publishers {
		p.recent.finish()
		r.gather(out, p.checker)
	}
	if r.cfg.Checks != nil && out.Checked == nil {
		out.Checked = &Checked{Kinds: map[string]uint64{}}
	}
	out.Series = r.series.intervals(r.moments, to, r.schedule(), r.cfg.Subscribers > 0 || r.cfg.Mode == Request)
	out.Steps = r.steps(out.Series, to)
	out.Latency = out.Histogram.Summary()
	if c.ServerPID > 0 {
		out.Server = newCPU(to.server-from.server, m.messages())
	}
	if to.driver > 0 {
		out.Driver = newCPU(to.driver-from.driver, m.messages())
	}
	return out
}

// gather adds what a connection's checks found.
func (r *run) gather(out *Result, c *checker) {
	if c.out.Passed+c.out.Failed == 0 {
		return
	}
	if out.Checked == nil {
		out.Checked = &Checked{}
	}
	out.Checked.Merge(&c.out)
}

// schedule is that of times since the run's epoch, nil if there is none.
func (r *run) schedule() *schedule {
	if r.plan == nil {
		return nil
	}
	moved := &schedule{parts: append([]part(nil), r.plan.parts...)}
	for i := range moved.parts {
		moved.parts[i].at += float64(r.started) / 1e9
	}
	return moved
}

// steps puts the intervals of the series together to those of the ramp.
func (r *run) steps(series []Interval, last moment) []Interval {
	var list []Interval
	end := r.series.start
	for _, step := range r.cfg.Steps {
		start := end
		end += int64(step.For)
		if start >= last.at {
			break
		}
		h := newCoarse()
		for _, i := range series {
			if middle := r.series.start + int64((i.From+i.Seconds/2)*1e9); middle >= start && middle < end {
				h.Merge(i.Histogram)
			}
		}
		list = append(list, r.series.interval(start, min(end, last.at), h, r.moments, r.schedule(), r.cfg.Subscribers > 0))
	}
	return list
}
