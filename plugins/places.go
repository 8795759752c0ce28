package plugins

import (
	"time"

	"github.com/weftrun/weft/plugins/latency"
)

// Label says which chain this is for Plugin.Places; chains with the same label are one
// there, the same chain on several loops. It may be called at any time by any goroutine.
func (c *Chain) Label(n int) { c.label.Store(int64(n)) }

// PlaceStats is what a plugin has done at one place of the chains with one label, since these
// took it.
type PlaceStats struct {
	// Chain is the chains' label, Index the place in them.
	Chain, Index int
	// Stats has no Host, Instances counts nothing.
	Stats Stats
	// Calls is how long the calls took that were timed, one of sixteen.
	Calls latency.Counts
}

// Places are the places at which the plugin stands now, in no order. What it has done in
// chains that were closed is not there.
func (p *Plugin) Places() []PlaceStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []PlaceStats
	for _, c := range p.counters {
		at := -1
		for i := range list {
			if list[i].Chain == int(c.chain.label.Load()) && list[i].Index == int(c.place.Load()) {
				at = i
			}
		}
		if at < 0 {
			at = len(list)
			list = append(list, PlaceStats{Chain: int(c.chain.label.Load()), Index: int(c.place.Load())})
		}
		c.addTo(&list[at].Stats)
		c.calling.AddTo(&list[at].Calls)
	}
	return list
}

// Calls is how long its calls took, of those that were timed: one of sixteen.
func (p *Plugin) Calls() latency.Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := p.called
	for _, c := range p.counters {
		c.calling.AddTo(&sum)
	}
	return sum
}

// CallFuel is the fuel of a call at most; 0 if it runs unmetered.
func (p *Plugin) CallFuel() int64 { return p.callFuel }

// CallBudget is what one call may take by its CPU time.
func (e *Env) CallBudget() time.Duration { return e.cfg.CallBudget }
