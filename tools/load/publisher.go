package load

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sort"
	"sync/atomic"
	"time"
)

// publisher sends on one connection.
type publisher struct {
	run    *run
	index  int
	conn   net.Conn
	rest   []byte
	ring   *ring
	weight []int64 // by slot: deliveries of the slots before it

	sent     atomic.Uint64
	answered atomic.Uint64 // Request mode
	acked    atomic.Uint64
	wake     chan struct{} // something was acknowledged, or the run stops
	checker  *checker
	recent   recorder // Request mode
	unsent   uint64
	probed   uint64 // probes sent
	lag      int64
}

// drain reads and skips what the server sends to a publisher.
func (p *publisher) drain() error {
	cutter := p.run.cfg.Protocol.Cutter()
	buf := make([]byte, max(16<<10, 2*len(p.rest)))
	filled := copy(buf, p.rest)
	var spans []Span
	refused := uint64(0)
	for {
		var consumed int
		var err error
		spans, consumed, err = cutter.Cut(buf[:filled], spans[:0])
		if err != nil {
			return fmt.Errorf("publisher %d: %w", p.index, err)
		}
		if t, ok := cutter.(telling); ok {
			refused = p.heed(t.told(), refused)
		}
		if reply := cutter.Reply(); len(reply) > 0 {
			if _, err := p.conn.Write(reply); err != nil {
				return p.run.fault("publisher", p.index, err)
			}
		}
		filled = copy(buf, buf[consumed:filled])
		if filled == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		n, err := p.conn.Read(buf[filled:])
		filled += n
		if n == 0 && err != nil {
			return p.run.fault("publisher", p.index, err)
		}
	}
}

// heed takes over what the server told about messages sent.
func (p *publisher) heed(o *outcomes, refused uint64) uint64 {
	if p.acked.Swap(o.acked) != o.acked {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	p.checker.refused(o.refused-refused, p.ring.publisher, 0, o.why)
	return o.refused
}

// credit is how many messages may be sent before the server acknowledges one; it waits
// until that is at least one, and is 0 when the run is over. sent counts probes too.
func (p *publisher) credit(sent, most uint64) uint64 {
	limit := uint64(0)
	if c, ok := p.run.cfg.Protocol.(crediting); ok {
		limit = c.Credit()
	}
	if limit == 0 {
		return most
	}
	for {
		if under := sent + p.probed - p.acked.Load(); under < limit {
			return min(most, limit-under)
		}
		select {
		case <-p.wake:
		case <-p.run.stop:
			return 0
		case <-p.run.ctx.Done():
			return 0
		}
	}
}

// weigh sums up how many deliveries each slot of the ring causes.
func (p *publisher) weigh(fanout []uint32) {
	p.weight = make([]int64, len(p.ring.slots)+1)
	for i, slot := range p.ring.slots {
		p.weight[i+1] = p.weight[i] + int64(fanout[p.index*len(p.ring.topics)+slot.topic])
	}
}

// deliveries is how many deliveries messages from to before end cause, which must
// not pass the ring's end.
func (p *publisher) deliveries(from, end uint64) int64 {
	first := from % uint64(len(p.ring.slots))
	return p.weight[first+end-from] - p.weight[first]
}

// write sends messages from to before end. It returns false when the run is over.
func (p *publisher) write(from, end uint64, due func(uint64) int64) (bool, error) {
	b, err := p.ring.batch(from, end, uint64(p.run.cfg.Sample), due)
	if err != nil {
		return false, fmt.Errorf("publisher %d: %w", p.index, err)
	}
	p.run.window.sent.Add(p.deliveries(from, end))
	n, err := p.conn.Write(b)
	if err == nil {
		p.sent.Store(end)
		return true, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.cutShort(from, end, n)
		return false, nil
	}
	return false, p.run.fault("publisher", p.index, err)
}

// cutShort accounts for a write of which the server took only n bytes before the
// run was over: messages that did not leave whole are unsent.
func (p *publisher) cutShort(from, end uint64, n int) {
	whole := p.ring.whole(from, end, n)
	p.sent.Store(from + uint64(whole))
	p.unsent += end - from - uint64(whole)
	p.run.window.sent.Add(-p.deliveries(from+uint64(whole), end))
}

// closed sends as fast as the window allows.
func (p *publisher) closed(limit uint64) error {
	r := p.run
	k := uint64(0)
	for !r.stopping() && k < limit {
		n := min(p.ring.room(k, r.cfg.WriteSize), limit-k)
		if n = p.credit(k, n); n == 0 {
			break
		}
		if r.cfg.Subscribers > 0 {
			free := r.window.free()
			if free <= 0 {
				r.window.wait(p.index, r.stop)
				continue
			}
			if p.deliveries(k, k+n) > free { // at least one: a message is not split
				n = max(1, uint64(sort.Search(int(n), func(i int) bool { return p.deliveries(k, k+uint64(i)+1) > free })))
			}
		}
		when := r.now()
		ok, err := p.write(k, k+n, func(uint64) int64 { return when })
		if !ok {
			return err
		}
		k += n
	}
	return nil
}

// open sends each message when it is due: message k at start + k × interval. What
// is due before the end is sent even if it is late, until the server takes no more.
func (p *publisher) open(limit uint64) error {
	r := p.run
	others, first, start := float64(r.cfg.Publishers), float64(p.index), float64(r.started)
	due := func(k uint64) int64 { return int64(start + r.plan.due(float64(k)*others+first)) }
	sleep := newSleeper()
	defer sleep.close()
	k := uint64(0)
	for k < limit && due(k) < r.deadline {
		now := r.now()
		if wait := due(k) - now; wait > 0 {
			if r.stopping() {
				break
			}
			sleep.until(time.Duration(min(wait, int64(20*time.Millisecond))))
			continue
		}
		p.lag = max(p.lag, now-due(k))
		// Message k is due: due rounds down, so what is computed may be one less.
		ready := uint64(max(0, (r.plan.until(float64(min(now, r.deadline-1))-start)-first)/others))
		n := min(max(ready, k)+1-k, limit-k, p.ring.room(k, r.cfg.WriteSize))
		if n = p.credit(k, n); n == 0 {
			break
		}
		ok, err := p.write(k, k+n, due)
		if err != nil {
			return err
		}
		k += n
		if !ok {
			break
		}
	}
	for ; k < limit && due(k) < min(r.deadline, r.now()); k++ {
		p.unsent++
	}
	return nil
}
