package upstream

import (
	"slices"
	"time"
)

// found takes a discovery's answer.
func (p *Pool) found(f Found) {
	p.mu.Lock()
	d := &p.discovery
	if f.Err != nil {
		d.Errors++
		d.Err = f.Err
		p.mu.Unlock()
		return
	}
	d.Answers++
	d.Err, d.Last = nil, time.Now()
	gained, lost, dropped := p.replace(f.Endpoints)
	d.Dropped = dropped
	n := len(*p.members.Load())
	p.mu.Unlock()
	if gained+lost > 0 {
		p.options.Logger.Info("upstream members have changed", "upstream", p.options.Name, "members", n, "new", gained, "gone", lost)
	}
	if dropped > 0 {
		p.options.Logger.Warn("upstream members are left out: more than the bound, or without an address",
			"upstream", p.options.Name, "dropped", dropped, "bound", p.options.MaxMembers)
	}
	p.refresh()
	p.poke()
}

// replace makes the members those of the endpoints. Under mu.
func (p *Pool) replace(endpoints []Endpoint) (gained, lost, dropped int) {
	old := make(map[string]*Member)
	for _, m := range *p.members.Load() {
		old[m.address] = m
	}
	first, weighed := len(old) == 0, false
	seen := make(map[string]bool, len(endpoints))
	members := make([]*Member, 0, len(endpoints))
	for _, e := range endpoints {
		if seen[e.Address] {
			continue
		}
		if e.Address == "" || len(members) == p.options.MaxMembers {
			dropped++
			continue
		}
		seen[e.Address] = true
		e.Weight = min(max(e.Weight, 1), MaxWeight)
		m := old[e.Address]
		if m == nil {
			m = p.newMember(e)
			gained++
			if !first && p.options.SlowStart > 0 {
				m.warm.Store(p.now())
			}
		}
		was := m.Endpoint()
		weighed = weighed || was.Weight != e.Weight || was.Priority != e.Priority
		m.endpoint.Store(&e)
		delete(old, e.Address)
		members = append(members, m)
	}
	for _, m := range old {
		m.gone.Store(true)
		lost++
	}
	slices.SortFunc(members, byAddress)
	p.members.Store(&members)
	if weighed || gained+lost > 0 { // most answers are the last one again
		p.rings = p.makeRings(members)
	}
	return gained, lost, dropped
}
