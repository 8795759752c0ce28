package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
)

// plan is everything that a configuration needs to take the place of the one that runs,
// made beside the loops. Until carryOut nothing has changed that anybody can see, and
// discard gives all of it back.
type plan struct {
	r        *rollouts
	server   *Server
	from, to *config.Config
	changes  config.Changes

	setup   *setup
	indices []int // of the listeners of to
	engine  []engine.Listener
	opened  []int // prepared
	moves   []*engine.Move
	updated []int // places in to of those that change where they are
	gone    []int // indices of listeners that end
	undo    func()
	secrets *secretSet
	pools   *poolSet
	api     func() // has the API's bounds hold; nil without one

	shape chainShape
	come  map[string]*group
	lives map[string]*generation // that chains were made of
	built map[string]*generation // of plugins that were there
	// swaps are those of built whose places stay as they are: they come as rollouts do.
	// The others take their places with the chains.
	swaps []string
	loops []*next
}

// newPlan makes it; on an error nothing is left.
func (r *rollouts) newPlan(ctx context.Context, from, to *config.Config, changes config.Changes) (pl *plan, err error) {
	pl = &plan{r: r, server: r.server, from: from, to: to, changes: changes, lives: map[string]*generation{}, come: map[string]*group{}, built: map[string]*generation{}}
	defer func() {
		if err != nil {
			pl.discard()
			pl = nil
		}
	}()
	r.server.releaseListeners()
	for _, step := range []func(context.Context) error{
		pl.readSecrets, pl.openListeners, pl.compile, pl.makePools, pl.boundAPI, pl.loadPlugins, pl.makeChains, pl.filter,
	} {
		if err := step(ctx); err != nil {
			return pl, err
		}
	}
	return pl, nil
}

// readSecrets reads certificates and keys.
func (pl *plan) readSecrets(context.Context) (err error) {
	pl.indices = make([]int, len(pl.to.Listeners))
	for i := range pl.indices {
		pl.indices[i] = pl.index(pl.to.Listeners[i].Name)
	}
	pl.secrets, err = pl.server.secrets.read(pl.to, pl.indices, pl.server.secrets.all.Load())
	return err
}

// index is that of a listener that stays; -1 for one that comes, or that goes for another
// of its name.
func (pl *plan) index(name string) int {
	at, ok := pl.server.setup().index[name]
	if !ok || slices.Contains(pl.changes.Opened, name) || slices.Contains(pl.changes.Moved, name) && !pl.from.SameProtocol(pl.to, name) {
		return -1
	}
	return int(at)
}

// openListeners opens the sockets that are needed.
func (pl *plan) openListeners(context.Context) error {
	list, err := engineListeners(pl.to)
	if err != nil {
		return err
	}
	pl.server.passed.fill(list)
	pl.engine = list
	e := pl.server.engine
	var faults []error
	for i := range list {
		name := list[i].Name
		fault := func(err error) {
			key := "listeners." + name + ".address"
			faults = append(faults, fmt.Errorf("%s: %w (%s)", key, pl.taken(&pl.to.Listeners[i], err), pl.to.Place(key)))
		}
		at := pl.indices[i]
		pl.secrets.wrapOne(&list[i], name)
		switch {
		case at < 0:
			index, err := e.Prepare(list[i])
			if err != nil {
				fault(err)
				continue
			}
			pl.opened = append(pl.opened, index)
			pl.indices[i] = index
			pl.secrets.renumber(name, index)
		case slices.Contains(pl.changes.Moved, name) && len(list[i].Sockets) == 0: // else its socket says where it is
			m, err := e.PrepareMove(at, list[i])
			if err != nil {
				fault(err)
				continue
			}
			pl.moves = append(pl.moves, m)
			pl.updated = append(pl.updated, i)
		default:
			pl.updated = append(pl.updated, i)
		}
	}
	for i, l := range pl.server.setup().each {
		if !l.gone && !slices.Contains(pl.indices, i) {
			pl.gone = append(pl.gone, i)
		}
	}
	return errors.Join(faults...)
}

// compile makes the setup; listeners about which nothing has changed stay the same ones.
func (pl *plan) compile(context.Context) error {
	s, err := compileSetup(pl.to, pl.indices)
	if err != nil {
		return err
	}
	former := pl.server.setup()
	all := slices.ContainsFunc(pl.changes.Others, func(key string) bool { return key == "converters" || key == "requests" || key == "frames" })
	for i, l := range former.listeners {
		var next *listener
		if i < len(s.listeners) {
			next = s.listeners[i]
		}
		switch {
		case next != nil && slices.Contains(pl.opened, i):
		case next != nil && (all || slices.Contains(pl.changes.Altered, l.name) || slices.Contains(pl.changes.Moved, l.name)):
			next.inherit(l)
		case l.gone || next != nil:
			s.put(l)
		default:
			ends := *l
			ends.gone = true
			s.put(&ends)
		}
	}
	pl.setup = s
	return nil
}

// inherit takes over what is counted of the same listener.
func (l *listener) inherit(from *listener) {
	l.closed = from.closed
	if l.modbus != nil && from.modbus != nil {
		l.modbus.counts = from.modbus.counts
	}
	if l.mqtt != nil && from.mqtt != nil {
		l.mqtt.sessions = from.mqtt.sessions
	}
}

func (pl *plan) makePools(context.Context) (err error) {
	if len(pl.changes.Upstreams) == 0 && !slices.Contains(pl.changes.Others, "frames") {
		return nil
	}
	pl.pools, err = pl.server.pools.made(pl.to, pl.server.log, pl.setup.formats, pl.secrets, func(name string) bool {
		return !slices.Contains(pl.changes.Upstreams, name)
	})
	return err
}

// boundAPI makes the API's bounds. They stay as they are where nothing about them has
// changed: who has used up their calls has not got new ones.
func (pl *plan) boundAPI(context.Context) (err error) {
	if s := pl.server; s.admin != nil && slices.Contains(pl.changes.Others, "api") {
		pl.api, err = s.admin.Prepare(pl.to.API.Rate.Float(), pl.to.API.CORS)
	}
	return err
}

// filter has the filters hold; undo puts the former ones back. It comes last.
func (pl *plan) filter(context.Context) (err error) {
	if len(pl.changes.Filters)+len(pl.opened)+len(pl.moves)+len(pl.gone) == 0 {
		return nil
	}
	addrs := make([]net.Addr, len(pl.setup.listeners))
	for _, index := range pl.indices {
		addrs[index] = pl.server.engine.Addr(index)
	}
	for _, m := range pl.moves {
		addrs[m.Index()] = m.Addr()
	}
	pl.undo, err = pl.server.fastPath.reload(pl.to, pl.indices, addrs)
	return err
}

// discard gives everything back.
func (pl *plan) discard() {
	if pl.undo != nil {
		pl.undo()
	}
	for i, n := range pl.loops {
		n.close(pl.server.paths[i])
	}
	for _, gen := range pl.built {
		pl.r.put(gen)
	}
	for _, g := range pl.come {
		pl.r.put(g.live)
	}
	for _, m := range pl.moves {
		m.Discard()
	}
	for _, index := range pl.opened {
		pl.server.engine.Discard(index)
	}
}

// carryOut has everything take effect in one step. Plugins whose places stay come first,
// all of them or none, since that can still fail: then nothing else has changed.
func (pl *plan) carryOut(ctx context.Context) error {
	trades, err := pl.prepareTrades(ctx)
	began := false
	if err == nil {
		err = pl.r.do(ctx, func() error {
			if err := pl.overtaken(); err != nil {
				return err
			}
			if err := pl.trade(trades); err != nil {
				return err
			}
			began = true
			return errors.Join(pl.rules(), pl.switchOver())
		})
	}
	trades.close() // what was not used
	switch {
	case !began:
		pl.discard()
	case err != nil:
		err = fmt.Errorf("%w: %w", errHalf, err)
	}
	return err
}

// errHalf: a part of a configuration is in effect, and not all of it can be.
var errHalf = errors.New("it took effect in part: start weft again")

// overtaken tells of a rollout that has come between: what was made stands on a generation
// that is not live any more.
func (pl *plan) overtaken() error {
	for name, gen := range pl.lives {
		if pl.r.all()[name].live != gen {
			return fmt.Errorf("%w: of plugin %s", errOvertaken, name)
		}
	}
	return nil
}

// rules gives plugins their new rules. What is an error here is one of a server that ends.
func (pl *plan) rules() error {
	var faults []error
	for _, name := range pl.changes.Rules {
		faults = append(faults, pl.r.rule(pl.r.all()[name], pl.to.Plugins[name]))
	}
	return errors.Join(faults...)
}

// switchOver has the loops take up what was made. It runs on the goroutine of the
// rollouts. What is an error here is one of a server that ends.
func (pl *plan) switchOver() error {
	s := pl.server
	pl.beforeSeats()
	s.engine.Limit(pl.to.Limits.Connections, pl.to.Limits.PerSource)
	var faults []error
	moved := map[int]bool{}
	for _, m := range pl.moves {
		moved[m.Index()] = true
	}
	for _, i := range pl.updated {
		if at := pl.indices[i]; !moved[at] {
			faults = append(faults, s.engine.Update(at, pl.engine[i]))
		}
	}
	s.secrets.take(pl.secrets)
	s.current.Store(pl.setup)
	for i := range s.paths {
		if err := pl.r.onLoop(i, func(p *path) error { p.adopt(pl.loops[i]); return nil }); err != nil {
			return errors.Join(append(faults, err)...)
		}
	}
	if pl.pools != nil {
		s.pools.take(s.ctx, pl.pools, pl.to.Drain.Std(), func() { pl.r.everywhere(func(*path) {}) })
	}
	s.offences.apply(pl.to)
	s.orders.concern(pl.to)
	for _, index := range pl.opened {
		faults = append(faults, s.engine.Serve(s.ctx, index))
	}
	for _, m := range pl.moves {
		faults = append(faults, s.engine.CarryOut(s.ctx, m))
	}
	for _, index := range pl.gone {
		s.retire(index, pl.from.Drain.Std())
	}
	s.releaseListeners()
	pl.afterSeats()
	if pl.api != nil {
		pl.api()
	}
	if s.admin != nil {
		s.admin.SetConverters(pl.setup.converters)
	}
	s.setLevel(pl.to.Log.Level)
	return errors.Join(faults...)
}

// plugin is a generation's plugin for a place.
func (pl *plan) plugin(name string, member int) *plugins.Plugin {
	return pl.generation(name).members[member]
}

// generation is the one that takes a plugin's places: the live one unless another was
// built for them.
func (pl *plan) generation(name string) *generation {
	if g := pl.come[name]; g != nil {
		return g.live
	}
	if gen := pl.built[name]; gen != nil && !slices.Contains(pl.swaps, name) {
		return gen
	}
	pl.r.mu.RLock()
	defer pl.r.mu.RUnlock()
	gen := pl.r.all()[name].live
	pl.lives[name] = gen
	return gen
}
