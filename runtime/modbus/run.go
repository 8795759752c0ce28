package modbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/weftrun/weft/abi"
)

// run is the life of a device, on its one goroutine. Calls are in waiting until they
// are sent, then in under until they are answered; one that is tried again goes back.
type run struct {
	*Device
	ctx     context.Context
	timer   *time.Timer
	link    *link // nil: not connected
	dialing chan dialled
	waiting []*Call
	under   []*Call
	next    uint16    // transaction
	fails   int       // to connect, in a row
	silent  int       // time-outs in a row
	redial  time.Time // not to be dialled before
	quiet   time.Time // nothing is sent before
	down    bool      // it was said that the device is away
	out     []byte
}

// The pauses of a run.
const (
	firstRedial = 100 * time.Millisecond
	firstRetry  = 20 * time.Millisecond
	// turnaround is how long a serial line is left alone after a broadcast (MODBUS
	// over Serial Line V1.02, 2.4.1).
	turnaround = 100 * time.Millisecond
	// patience is how many time-outs in a row a connection survives.
	patience = 3
)

type dialled struct {
	link *link
	err  error
}

// serve runs until ctx ends.
func (r *run) serve() {
	for {
		r.step(time.Now())
		var queue chan *Call
		if len(r.waiting) < r.room() {
			queue = r.queue
		}
		var responses chan response
		var failed chan error
		if r.link != nil {
			responses, failed = r.link.responses, r.link.failed
		}
		select {
		case c := <-queue:
			c.due = time.Now().Add(r.o.Timeout) // should there be no connection
			r.waiting = append(r.waiting, c)
		case m := <-responses:
			r.received(m)
		case err := <-failed:
			r.drain()
			r.disconnect(err)
		case d := <-r.dialing:
			r.connected(d)
		case <-r.timer.C:
		case <-r.ctx.Done():
			if r.link != nil {
				r.link.close()
			}
			if r.dialing != nil {
				if d := <-r.dialing; d.link != nil {
					d.link.close()
				}
			}
			r.stats.connected.Store(false)
			return
		}
	}
}

// room is how many calls may be taken from the queue before they are sent: without a
// connection, all that it has, so that each of them ends in time.
func (r *run) room() int {
	if r.link == nil {
		return r.o.Queue
	}
	return 1
}

// step does what is due and sets the timer for what comes next.
func (r *run) step(now time.Time) {
	if r.link != nil {
		r.drain() // what was answered in time is not late because nobody looked
	}
	r.expire(now)
	if r.link == nil && r.dialing == nil && !now.Before(r.redial) {
		r.dial()
	}
	next := now.Add(time.Hour)
	soon := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	for r.link != nil && len(r.under) < r.o.Pipeline && len(r.waiting) > 0 {
		at := slices.IndexFunc(r.waiting, func(c *Call) bool { return !now.Before(c.after) && !now.Before(r.quiet) })
		if at < 0 {
			break
		}
		c := r.waiting[at]
		r.waiting = slices.Delete(r.waiting, at, at+1)
		r.send(c, now)
	}
	for _, c := range r.under {
		soon(c.due)
	}
	for _, c := range r.waiting {
		if r.link == nil {
			soon(c.due)
		} else if len(r.under) < r.o.Pipeline {
			soon(later(c.after, r.quiet))
		}
	}
	if r.link == nil && r.dialing == nil {
		soon(r.redial)
	}
	r.timer.Reset(max(time.Until(next), 0)) // a write may have taken its time
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// expire ends what was not answered in time, and without a connection what waited.
func (r *run) expire(now time.Time) {
	var late []*Call
	r.under = slices.DeleteFunc(r.under, func(c *Call) bool {
		if now.Before(c.due) {
			return false
		}
		late = append(late, c)
		return true
	})
	for _, c := range late {
		r.stats.timeouts.Add(1)
		r.silent++
		r.again(c, ErrTimeout, now)
	}
	if len(late) > 0 && r.link != nil && (r.o.Serial || r.silent >= patience) {
		// What a serial line still says could be taken for another answer.
		r.disconnect(ErrTimeout)
	}
	if r.link != nil {
		return
	}
	r.waiting = slices.DeleteFunc(r.waiting, func(c *Call) bool {
		if now.Before(c.due) {
			return false
		}
		r.finish(c, nil, c.cause(ErrUnreachable))
		return true
	})
}

// cause is why the call has failed: what its last try met, or err.
func (c *Call) cause(err error) error {
	if c.failure != nil {
		return c.failure
	}
	return err
}

// again tries a call again, unless it was tried often enough or may have done already
// what must not be done twice.
func (r *run) again(c *Call, err error, now time.Time) {
	c.failure = err
	if c.tries++; c.tries > r.o.Retries || !repeatable(c.PDU[0]) {
		r.finish(c, nil, err)
		return
	}
	r.stats.retries.Add(1)
	c.after = now.Add(jitter(min(firstRetry<<min(c.tries-1, 10), r.o.Timeout)))
	c.due = c.after.Add(r.o.Timeout)
	r.waiting = slices.Insert(r.waiting, 0, c)
}

// repeatable tells whether a request of the function does the same when it is carried
// out twice.
func repeatable(function byte) bool {
	switch function {
	case 1, 2, 3, 4, 5, 6, 7, 11, 15, 16, 17, 20, 21, 22, 23, 43:
		return true
	}
	return false
}

// jitter is a time between half of d and d.
func jitter(d time.Duration) time.Duration {
	if d < 2 {
		return d
	}
	return d/2 + rand.N(d/2)
}

// send writes a call's frame.
func (r *run) send(c *Call, now time.Time) {
	m := abi.Message{Type: abi.TypeRequest, Payload: c.PDU, Attrs: abi.Attributes(nil).AppendString("unit", strconv.Itoa(int(c.Unit)))}
	c.transaction = r.transaction()
	if !r.o.Serial {
		m.Seq = uint64(c.transaction)
	}
	unit, err := r.o.Codec.Append(r.out[:0], &m)
	if err != nil {
		r.finish(c, nil, fmt.Errorf("%w: %w", IllegalValue, err))
		return
	}
	r.out = unit
	c.due = now.Add(r.o.Timeout)
	if err := r.link.write(unit, c.due); err != nil {
		r.under = append(r.under, c)
		r.disconnect(err)
		return
	}
	if r.o.Serial && c.Unit == 0 {
		r.quiet = now.Add(turnaround)
		r.finish(c, nil, nil)
		return
	}
	r.under = append(r.under, c)
}

// transaction is one that no request under way has.
func (r *run) transaction() uint16 {
	for {
		r.next++
		if !slices.ContainsFunc(r.under, func(c *Call) bool { return c.transaction == r.next }) {
			return r.next
		}
	}
}

// received finds the call that a response is for.
func (r *run) received(m response) {
	at := slices.IndexFunc(r.under, func(c *Call) bool {
		return (r.o.Serial || c.transaction == m.transaction) && c.Unit == m.unit && answers(c.PDU, m.pdu)
	})
	if at < 0 {
		r.stats.stray.Add(1)
		return
	}
	c := r.under[at]
	r.under = slices.Delete(r.under, at, at+1)
	r.silent = 0
	if e, is := AsException(m.pdu); is && e == DeviceBusy && c.tries < r.o.Retries && repeatable(c.PDU[0]) {
		r.again(c, e, time.Now())
		return
	}
	r.finish(c, m.pdu, nil)
}

// drain takes the responses that came before the connection ended.
func (r *run) drain() {
	for {
		select {
		case m := <-r.link.responses:
			r.received(m)
		default:
			return
		}
	}
}

// disconnect gives the connection up; what was under way is tried again.
func (r *run) disconnect(err error) {
	r.link.close()
	r.link, r.silent = nil, 0
	r.stats.connected.Store(false)
	now := time.Now()
	r.redial = now.Add(jitter(firstRedial))
	for _, c := range r.waiting {
		c.due = now.Add(r.o.Timeout)
	}
	under := r.under
	r.under = nil
	for _, c := range slices.Backward(under) {
		r.again(c, fmt.Errorf("%w: %w", ErrUnreachable, err), now)
	}
	if !r.o.Serial || !errors.Is(err, ErrTimeout) {
		r.away(err)
	}
}

// away says once that the device cannot be reached.
func (r *run) away(err error) {
	if !r.down && r.ctx.Err() == nil {
		r.down = true
		r.o.Logger.Warn("modbus device lost", "device", r.o.Name, "address", r.o.Address, "error", err)
	}
}

// dial begins to connect, beside the goroutine.
func (r *run) dial() {
	done := make(chan dialled, 1)
	r.dialing = done
	go func() {
		ctx, cancel := context.WithTimeout(r.ctx, r.o.Timeout)
		defer cancel()
		conn, err := r.o.Dial(ctx, r.o.Address)
		if err != nil {
			done <- dialled{nil, err}
			return
		}
		done <- dialled{newLink(conn, r.o.Codec, &r.stats), nil}
	}()
}

// connected begins with a new connection, or waits until the next try. What waited
// for it then fails: whoever asks is told soon.
func (r *run) connected(d dialled) {
	r.dialing = nil
	if d.err == nil {
		r.link, r.fails = d.link, 0
		r.stats.connected.Store(true)
		if r.stats.connects.Add(1) == 1 || r.down {
			r.o.Logger.Info("modbus device connected", "device", r.o.Name, "address", r.o.Address)
		}
		r.down = false
		return
	}
	r.stats.connectFailures.Add(1)
	r.redial = time.Now().Add(jitter(min(firstRedial<<min(r.fails, 20), r.o.Reconnect)))
	r.fails++
	r.away(d.err)
	waiting := r.waiting
	r.waiting = nil
	for _, c := range waiting {
		r.finish(c, nil, fmt.Errorf("%w: %w", ErrUnreachable, d.err))
	}
}

// lose ends everything that is not answered.
func (r *run) lose(err error) {
	for _, c := range append(r.under, r.waiting...) {
		r.finish(c, nil, err)
	}
	r.under, r.waiting = nil, nil
}
