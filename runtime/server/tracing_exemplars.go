package server

import (
	"slices"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/tracing"
)

// exemplarBuckets is how many buckets of weft_message_seconds have an exemplar: one for
// each of wayBounds, and one for what takes longer.
const exemplarBuckets = 12

// exemplar is a turn in which a message was traced.
type exemplar struct {
	trace tracing.ID
	took  time.Duration
	at    time.Time
}

// took notes how long the turn took that a traced message ended in.
func (t *pathTrace) took(turn time.Duration) {
	if t.last.IsZero() {
		return
	}
	at, _ := slices.BinarySearch(wayBounds, turn)
	t.exemplars[min(at, exemplarBuckets-1)].Store(&exemplar{t.last, turn, time.Now()})
	t.last = tracing.ID{}
}

// exemplars are the newest traced observations of weft_message_seconds, one a bucket.
func (s *Server) exemplars() []admin.Exemplar {
	if s.tracer == nil {
		return nil
	}
	var list []admin.Exemplar
	for at := range exemplarBuckets {
		var newest *exemplar
		for _, p := range s.paths {
			if e := p.trace.exemplars[at].Load(); e != nil && (newest == nil || e.at.After(newest.at)) {
				newest = e
			}
		}
		if newest != nil {
			list = append(list, admin.Exemplar{Trace: newest.trace.String(), Value: newest.took.Seconds(), Time: newest.at})
		}
	}
	return list
}
