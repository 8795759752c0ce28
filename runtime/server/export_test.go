package server

import (
	"errors"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/codec"
	"github.com/weftrun/weft/runtime/config"
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
