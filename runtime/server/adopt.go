package server

import (
	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/router"
)

// shownLanes is what other goroutines may look at of a path: the slices stay as they
// are, and of what is in them the parts that are published.
type shownLanes struct {
	lanes    []*lane
	speakers []speaker
}

var nothingShown shownLanes

// seen is what is shown of the path's lanes; any goroutine may call it.
func (p *path) seen() *shownLanes {
	if s := p.shown.Load(); s != nil {
		return s
	}
	return &nothingShown
}

// lane is that of a listener; nil if the path has not heard of it yet.
func (s *shownLanes) lane(i int) *lane {
	if i < 0 || i >= len(s.lanes) {
		return nil
	}
	return s.lanes[i]
}

// speaker is that of a listener; nil if it has none.
func (s *shownLanes) speaker(i int) speaker {
	if i < 0 || i >= len(s.speakers) {
		return nil
	}
	return s.speakers[i]
}

// next is what a loop takes up when a configuration takes the place of another. What it
// needs was made beforehand: nothing that adopt does can fail.
type next struct {
	setup *setup
	// chains are those of listeners and routes that are new, places what becomes of
	// the others.
	chains map[chainKey]*plugins.Chain
	places map[chainKey][]plugins.Place
	// former is what each rule of the new table was in the one before, -1 for a new one.
	former []int
}

// close gives back what was not taken up.
func (n *next) close(p *path) {
	for _, c := range n.chains {
		_ = c.Close(p.server.ctx)
	}
	for _, places := range n.places {
		for _, at := range places {
			if at.Ready != nil {
				at.Ready.Close()
			}
		}
	}
}

// adopt takes up another setup. It runs on the loop between two turns.
func (p *path) adopt(n *next) {
	p.settleTurn()
	before := p.setup
	p.setup = n.setup
	p.adoptRoutes(n)
	p.adoptListeners(n, before)
	for key, places := range n.places {
		if lost, err := p.chains[key].Rearrange(places); lost != nil || err != nil {
			p.server.log.Error("a plugin begins anew", "in", string(key), "loop", p.loop.Index(), "lost", lost, "error", err)
		}
	}
	n.chains, n.places = nil, nil
	for key, chain := range p.chains {
		p.ready(chain, key)
	}
	p.cache.SetTable(p.setup.table)
	p.flows.refit(p.setup, n.former)
	p.recount()
}

// settleTurn runs what the turn has collected so far, by the setup under which it came.
func (p *path) settleTurn() {
	p.begin()
	for _, l := range p.lanes {
		if len(l.batch.Messages) > 0 && !l.running {
			p.runNow(l)
		}
	}
	p.flush()
}

// adoptListeners makes lanes and speakers for the listeners that are new, and tells those
// that were there what has changed about them.
func (p *path) adoptListeners(n *next, before *setup) {
	lanes, speakers := make([]*lane, len(p.setup.listeners)), make([]speaker, len(p.setup.listeners))
	copy(lanes, p.lanes)
	copy(speakers, p.speakers)
	altered := false
	for i, l := range p.setup.listeners {
		switch {
		case i < len(before.listeners) && before.listeners[i] == l:
		case i < len(before.listeners) && !before.listeners[i].closed.Load():
			altered = true
			lanes[i].listener = l
			lanes[i].carry()
			if s, ok := speakers[i].(interface{ altered(*listener) }); ok {
				s.altered(l)
			}
		default:
			lanes[i] = p.newLane(l, n.chains[listenerChain(l.name)])
			speakers[i] = nil
			p.chains[listenerChain(l.name)] = lanes[i].chain
			if l.speak != nil {
				speakers[i] = l.speak(p, l)
			}
		}
		if l.gone && p.chains[listenerChain(l.name)] == lanes[i].chain {
			lanes[i].chain.Label(-1)
			delete(p.chains, listenerChain(l.name)) // it stays as it is until its last message
		}
		p.loop.Adopt(i)
	}
	p.lanes, p.speakers = lanes, speakers
	p.turners = p.turners[:0]
	for _, s := range speakers {
		if t, ok := s.(turner); ok {
			p.turners = append(p.turners, t)
		}
	}
	p.shown.Store(&shownLanes{lanes, speakers})
	if !altered {
		return
	}
	for c := range p.loop.Conns {
		if from, ok := c.Value.(*peer); ok {
			from.listener = p.setup.listeners[from.listener.index]
		}
	}
}

// adoptRoutes brings the stages of the routes to their new places.
func (p *path) adoptRoutes(n *next) {
	stages := make([]*stage, len(n.former))
	for _, s := range p.stages {
		s.rule = -1
	}
	for i, at := range n.former {
		key := routeChain(p.setup.cfg.Routes[i].Name)
		if at >= 0 {
			stages[i] = p.stages[at]
		} else {
			stages[i] = &stage{}
		}
		if c := n.chains[key]; c != nil {
			stages[i].chain = c
			stages[i].carryChoices()
			p.chains[key] = c
		}
		stages[i].rule, stages[i].key = i, key
		if p.setup.routes != nil {
			stages[i].convert = p.setup.routes[i]
		} else {
			stages[i].convert = nil
		}
	}
	for _, s := range p.stages {
		if s.rule < 0 && s.chain != nil {
			s.chain.Label(-1)
			delete(p.chains, s.key)
			p.retired = append(p.retired, s)
		}
	}
	p.stages = stages
	p.endRetired()
	if p.logs == nil {
		return
	}
	logs := make([]*logLane, len(n.former))
	for i, at := range n.former {
		if at >= 0 && p.logs[at] != nil {
			logs[i] = p.logs[at]
			logs[i].rule = i
		}
	}
	p.logs = logs
}

// endRetired closes the chains of routes that are gone, as soon as they hold nothing.
func (p *path) endRetired() {
	kept := p.retired[:0]
	for _, s := range p.retired {
		if n, _ := s.chain.Held(); n > 0 {
			kept = append(kept, s)
			continue
		}
		if err := s.chain.Close(p.server.ctx); err != nil {
			p.server.log.Error("a route's plugins were not closed", "route", string(s.key), "error", err)
		}
	}
	clear(p.retired[len(kept):])
	p.retired = kept
}

// recount makes what is counted of the chains right again, and the taps of who looks.
func (p *path) recount() {
	p.count()
	p.open = noStage
	p.tapChains(p.recordings)
	p.publish()
}

// newLane makes the lane of a listener.
func (p *path) newLane(l *listener, chain *plugins.Chain) *lane {
	made := &lane{listener: l, chain: chain}
	made.carry()
	if l.web != nil {
		made.web = &webCounts{}
	}
	return made
}

// ready makes a chain one of the path: what its plugins are told, and what wakes it.
func (p *path) ready(chain *plugins.Chain, key chainKey) {
	chain.Rename(p.setup.names, apiName)
	chain.Label(p.setup.label(key))
	p.convertIn(chain, key)
	p.wakeOnAnswers(chain)
	if index, ok := p.setup.chainListener(key); ok {
		chain.OnSource(p.origins(index))
	} else {
		chain.OnSource(p.anyOrigins)
	}
}

// label is the number of a chain for who looks: chains are counted by the places of their
// listeners in the configuration, then by those of routes.
func (s *setup) label(key chainKey) int {
	for i := range s.cfg.Listeners {
		if listenerChain(s.cfg.Listeners[i].Name) == key {
			return i
		}
	}
	for i := range s.cfg.Routes {
		if routeChain(s.cfg.Routes[i].Name) == key {
			return len(s.cfg.Listeners) + i
		}
	}
	return -1
}

// chainListener is the listener whose chain it is; false for that of a route.
func (s *setup) chainListener(key chainKey) (uint32, bool) {
	const prefix = "listener "
	if len(key) <= len(prefix) || key[:len(prefix)] != prefix {
		return 0, false
	}
	index, ok := s.index[string(key[len(prefix):])]
	return index, ok
}

// chainsOf calls f with every chain of a configuration, those without plugins too.
func chainsOf(cfg *config.Config, f func(key chainKey, entries []config.ChainEntry)) {
	for i := range cfg.Listeners {
		f(listenerChain(cfg.Listeners[i].Name), cfg.Listeners[i].Chain)
	}
	for i := range cfg.Routes {
		f(routeChain(cfg.Routes[i].Name), cfg.Routes[i].Chain)
	}
}

// chosenBy goes on with a message that a route's chain has held: the route may stand
// elsewhere by now, or be gone, and what it said then still holds.
func (p *path) chosenBy(s *stage, m *abi.Message, choice *router.Choice) {
	choice.Rule = s.rule
	if s.rule < 0 && s.convert != nil {
		done, goesOn := p.convert(s.convert, m)
		if !goesOn {
			return
		}
		if done {
			p.encoded.changed(abi.ChangedPayload | abi.ChangedAttrs)
		}
	}
	found := p.cache.Lookup(m.Topic)
	p.toChoice(m, choice, &found)
}
