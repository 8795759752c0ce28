package server

import (
	"fmt"
	"time"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/config"
)

// grants is what a plugin of that name may do, from the configuration's words.
func grants(name string, c config.Grants) hostfuncs.Grants {
	var g hostfuncs.Grants
	if c.Log != nil {
		g.Log = &hostfuncs.LogGrant{Rate: float64(c.Log.Rate), Burst: float64(c.Log.Burst)}
	}
	if c.Metrics != nil {
		g.Metrics = &hostfuncs.MetricsGrant{Max: c.Metrics.Max}
	}
	if c.Clock != nil {
		g.Clock = &hostfuncs.ClockGrant{}
	}
	if c.Random != nil {
		g.Random = &hostfuncs.RandomGrant{Rate: int64(c.Random.Rate)}
	}
	if c.KV != nil {
		g.KV = &hostfuncs.KVGrant{Namespace: c.KV.Namespace, Size: int64(c.KV.Size), Entries: int64(c.KV.Entries), TTL: c.KV.TTL.Std(), Cluster: c.KV.Scope == config.ScopeCluster}
		if g.KV.Namespace == "" {
			g.KV.Namespace = name
		}
	}
	if h := c.HTTP; h != nil {
		g.HTTP = &hostfuncs.HTTPGrant{
			Hosts: h.Hosts, Concurrency: h.Concurrency, Deadline: h.Deadline.Std(), Request: int64(h.Request), Response: int64(h.Response),
		}
	}
	if f := c.Filter; f != nil {
		g.Filter = &hostfuncs.FilterGrant{Sources: f.Sources, Longest: f.Longest.Std(), Rate: float64(time.Second) / float64(f.Rate.Every())}
	}
	if c.Publish != nil {
		g.Publish = &hostfuncs.PublishGrant{Topics: c.Publish.Topics}
	}
	if c.Subscribe != nil {
		g.Subscribe = &hostfuncs.SubscribeGrant{Topics: c.Subscribe.Topics}
	}
	if c.WASI != nil {
		g.WASI = &hostfuncs.WASIGrant{}
	}
	return g
}

// CheckedPlugin is a declared plugin, or a place in a chain that gives one a
// configuration of its own, that was loaded on trial.
type CheckedPlugin struct {
	Name string
	// Warnings are what works and is hardly meant, each with its remedy.
	Warnings []string
}

// unusedGrants says which grants a plugin has no use for; p may be nil.
func unusedGrants(name string, p *plugins.Plugin) []string {
	if p == nil {
		return nil
	}
	var warnings []string
	for _, c := range p.Description().Unused(p.Spec().Grants) {
		warnings = append(warnings, fmt.Sprintf("capability %s is granted, and the plugin neither asks for it nor calls it: remove plugins.%s.grants.%s", c, name, c))
	}
	return warnings
}
