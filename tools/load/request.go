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
		ok, err := a.await(k, stamped, counts)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		counts.Received++
		p.answered.Add(1)
		if due >= r.measureFrom.Load() {
			latency.Record(r.now() - due)
		}
		k++
	}
	return nil
}

// answers reads what comes back on one connection.
type answers struct {
	publisher *publisher
	cutter    Cutter
	stamps    stampReader
	buf       []byte
	spans     []Span
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
		found := false
		for _, span := range a.spans {
			m, ok := a.stamps.read(a.buf[span.Off : span.Off+span.Len])
			switch {
			case !stamped && !found, ok && m.publisher == p.index && m.number == want && !found:
				found = true
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
