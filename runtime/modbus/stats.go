package modbus

import (
	"sync/atomic"
	"time"
)

// Stats is what a device has counted since it was made.
type Stats struct {
	// Requests were taken into the queue, Busy were not. Responses came, Exceptions
	// among them (by code, unknown ones under 0); Failed were given up.
	Requests, Busy, Responses, Failed uint64
	Exceptions                        [16]uint64
	// Timeouts are tries that were not answered in time, Retries tries after the
	// first.
	Timeouts, Retries uint64
	// Connects are connections that were made, ConnectFailures those that could not
	// be. Connected tells whether there is one.
	Connects, ConnectFailures uint64
	Connected                 bool
	// Stray are responses that no request waited for, or that do not fit theirs;
	// Garbage is how often bytes were no frame.
	Stray, Garbage uint64
	// Latency is the time from Submit to the response, of all Responses together;
	// Slower counts them by upper bounds, those of LatencyBounds.
	Latency time.Duration
	Slower  [len(latencyBounds)]uint64
	// Waiting requests are in the queue.
	Waiting int
}

// latencyBounds in seconds.
var latencyBounds = [...]float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10}

// LatencyBounds are the upper bounds of Stats.Slower in seconds. Each counts what was
// not above it.
func LatencyBounds() []float64 { return latencyBounds[:] }

// stats are the counters behind Stats.
type stats struct {
	requests, busy, responses, failed atomic.Uint64
	exceptions                        [16]atomic.Uint64
	timeouts, retries                 atomic.Uint64
	connects, connectFailures         atomic.Uint64
	connected                         atomic.Bool
	stray, garbage                    atomic.Uint64
	latency                           atomic.Int64
	slower                            [len(latencyBounds)]atomic.Uint64
}

func (s *stats) answered(response []byte, after time.Duration) {
	s.responses.Add(1)
	if e, is := AsException(response); is {
		if int(e) >= len(s.exceptions) {
			e = 0
		}
		s.exceptions[e].Add(1)
	}
	s.latency.Add(int64(after))
	for i := len(latencyBounds) - 1; i >= 0 && after.Seconds() <= latencyBounds[i]; i-- {
		s.slower[i].Add(1)
	}
}

// Stats reads the counters.
func (d *Device) Stats() Stats {
	s := &d.stats
	r := Stats{
		Requests: s.requests.Load(), Busy: s.busy.Load(), Responses: s.responses.Load(), Failed: s.failed.Load(),
		Timeouts: s.timeouts.Load(), Retries: s.retries.Load(),
		Connects: s.connects.Load(), ConnectFailures: s.connectFailures.Load(), Connected: s.connected.Load(),
		Stray: s.stray.Load(), Garbage: s.garbage.Load(),
		Latency: time.Duration(s.latency.Load()), Waiting: len(d.queue),
	}
	for i := range s.exceptions {
		r.Exceptions[i] = s.exceptions[i].Load()
	}
	for i := range s.slower {
		r.Slower[i] = s.slower[i].Load()
	}
	return r
}
