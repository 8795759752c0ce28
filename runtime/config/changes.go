package config

import (
	"reflect"
	"slices"
)

// Changes is what another configuration has different from a running one.
type Changes struct {
	// Plugins are the names of those that need a new generation: file, configuration
	// (in a chain too), grants, limits or policy differ.
	Plugins []string
	// Rules are the names of those of which only rollout or watch differ.
	Rules []string
	// Come and Gone are the names of plugins that only the one or the other has.
	Come, Gone []string
	// Filters are the names of the listeners that both have and whose filter or
	// offenders differ.
	Filters []string
	// Opened, Closed and Moved are the names of listeners that come, go, and have
	// another address; Altered of those that change where they are.
	Opened, Closed, Moved, Altered []string
	// Routes are the names of those that come, go or change; all of them where only
	// their order does.
	Routes []string
	// Upstreams are the names of pools that come, go or change.
	Upstreams []string
	// Others are the other keys of the file's first level whose values differ.
	Others []string
	// SameChains tells that every chain has the same plugins at the same places, with
	// a configuration of their own or without.
	SameChains bool
}

// Any tells whether anything differs.
func (ch *Changes) Any() bool { return len(ch.Keys()) > 0 }

// Keys are those of everything that differs, such as plugins.auth; sorted.
func (ch *Changes) Keys() []string {
	keys := slices.Clone(ch.Others)
	add := func(list string, names ...[]string) {
		for _, name := range slices.Concat(names...) {
			keys = append(keys, join(list, name))
		}
	}
	add("plugins", ch.Plugins, ch.Rules, ch.Come, ch.Gone)
	add("listeners", ch.Opened, ch.Closed, ch.Moved, ch.Altered)
	for _, name := range ch.Filters {
		add("listeners", []string{name + ".filter"})
	}
	add("routes", ch.Routes)
	add("upstreams", ch.Upstreams)
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Changes compares the configuration that runs with another one.
func (c *Config) Changes(to *Config) Changes {
	ch := Changes{SameChains: slices.Equal(c.shape(), to.shape())}
	c.plugins(to, &ch)
	c.listeners(to, &ch)
	ch.Upstreams = different(c.Upstreams, to.Upstreams)
	a, b := c.comparable(), to.comparable()
	if !reflect.DeepEqual(a.Routes, b.Routes) {
		ch.Routes = entries(a.Routes, b.Routes, func(r Route) string { return r.Name })
	}
	a.Listeners, b.Listeners, a.Routes, b.Routes, a.Upstreams, b.Upstreams = nil, nil, nil, nil, nil, nil
	av, bv := reflect.ValueOf(a), reflect.ValueOf(b)
	for _, f := range fieldsOf(av.Type()) {
		if !reflect.DeepEqual(av.Field(f.index).Interface(), bv.Field(f.index).Interface()) {
			ch.Others = append(ch.Others, f.key)
		}
	}
	return ch
}

// plugins compares the plugins, with the configurations that they have in chains.
func (c *Config) plugins(to *Config, ch *Changes) {
	own, ownTo := c.OwnConfigs(), to.OwnConfigs()
	for _, name := range sortedKeys(c.Plugins) {
		a := c.Plugins[name]
		b, both := to.Plugins[name]
		if !both {
			ch.Gone = append(ch.Gone, name)
			continue
		}
		rules := !reflect.DeepEqual(a.Rollout, b.Rollout) || a.Watch != b.Watch
		a.Rollout, a.Watch = b.Rollout, b.Watch
		switch {
		case !reflect.DeepEqual(a, b) || !reflect.DeepEqual(own[name], ownTo[name]):
			ch.Plugins = append(ch.Plugins, name)
		case rules:
			ch.Rules = append(ch.Rules, name)
		}
	}
	for _, name := range sortedKeys(to.Plugins) {
		if _, both := c.Plugins[name]; !both {
			ch.Come = append(ch.Come, name)
		}
	}
}

// listeners compares the listeners, by name.
func (c *Config) listeners(to *Config, ch *Changes) {
	a, b := c.comparable(), to.comparable()
	for i := range c.Listeners {
		old := &c.Listeners[i]
		k := to.listener(old.Name)
		if k < 0 {
			ch.Closed = append(ch.Closed, old.Name)
			continue
		}
		if l := &to.Listeners[k]; !reflect.DeepEqual(old.Filter, l.Filter) || !reflect.DeepEqual(old.Offenders, l.Offenders) {
			ch.Filters = append(ch.Filters, old.Name)
		}
		switch {
		case !c.sameSockets(old, to, &to.Listeners[k]):
			ch.Moved = append(ch.Moved, old.Name)
		case !reflect.DeepEqual(a.Listeners[i], b.Listeners[k]):
			ch.Altered = append(ch.Altered, old.Name)
		}
	}
	for i := range to.Listeners {
		if name := to.Listeners[i].Name; c.listener(name) < 0 {
			ch.Opened = append(ch.Opened, name)
		}
	}
}

// listener is the index of the listener of that name; -1 if there is none.
func (c *Config) listener(name string) int {
	return slices.IndexFunc(c.Listeners, func(l Listener) bool { return l.Name == name })
}

// sameSockets tells whether a listener keeps its sockets and its connections, whatever
// else changes.
func (c *Config) sameSockets(l *Listener, to *Config, next *Listener) bool {
	return l.Address == next.Address && c.sameProtocol(l, to, next)
}

// SameProtocol tells whether the listener of that name, which both have, speaks the same.
func (c *Config) SameProtocol(to *Config, name string) bool {
	return c.sameProtocol(&c.Listeners[c.listener(name)], to, &to.Listeners[to.listener(name)])
}

// sameProtocol tells whether what goes over a listener's connections stays the same.
func (c *Config) sameProtocol(l *Listener, to *Config, next *Listener) bool {
	return l.Frame == next.Frame && (l.TLS == nil) == (next.TLS == nil) && reflect.DeepEqual(l.WebSocket, next.WebSocket) &&
		reflect.DeepEqual(l.Datagram, next.Datagram) && string(c.Frames[l.Frame].Doc) == string(to.Frames[next.Frame].Doc)
}

// different are the keys under which two mappings have different values.
func different[V any](a, b map[string]V) []string {
	var names []string
	for _, name := range sortedKeys(a) {
		if other, both := b[name]; !both || !reflect.DeepEqual(a[name], other) {
			names = append(names, name)
		}
	}
	for _, name := range sortedKeys(b) {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	return names
}

// entries names the entries of a list that differ; all of them where only their order
// does.
func entries[T any](a, b []T, name func(T) string) []string {
	in := func(list []T, entry T) bool {
		return slices.ContainsFunc(list, func(x T) bool { return name(x) == name(entry) && reflect.DeepEqual(x, entry) })
	}
	var names, all []string
	for _, both := range [][2][]T{{a, b}, {b, a}} {
		for _, entry := range both[0] {
			all = append(all, name(entry))
			if !in(both[1], entry) && !slices.Contains(names, name(entry)) {
				names = append(names, name(entry))
			}
		}
	}
	if names == nil {
		return slices.Compact(slices.Sorted(slices.Values(all)))
	}
	return names
}

// comparable is a copy without what concerns plugins and filters, and without lines of
// the file.
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
		d.Listeners[i].Filter, d.Listeners[i].Offenders = Filter{}, nil
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
