package server

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/upstream"
)

// List implements admin.Upstreams.
func (us *upstreams) List() []*weftv1.UpstreamPool {
	list := make([]*weftv1.UpstreamPool, 0, len(us.now.Load().list))
	for _, p := range us.now.Load().list {
		list = append(list, p.show())
	}
	return list
}

func (p *upstreamPool) show() *weftv1.UpstreamPool {
	s, pool := p.sender.Stats(), p.sender.Pool().Stats()
	out := &weftv1.UpstreamPool{
		Name: p.name, Protocol: p.c.Protocol, Balance: p.c.Balance,
		Waiting: uint32(max(s.Waiting, 0)), Limit: uint32(s.Limit), Refused: s.Refused, Failed: s.Failed,
		Retries: pool.Retries, RetriesDenied: pool.Unbudgeted, Connections: uint32(max(s.Transport.Open, 0)), Discovery: pool.Discovery.Source,
	}
	if !pool.Discovery.Last.IsZero() {
		out.Discovered = timestamppb.New(pool.Discovery.Last)
	}
	if err := pool.Discovery.Err; err != nil {
		out.DiscoveryError = err.Error()
	}
	for i := range pool.Members {
		out.Members = append(out.Members, showMember(&pool.Members[i]))
	}
	return out
}

func showMember(s *upstream.MemberStats) *weftv1.UpstreamMember {
	m := &weftv1.UpstreamMember{
		Address: s.Address, Weight: uint32(s.Weight), Up: s.Up, Why: s.Why, Breaker: s.Breaker, InFlight: uint32(max(s.InFlight, 0)),
		Requests: s.Calls(), Failures: s.Failures(), Results: map[string]uint64{},
		P50: durationpb.New(quantile(s, 50)), P99: durationpb.New(quantile(s, 99)),
	}
	for o, n := range s.Outcomes {
		if n > 0 {
			m.Results[upstream.Outcome(o).String()] = n
		}
	}
	if s.CheckErr != nil {
		m.CheckError = s.CheckErr.Error()
	}
	return m
}

// quantile is the bound of the histogram below which so many of a hundred tries lie; 0
// if there were none. What took longer than every bound counts as the last.
func quantile(s *upstream.MemberStats, percent uint64) time.Duration {
	if s.LatencyCount == 0 {
		return 0
	}
	want := (s.LatencyCount*percent + 99) / 100
	for i, bound := range upstream.LatencyBounds {
		if s.LatencyBuckets[i] >= want {
			return bound
		}
	}
	return upstream.LatencyBounds[len(upstream.LatencyBounds)-1]
}
