package load

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// request sends one message at a time and waits for its answer, which carries
// the same stamp or, where the template has none, is whatever comes next.
func (p *publisher) request(limit uint64, latency *Histogram, counts *Counts) error {
	r := p.run
	a := &answers{publisher: p, cutter: r.cfg.Protocol.Cutter(), stamps: stampReader{text: p.ring.payloads[0].text}}
	a.buf = append(make([]byte, 0, 64<<10), p.rest...)
	stamped := p.ring.slots[0].stamp >= 0
	var interval float64
	if r.cfg.Rate > 0 {
		interval = float64(time.Second) * float64(r.cfg.Publishers) / r.cfg.Rate
	}
	start := float64(r.started) + interval*float64(p.index)/float64(r.cfg.Publishers)
	sleep := newSleeper()
	defer sleep.close()
	for k := uint64(0); k < limit && !r.stopping() && r.now() < r.deadline; {
		due := r.now()
		if interval > 0 {
			planned := int64(start + float64(k)*interval)
			if planned > due {
				sleep.until(time.Duration(min(planned-due, int64(20*time.Millisecond))))
				continue
			}
			due = planned
		}
		if ok, err := p.write(k, k+1, func(uint64) int64 { return due }); !ok {
			return err
		}
		if err := p.patience(); err != nil {
			return err
		}
		ok, err := a.await(k, stamped, counts)
		switch {
		case err != nil:
			return err
		case ok:
		case r.stopping():
			return nil
		case !stamped:
			return fmt.Errorf("publisher %d: no answer within %v, and a later one could not be told apart", p.index, r.cfg.Timeout)
		default:
			p.checker.silent(p.ring.publisher, k, r.cfg.Timeout)
			k++
			continue
		}
		counts.Received++
		p.answered.Add(1)
		p.checker.judge(a, k, r.now()-due)
		if due >= r.measureFrom.Load() {
			latency.Record(r.now() - due)
			p.recent.record(due, r.now()-due)
		}
		k++
	}
	return nil
}

// patience bounds how long the next answer may take.
func (p *publisher) patience() error {
	err := p.conn.SetReadDeadline(time.Now().Add(p.run.cfg.Timeout))
	if err == nil && p.run.stopping() { // whoever set it then may have been first
		err = p.conn.SetReadDeadline(time.Now().Add(p.run.cfg.Drain))
	}
	if err != nil {
		return p.run.fault("publisher", p.index, err)
	}
	return nil
}

// judge checks the answer to message seq.
func (k *checker) judge(a *answers, seq uint64, latency int64) {
	p := a.publisher
	if t, ok := a.cutter.(telling); ok && t.told().refused > a.refused {
		k.refused(t.told().refused-a.refused, p.ring.publisher, seq, t.told().why)
		a.refused = t.told().refused
		return
	}
	topic := p.ring.slots[seq%uint64(len(p.ring.slots))].topic
	k.check(a.answer, p.ring.publisher, topic, seq, latency)
}

// silent counts a message without an answer.
func (k *checker) silent(client int, seq uint64, timeout time.Duration) {
	k.fail(FailSilent, client, seq, "an answer within "+timeout.String(), nil)
	k.mu.Lock()
	k.out.Failed++
	k.mu.Unlock()
}

// answers reads what comes back on one connection.
type answers struct {
	publisher *publisher
	cutter    Cutter
	stamps    stampReader
	buf       []byte
	spans     []Span
	answer    []byte // the payload found last; a copy where checks want it
	refused   uint64
}

// await reads until the answer to message k has come. Others are counted: one
// with an earlier stamp as a duplicate, one without as foreign. It returns false
// when the run was over before.
func (a *answers) await(k uint64, stamped bool, counts *Counts) (bool, error) {
	p := a.publisher
	want := k / uint64(len(p.ring.topics))
	for {
		var n int
		var err error
		a.spans, n, err = a.cutter.Cut(a.buf, a.spans[:0])
		if err != nil {
			return false, fmt.Errorf("publisher %d: %w", p.index, err)
		}
		found, refused := false, false
		if t, ok := a.cutter.(telling); ok {
			refused = t.told().refused > a.refused // has no payload that could be known again
		}
		for _, span := range a.spans {
			m, ok := a.stamps.read(a.buf[span.Off : span.Off+span.Len])
			switch {
			case (!stamped || refused) && !found, ok && m.publisher == p.ring.publisher && m.number == want && !found:
				found = true
				if p.checker.wanted() {
					a.answer = append(a.answer[:0], a.buf[span.Off:span.Off+span.Len]...)
				}
			case ok:
				counts.Received++
				counts.Duplicates++
			default:
				counts.Received++
				counts.Foreign++
			}
		}
		if reply := a.cutter.Reply(); len(reply) > 0 {
			if _, err := p.conn.Write(reply); err != nil {
				return false, p.run.fault("publisher", p.index, err)
			}
		}
		a.buf = a.buf[:copy(a.buf, a.buf[n:])]
		if found {
			return true, nil
		}
		if ok, err := a.more(); !ok {
			return false, err
		}
	}
}

// more reads once. It returns false when the run was over before something came.
func (a *answers) more() (bool, error) {
	p := a.publisher
	if len(a.buf) == cap(a.buf) {
		a.buf = append(a.buf, 0)[:len(a.buf)]
	}
	n, err := p.conn.Read(a.buf[len(a.buf):cap(a.buf)])
	a.buf = a.buf[:len(a.buf)+n]
	switch {
	case n > 0:
		return true, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, nil
	}
	return false, p.run.fault("publisher", p.index, err)
}
