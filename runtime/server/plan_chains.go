package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/config"
)

// chainShape is which plugins stand in which chain. A listener has a chain always, a
// route where it has ever had plugins.
type chainShape map[chainKey][]placed

// placed is one place: a plugin, and which of its generation's members.
type placed struct {
	plugin string
	member int
}

// shapeOf is that of a configuration: a plugin's first member has the declared
// configuration, the others those of its places, in the order of the file.
func shapeOf(cfg *config.Config) chainShape {
	shape, last := chainShape{}, map[string]int{}
	chainsOf(cfg, func(key chainKey, entries []config.ChainEntry) {
		var list []placed
		for _, entry := range entries {
			at := placed{plugin: entry.Plugin}
			if entry.Config != nil {
				last[entry.Plugin]++
				at.member = last[entry.Plugin]
			}
			list = append(list, at)
		}
		shape[key] = list
	})
	return shape
}

// has tells whether the plugin stands in the chain.
func (s chainShape) has(key chainKey, plugin string) bool {
	return slices.ContainsFunc(s[key], func(at placed) bool { return at.plugin == plugin })
}

// seats are the places of a plugin.
func (s chainShape) seats(plugin string) (list []seats, names []string) {
	for _, key := range sortedKeys(s) {
		for _, at := range s[key] {
			if at.plugin != plugin {
				continue
			}
			if !slices.Contains(names, string(key)) {
				names = append(names, string(key))
			}
			i := slices.IndexFunc(list, func(one seats) bool { return one.chain == key && one.member == at.member })
			if i < 0 {
				list = append(list, seats{chain: key, member: at.member, count: 1})
			} else {
				list[i].count++
			}
		}
	}
	return list, names
}

// loadPlugins builds what has changed about plugins, and loads those that come.
func (pl *plan) loadPlugins(ctx context.Context) error {
	pl.shape = shapeOf(pl.to)
	own := pl.to.OwnConfigs()
	var faults []error
	for _, name := range pl.changes.Plugins {
		g, made := pl.r.all()[name], &section{plugin: pl.to.Plugins[name], own: own[name]}
		stays := pl.sameSeats(name)
		gen, err := pl.r.build(ctx, g, blueprint{made: made, shadow: stays && pl.r.shadows(g, wish{made: made})})
		if err != nil {
			faults = append(faults, fmt.Errorf("%w (%s)", err, pl.to.Place("plugins."+name)))
			continue
		}
		gen.source = sourceConfig
		pl.built[name] = gen
		if stays {
			pl.swaps = append(pl.swaps, name)
		}
	}
	for _, name := range pl.changes.Come {
		sec := &section{plugin: pl.to.Plugins[name], own: own[name]}
		g := &group{name: name, section: sec, results: map[string]uint64{}, causes: map[string]uint64{}}
		gen, err := pl.r.build(ctx, g, blueprint{made: sec})
		if err != nil {
			faults = append(faults, fmt.Errorf("%w (%s)", err, pl.to.Place("plugins."+name)))
			continue
		}
		gen.source = sourceConfig
		g.live, g.number = gen, gen.number
		pl.come[name] = g
	}
	return errors.Join(faults...)
}

// sameSeats tells whether every chain with the plugin has the same plugins at the same
// places, and whether its members keep their places.
func (pl *plan) sameSeats(name string) bool {
	for _, shape := range []chainShape{pl.r.shape, pl.shape} {
		for key := range shape {
			if shape.has(key, name) && (!slices.Equal(pl.r.shape[key], pl.shape[key]) || pl.anew(key)) {
				return false
			}
		}
	}
	return true
}

// anew tells whether the chain is made anew, whatever stood there before.
func (pl *plan) anew(key chainKey) bool {
	if _, was := pl.r.shape[key]; !was {
		return true
	}
	for _, index := range pl.opened {
		if i := slices.Index(pl.indices, index); listenerChain(pl.to.Listeners[i].Name) == key {
			return true
		}
	}
	return false
}

// makeChains makes, for each loop, what its chains need.
func (pl *plan) makeChains(ctx context.Context) error {
	former := make([]int, len(pl.to.Routes))
	for i := range pl.to.Routes {
		former[i] = slices.IndexFunc(pl.from.Routes, func(r config.Route) bool { return r.Name == pl.to.Routes[i].Name })
	}
	for range pl.server.paths {
		n := &next{setup: pl.setup, former: former, chains: map[chainKey]*plugins.Chain{}, places: map[chainKey][]plugins.Place{}}
		pl.loops = append(pl.loops, n)
		for _, key := range sortedKeys(pl.shape) {
			if err := pl.makeChain(ctx, n, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (pl *plan) makeChain(ctx context.Context, n *next, key chainKey) error {
	list := pl.shape[key]
	if pl.anew(key) {
		if _, listens := pl.setup.chainListener(key); !listens && len(list) == 0 {
			return nil
		}
		return pl.makeAnew(ctx, n, key)
	}
	if !pl.rearranged(key) {
		return nil
	}
	if len(pl.r.shape[key]) == 0 && !pl.hasChain(key) { // of a route that had none
		return pl.makeAnew(ctx, n, key)
	}
	taken := map[int]bool{}
	for _, at := range list {
		place := plugins.Place{From: -1}
		for i, was := range pl.r.shape[key] {
			if !taken[i] && was.plugin == at.plugin && (was.member == at.member || pl.replaced(at.plugin)) {
				place.From, taken[i] = i, true
				break
			}
		}
		if place.From < 0 || pl.replaced(at.plugin) {
			ready, err := pl.plugin(at.plugin, at.member).Standby(ctx)
			if err != nil {
				n.places[key] = append(n.places[key], plugins.Place{From: -1}) // for close
				return err
			}
			place.Ready = ready
		}
		n.places[key] = append(n.places[key], place)
	}
	if n.places[key] == nil {
		n.places[key] = []plugins.Place{}
	}
	return nil
}

func (pl *plan) makeAnew(ctx context.Context, n *next, key chainKey) error {
	var all []*plugins.Plugin
	for _, at := range pl.shape[key] {
		all = append(all, pl.plugin(at.plugin, at.member))
	}
	chain, err := plugins.NewChain(ctx, pl.setup.names, all...)
	if err == nil {
		n.chains[key] = chain
	}
	return err
}

// hasChain tells whether the loops have a chain of that name.
func (pl *plan) hasChain(key chainKey) bool {
	_, listens := pl.setup.chainListener(key)
	return listens || pl.r.routeChains[key]
}

// replaced tells whether another generation takes the plugin's places with the chains.
func (pl *plan) replaced(name string) bool {
	_, built := pl.built[name]
	return built && !slices.Contains(pl.swaps, name)
}

// rearranged tells whether the places of a chain change.
func (pl *plan) rearranged(key chainKey) bool {
	if !slices.Equal(pl.r.shape[key], pl.shape[key]) {
		return true
	}
	return slices.ContainsFunc(pl.shape[key], func(at placed) bool { return pl.replaced(at.plugin) })
}

// reseated are the plugins that are there before and after and whose places change.
func (pl *plan) reseated() (list []*group) {
	for _, name := range sortedKeys(pl.r.all()) {
		g := pl.r.all()[name]
		if _, stays := pl.to.Plugins[name]; stays && (pl.replaced(name) || !pl.sameSeats(name)) {
			list = append(list, g)
		}
	}
	return list
}

// beforeSeats ends the trials of plugins whose places change, and of those that go.
func (pl *plan) beforeSeats() {
	groups := pl.reseated()
	for _, name := range pl.changes.Gone {
		groups = append(groups, pl.r.all()[name])
	}
	for _, g := range groups {
		if g.candidate != nil {
			pl.r.withdraw(g, didSupersede, sourceConfig, "its places change with the configuration")
		}
	}
}

// afterSeats notes where plugins stand now, once the loops do, and puts those away that
// are gone.
func (pl *plan) afterSeats() {
	r := pl.r
	var away []*generation
	reseated := pl.reseated()
	r.mu.Lock()
	all := make(map[string]*group, len(pl.to.Plugins))
	for name, g := range r.all() {
		all[name] = g
	}
	for name, g := range pl.come {
		all[name] = g
		g.seats, g.places = pl.shape.seats(name)
	}
	for _, g := range reseated {
		g.seats, g.places = pl.shape.seats(g.name)
		gen := pl.built[g.name]
		if gen == nil {
			continue
		}
		g.retire(g.previous)
		g.retire(g.live)
		away = append(away, g.previous, g.live)
		g.previous, g.trial = nil, nil // what came before has other places: there is no way back to it
		g.live, g.section, g.number = gen, gen.section, max(g.number, gen.number)
		gen.since = time.Now()
	}
	for _, name := range pl.changes.Gone {
		away = append(away, all[name].previous, all[name].live)
		delete(all, name)
	}
	r.groups.Store(&all)
	r.server.lines.know(sortedKeys(all))
	r.shape = pl.shape
	for key, list := range pl.shape {
		if _, listens := pl.setup.chainListener(key); !listens && len(list) > 0 {
			r.routeChains[key] = true
		}
	}
	for key := range r.routeChains {
		if _, stays := pl.shape[key]; !stays {
			delete(r.routeChains, key)
		}
	}
	r.mu.Unlock()
	for _, gen := range away {
		r.put(gen)
	}
	for _, g := range append(reseated, pl.newGroups()...) {
		r.granted(g)
		if pl.replaced(g.name) || pl.come[g.name] != nil {
			r.note(slog.LevelInfo, g, didSwap, g.live.number, sourceConfig, "with the chains of the configuration")
		}
	}
	for _, name := range pl.changes.Gone {
		r.server.orders.filter.Grant(name, false)
		r.log.Info("a plugin is gone", "plugin", name)
	}
}

func (pl *plan) newGroups() (list []*group) {
	for _, name := range sortedKeys(pl.come) {
		list = append(list, pl.come[name])
	}
	return list
}
