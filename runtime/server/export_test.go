package server

import "errors"

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
