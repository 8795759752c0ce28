package server

import (
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/upstream"
)

// metrics shows what the pools have counted.
func (us *upstreams) metrics() []admin.Metric {
	if len(us.now.Load().list) == 0 {
		return nil
	}
	m := newPoolMetrics()
	for _, p := range us.now.Load().list {
		m.pool(p)
	}
	list := make([]admin.Metric, 0, len(m.all))
	for _, f := range m.all {
		list = append(list, f.Metric)
	}
	return list
}

// poolMetrics are the families of what pools and members count.
type poolMetrics struct {
	all []*family

	waiting, full, failed, retries, hedges, unbudgeted, limited, nobody *family
	connections, opened, odd, members, discovery                        *family
	up, inFlight, requests, latency, breaker, tripped, ejections, rests *family
	checks                                                              *family
}

func newPoolMetrics() *poolMetrics {
	m := &poolMetrics{}
	make := func(kind admin.MetricType, name, help string, labels ...string) *family {
		f := newFamily("weft_upstream_"+name, help, kind, append([]string{"pool"}, labels...)...)
		m.all = append(m.all, f)
		return f
	}
	m.waiting = make(admin.Gauge, "waiting_messages", "Messages that the pool has: queued or under way.")
	m.full = make(admin.Counter, "queue_full_total", "Messages that found the pool's queue full.")
	m.failed = make(admin.Counter, "failed_total", "Messages that no member has taken.")
	m.retries = make(admin.Counter, "retries_total", "Tries after the first.")
	m.hedges = make(admin.Counter, "hedges_total", "Second tries beside the first, by whether they were faster.", "result")
	m.unbudgeted = make(admin.Counter, "retries_denied_total", "Tries that the pool's budget did not allow.")
	m.limited = make(admin.Counter, "rate_limited_total", "Messages that the pool's rate did not allow.")
	m.nobody = make(admin.Counter, "no_member_total", "Messages for which no member could be picked.")
	m.connections = make(admin.Gauge, "connections", "Open connections to members.")
	m.opened = make(admin.Counter, "connections_opened_total", "Connections made to members.")
	m.odd = make(admin.Counter, "odd_answers_total", "Answers that nobody waited for, and bytes that were none.", "kind")
	m.members = make(admin.Gauge, "members", "Members, by whether they get messages.", "state")
	m.discovery = make(admin.Counter, "discovery_total", "Answers to the question who the members are.", "result")
	m.up = make(admin.Gauge, "member_up", "Whether the member gets messages.", "member")
	m.inFlight = make(admin.Gauge, "member_in_flight", "Tries that are under way.", "member")
	m.requests = make(admin.Counter, "requests_total", "Tries, by how they ended.", "member", "result")
	m.latency = make(admin.Histogram, "response_seconds", "Time that tries took which the member answered.", "member")
	m.breaker = make(admin.Gauge, "breaker", "1 for the state that the member's breaker is in.", "member", "state")
	m.tripped = make(admin.Counter, "breaker_opened_total", "How often the member's breaker has opened.", "member")
	m.ejections = make(admin.Counter, "ejections_total", "How often the member was ejected.", "member")
	m.rests = make(admin.Counter, "rests_total", "How often the member asked for a pause (Retry-After) and got one.", "member")
	m.checks = make(admin.Counter, "checks_total", "Health checks of the member.", "member", "result")
	return m
}

func (m *poolMetrics) pool(p *upstreamPool) {
	s, pool := p.sender.Stats(), p.sender.Pool().Stats()
	m.waiting.add(uint64(max(s.Waiting, 0)), p.name)
	m.full.add(s.Refused, p.name)
	m.failed.add(s.Failed, p.name)
	m.retries.add(pool.Retries, p.name)
	m.hedges.add(pool.HedgesWon, p.name, "won")
	m.hedges.add(pool.Hedges-min(pool.Hedges, pool.HedgesWon), p.name, "lost")
	m.unbudgeted.add(pool.Unbudgeted, p.name)
	m.limited.add(pool.RateLimited, p.name)
	m.nobody.add(pool.NoMember, p.name)
	m.connections.add(uint64(max(s.Transport.Open, 0)), p.name)
	m.opened.add(s.Transport.Opened, p.name)
	m.odd.add(s.Transport.Stray, p.name, "stray")
	m.odd.add(s.Transport.Garbled, p.name, "garbled")
	m.discovery.add(pool.Discovery.Answers, p.name, "answered")
	m.discovery.add(pool.Discovery.Errors, p.name, "failed")
	up := 0
	for i := range pool.Members {
		if pool.Members[i].Up {
			up++
		}
		m.member(p.name, &pool.Members[i])
	}
	m.members.add(uint64(up), p.name, "up")
	m.members.add(uint64(len(pool.Members)-up), p.name, "down")
}

func (m *poolMetrics) member(pool string, s *upstream.MemberStats) {
	m.up.add(uint64(flag(s.Up)), pool, s.Address)
	m.inFlight.add(uint64(max(s.InFlight, 0)), pool, s.Address)
	for o, n := range s.Outcomes {
		m.requests.add(n, pool, s.Address, upstream.Outcome(o).String())
	}
	for _, state := range [...]string{"closed", "half-open", "open"} {
		m.breaker.add(uint64(flag(s.Breaker == state)), pool, s.Address, state)
	}
	m.tripped.add(s.Opened, pool, s.Address)
	m.ejections.add(s.Ejections, pool, s.Address)
	m.rests.add(s.Rests, pool, s.Address)
	m.checks.add(s.Checks-min(s.Checks, s.ChecksFailed), pool, s.Address, "passed")
	m.checks.add(s.ChecksFailed, pool, s.Address, "failed")
	m.latency.Samples = append(m.latency.Samples, latencySample(pool, s))
}

func latencySample(pool string, s *upstream.MemberStats) admin.Sample {
	buckets := make(map[float64]uint64, len(upstream.LatencyBounds))
	for i, bound := range upstream.LatencyBounds {
		buckets[bound.Seconds()] = s.LatencyBuckets[i]
	}
	return admin.Sample{Labels: []string{pool, s.Address}, Value: s.LatencySum.Seconds(), Count: s.LatencyCount, Buckets: buckets}
}
