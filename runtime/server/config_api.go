package server

import (
	"strings"

	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
)

// Settings implements admin.Configuration.
func (s *Server) Settings() []*weftv1.ConfigValue {
	settings := s.running().Effective()
	list := make([]*weftv1.ConfigValue, 0, len(settings))
	for i := range settings {
		one := &settings[i]
		list = append(list, &weftv1.ConfigValue{Key: utf8(one.Key), Value: utf8(one.Value), Origin: utf8(one.From()), Secret: one.Secret})
	}
	return list
}

// CheckConfig implements admin.Configuration. The text is taken as the configuration that
// runs was: a reload would do the same with it.
func (s *Server) CheckConfig(text []byte, format string) (problems, changes, restart []string) {
	to, err := s.running().LoadLike(config.Options{File: "config." + format, Data: text, Presets: frame.Presets(), StdPlugins: std.Names()})
	if err == nil {
		err = to.Emptied(s.running())
	}
	if err == nil {
		_, err = newSetup(to)
	}
	if err != nil {
		return strings.Split(err.Error(), "\n"), nil, nil
	}
	to, restart = to.Reloadable(s.cfg, s.running())
	ch := s.running().Changes(to)
	return nil, ch.Keys(), restart
}

// running is the configuration that is in effect.
func (s *Server) running() *config.Config {
	s.rollouts.mu.RLock()
	defer s.rollouts.mu.RUnlock()
	return s.rollouts.applied
}
