package config

import (
	"reflect"
	"slices"
)

// Changes is what another configuration has different from a running one.
type Changes struct {
	// Plugins are the names of those that need a new generation: file,
	// configuration (in a chain too), grants, limits or policy differ.
	Plugins []string
	// Rules are the names of those of which only rollout or watch differ.
	Rules []string
	// Restart are the keys of everything else, which takes effect only when weft
	// is started again.
	Restart []string
	// SameChains tells that every chain has the same plugins at the same places.
	// Where it is false, configurations in chains wait for the restart as well.
	SameChains bool
}

// Changes compares the configuration that runs with another one.
func (c *Config) Changes(to *Config) Changes {
	ch := Changes{SameChains: slices.Equal(c.shape(), to.shape())}
	own, ownTo := c.OwnConfigs(), to.OwnConfigs()
	for _, name := range sortedKeys(c.Plugins) {
		a := c.Plugins[name]
		b, both := to.Plugins[name]
		if !both {
			ch.Restart = append(ch.Restart, join("plugins", name))
			continue
		}
		rules := !reflect.DeepEqual(a.Rollout, b.Rollout) || a.Watch != b.Watch
		a.Rollout, a.Watch = b.Rollout, b.Watch
		switch {
		case !reflect.DeepEqual(a, b) || ch.SameChains && !reflect.DeepEqual(own[name], ownTo[name]):
			ch.Plugins = append(ch.Plugins, name)
		case rules:
			ch.Rules = append(ch.Rules, name)
		}
	}
	for _, name := range sortedKeys(to.Plugins) {
		if _, both := c.Plugins[name]; !both {
			ch.Restart = append(ch.Restart, join("plugins", name))
		}
	}
	ch.Restart = append(ch.Restart, c.rest(to)...)
	return ch
}

// rest compares everything but plugins and their configurations, by the keys of
// the file's first level; listeners and routes by name.
func (c *Config) rest(to *Config) []string {
	var keys []string
	a, b := c.comparable(), to.comparable()
	av, bv := reflect.ValueOf(a), reflect.ValueOf(b)
	for _, f := range fieldsOf(av.Type()) {
		if reflect.DeepEqual(av.Field(f.index).Interface(), bv.Field(f.index).Interface()) {
			continue
		}
		switch f.key {
		case "listeners":
			keys = append(keys, entries(f.key, a.Listeners, b.Listeners, func(l Listener) string { return l.Name })...)
		case "routes":
			keys = append(keys, entries(f.key, a.Routes, b.Routes, func(r Route) string { return r.Name })...)
		default:
			keys = append(keys, f.key)
		}
	}
	return keys
}

// entries names the entries of a list that differ; the list itself where only
// their order does.
func entries[T any](key string, a, b []T, name func(T) string) []string {
	in := func(list []T, entry T) bool {
		return slices.ContainsFunc(list, func(x T) bool { return name(x) == name(entry) && reflect.DeepEqual(x, entry) })
	}
	var keys []string
	for _, both := range [][2][]T{{a, b}, {b, a}} {
		for _, entry := range both[0] {
			if at := join(key, name(entry)); !in(both[1], entry) && !slices.Contains(keys, at) {
				keys = append(keys, at)
			}
		}
	}
	if keys == nil {
		return []string{key}
	}
	return keys
}

// comparable is a copy without what concerns plugins and without lines of the file.
func (c *Config) comparable() Config {
	d := *c
	d.origin, d.Plugins, d.Watch = nil, nil, false
	strip := func(chain []ChainEntry) []ChainEntry {
		chain = slices.Clone(chain)
		for i := range chain {
			if chain[i].Config != nil {
				chain[i].Config = PluginConfig{}
			}
		}
		return chain
	}
	d.Listeners, d.Routes = slices.Clone(c.Listeners), slices.Clone(c.Routes)
	for i := range d.Listeners {
		d.Listeners[i].Chain = strip(d.Listeners[i].Chain)
	}
	for i := range d.Routes {
		d.Routes[i].Chain = strip(d.Routes[i].Chain)
	}
	if c.Frames != nil {
		d.Frames = make(map[string]Frame, len(c.Frames))
		for name, f := range c.Frames {
			d.Frames[name] = Frame{Doc: f.Doc}
		}
	}
	return d
}

// OwnConfigs are the configurations that plugins have in chains, by plugin, in the
// order of the file: listeners, then routes.
func (c *Config) OwnConfigs() map[string][]PluginConfig {
	own := map[string][]PluginConfig{}
	c.entries(func(_ string, entry ChainEntry) {
		if entry.Config != nil {
			own[entry.Plugin] = append(own[entry.Plugin], entry.Config)
		}
	})
	return own
}

// shape is which plugin stands where, and whether with a configuration of its own.
func (c *Config) shape() []string {
	var list []string
	c.entries(func(place string, entry ChainEntry) {
		if entry.Config != nil {
			place += " with its own"
		}
		list = append(list, entry.Plugin+" in "+place)
	})
	return list
}

// entries calls f with every entry of every chain.
func (c *Config) entries(f func(place string, entry ChainEntry)) {
	for i := range c.Listeners {
		for _, entry := range c.Listeners[i].Chain {
			f("listener "+c.Listeners[i].Name, entry)
		}
	}
	for i := range c.Routes {
		for _, entry := range c.Routes[i].Chain {
			f("route "+c.Routes[i].Name, entry)
		}
	}
}
