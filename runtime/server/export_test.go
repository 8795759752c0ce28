package server

import (
	"errors"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/watch"
	"github.com/weftrun/weft/runtime/codec"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/router"
)

// ErrInjected is what ExchangeFailing's loop answers.
var ErrInjected = errors.New("on purpose")

// ExchangeFailing swaps a plugin for another instance of its own generation and
// lets one loop fail, when those before it have swapped already.
func (s *Server) ExchangeFailing(name string, failing int) error {
	r, g := s.rollouts, s.rollouts.groups[name]
	all, err := r.prepare(s.ctx, g, g.live, false)
	if err != nil {
		return err
	}
	defer all.close()
	return r.do(s.ctx, func() error {
		return r.exchange(func(p *path, loop int) (swapped, error) {
			if loop == failing {
				return nil, ErrInjected
			}
			return p.swap(g.live, all[loop])
		})
	})
}

// Identify gives a message's attributes what is known of its sender, as a path does.
func Identify(known abi.Attributes) func(m *abi.Message) bool {
	p, from := &path{}, &peer{secure: &credentials{known: known}}
	return func(m *abi.Message) bool {
		p.scratch = p.scratch[:0]
		return p.identify(from, m)
	}
}

// Waiting is how many requests of the API wait for their answers.
func (s *Server) Waiting() int {
	s.bus.asks.mu.Lock()
	defer s.bus.asks.mu.Unlock()
	return len(s.bus.asks.waiting)
}

// Translate converts messages of a listener, as a path does before its chain.
func Translate(c *codec.Converter) func(m *abi.Message) bool {
	p := &path{setup: &setup{listeners: []*listener{{convert: &conversion{converter: c, onFailure: config.OnFailureClosed}}}}}
	return func(m *abi.Message) bool {
		p.scratch = p.scratch[:0]
		return p.translate(m)
	}
}

// BreakRoutes makes every loop panic that looks up a topic, until mend is called.
func (s *Server) BreakRoutes() (mend func()) {
	caches := make([]*router.Cache[router.Subscriber], len(s.paths))
	exchange := func() {
		for i, p := range s.paths {
			done := make(chan struct{})
			if err := s.engine.Do(i, func() { caches[i], p.cache = p.cache, caches[i]; close(done) }); err != nil {
				panic(err)
			}
			<-done
		}
	}
	exchange()
	return exchange
}

// Leftovers is how many messages the loops have left behind outside of their lanes.
func (s *Server) Leftovers() (n int) {
	for i, p := range s.paths {
		done := make(chan struct{})
		if err := s.engine.Do(i, func() {
			n += len(p.events.Messages)
			for j := range p.stages {
				n += len(p.stages[j].batch.Messages)
			}
			close(done)
		}); err != nil {
			panic(err)
		}
		<-done
	}
	return n
}

// FileChanged does what the watcher does when a file has new content.
func (s *Server) FileChanged(path string) { s.rollouts.changed(watch.Change{Path: path}) }
