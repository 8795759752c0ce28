package server

import (
	"slices"
	"weak"
)

// Part is something that a reload may put another in the place of.
type Part struct {
	Kind string
	// Which compares: two are the same part if it is.
	Which any
	// Freed tells whether it has been collected as garbage.
	Freed func() bool
}

func part[T any](kind string, p *T) Part {
	w := weak.Make(p)
	return Part{kind, w, func() bool { return w.Value() == nil }}
}

// Parts are those that the server has now, each of them once; nothing holds them by that.
func (s *Server) Parts() []Part {
	list := s.allParts()
	known := map[any]bool{}
	return slices.DeleteFunc(list, func(p Part) bool {
		was := known[p.Which]
		known[p.Which] = true
		return was
	})
}

func (s *Server) allParts() (list []Part) {
	r := s.rollouts
	list = append(list, part("setup", s.setup()), part("secrets", s.secrets.all.Load()))
	for _, l := range s.setup().listeners {
		list = append(list, part("listener", l))
	}
	for _, p := range s.pools.now.Load().list {
		list = append(list, part("pool", p), part("sender", p.sender))
	}
	r.mu.RLock()
	list = append(list, part("configuration", r.applied))
	for _, g := range r.all() {
		list = append(list, part("plugin's group", g), part("generation", g.live), part("section", g.live.section))
		for _, p := range g.live.members {
			list = append(list, part("plugin", p))
		}
	}
	r.mu.RUnlock()
	r.everywhere(func(p *path) {
		for _, c := range p.chains {
			list = append(list, part("chain", c))
		}
		for _, l := range p.lanes {
			list = append(list, part("lane", l), part("chain", l.chain)) // that of a listener that is gone, too
		}
		for _, s := range p.stages {
			list = append(list, part("stage", s))
		}
		list = append(list, part("shown lanes", p.shown.Load()))
	})
	return list
}
