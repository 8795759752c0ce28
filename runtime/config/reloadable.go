package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Reloadable is what of another configuration can take the place of the applied one
// while weft runs, and the keys of what cannot: there it says what applied says. started
// is what weft was started with. Neither is changed.
func (c *Config) Reloadable(started, applied *Config) (reloaded *Config, restart []string) {
	d := *c
	e := &effect{started: started, applied: applied, to: c, d: &d}
	e.whole()
	e.parts("api", &d.API, &applied.API, "rate", "cors")
	e.parts("dead_letter", &d.DeadLetter, &applied.DeadLetter, "topic")
	e.parts("log", &d.Log, &applied.Log, "level")
	e.listeners()
	e.routes()
	e.plugins()
	return &d, slices.Compact(slices.Sorted(slices.Values(e.restart)))
}

// effect is a configuration on its way to be effective.
type effect struct {
	started, applied, to, d *Config
	restart                 []string
	kept                    bool // a listener or a route is not what it is to be
}

func (e *effect) wait(key string) {
	e.restart = append(e.restart, key)
	e.kept = e.kept || strings.HasPrefix(key, "listeners.") || strings.HasPrefix(key, "routes.")
}

// live are the keys of the file's first level that can change while weft runs, or of which
// a part can. The others hold from the start to the end.
var live = []string{
	"limits", "drain", "listeners", "plugins", "routes", "watch", "default_route", "requests", "dead_letter", "frames", "upstreams", "converters", "api", "log",
}

// whole keeps what holds from the start.
func (e *effect) whole() {
	to, from := reflect.ValueOf(e.d).Elem(), reflect.ValueOf(e.applied).Elem()
	for _, f := range fieldsOf(to.Type()) {
		if !slices.Contains(live, f.key) && !reflect.DeepEqual(to.Field(f.index).Interface(), from.Field(f.index).Interface()) {
			to.Field(f.index).Set(from.Field(f.index))
			e.wait(f.key)
		}
	}
}

// parts keeps the keys of a mapping but those that can change.
func (e *effect) parts(key string, to, from any, live ...string) {
	a, b := reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()
	for _, f := range fieldsOf(a.Type()) {
		if !slices.Contains(live, f.key) && !reflect.DeepEqual(a.Field(f.index).Interface(), b.Field(f.index).Interface()) {
			a.Field(f.index).Set(b.Field(f.index))
			e.wait(join(key, f.key))
		}
	}
}

// listeners keeps those that cannot become what they are to be, and leaves out those that
// need what weft was started without.
func (e *effect) listeners() {
	var list []Listener
	for _, l := range e.to.Listeners {
		at := join("listeners", l.Name)
		i := e.applied.listener(l.Name)
		if i < 0 {
			if key := e.lacks(&l); key != "" {
				e.wait(join(at, key))
			} else {
				list = append(list, l)
			}
			continue
		}
		now := &e.applied.Listeners[i]
		switch {
		case e.registered(l.Name) && now.Address != l.Address:
			e.wait(join(at, "address"))
			l = *now
		case now.Address == l.Address && !e.applied.sameProtocol(now, e.to, &l):
			e.wait(join(at, e.otherProtocol(now, &l)))
			l = *now
		case !reflect.DeepEqual(now.Session, l.Session):
			e.wait(join(at, "session"))
			l.Session = now.Session
		}
		if key := e.lacks(&l); key != "" {
			e.wait(join(at, key))
			l = *now
		}
		list = append(list, l)
	}
	for i, l := range e.applied.Listeners {
		if e.registered(l.Name) && e.to.listener(l.Name) < 0 {
			e.wait(join("listeners", l.Name))
			list = slices.Insert(list, min(i, len(list)), l)
		}
	}
	e.d.Listeners = list
}

// lacks is the key for which the listener needs what weft has only if it was started with
// such a one; empty if nothing is missing.
func (e *effect) lacks(l *Listener) string {
	has := func(is func(l *Listener) bool) bool {
		return slices.ContainsFunc(e.started.Listeners, func(l Listener) bool { return is(&l) })
	}
	isMQTT := func(l *Listener) bool { return l.MQTT != nil }
	lasts := func(l *Listener) bool {
		return l.Frame != FrameMQTT && !l.IsModbus() && e.d.SessionTTL(l) > 0
	}
	switch {
	case isMQTT(l) && !has(isMQTT):
		return "frame"
	case lasts(l) && !has(lasts):
		return "session"
	}
	return ""
}

// otherProtocol is the key by which what goes over the connections is another.
func (e *effect) otherProtocol(now, l *Listener) string {
	switch {
	case now.Frame != l.Frame || e.applied.Frames[l.Frame].Doc != nil && string(e.applied.Frames[l.Frame].Doc) != string(e.to.Frames[l.Frame].Doc):
		return "frame"
	case (now.TLS == nil) != (l.TLS == nil):
		return "tls"
	case !reflect.DeepEqual(now.WebSocket, l.WebSocket):
		return "websocket"
	}
	return "datagram"
}

// registered tells whether others find the listener by Consul.
func (e *effect) registered(name string) bool {
	return slices.ContainsFunc(e.applied.Consul.Register, func(s ConsulService) bool { return s.Listener == name })
}

// routes keeps the logs: a durable route comes and goes with a restart, and what its log
// is, and where its messages go, stay. The conditions can change.
func (e *effect) routes() {
	var list []Route
	for _, r := range e.to.Routes {
		at := join("routes", r.Name)
		i := e.applied.route(r.Name)
		switch {
		case i < 0 && r.Durable != nil:
			e.wait(at)
			continue
		case i < 0:
		case (e.applied.Routes[i].Durable == nil) != (r.Durable == nil):
			e.wait(join(at, "durable"))
			r = e.applied.Routes[i]
		case r.Durable != nil && !reflect.DeepEqual(e.applied.Routes[i].Durable, r.Durable):
			e.wait(join(at, "durable"))
			r = e.applied.Routes[i]
		case r.Durable != nil && !reflect.DeepEqual(e.applied.Routes[i].To, r.To):
			e.wait(join(at, "to"))
			r = e.applied.Routes[i]
		}
		list = append(list, r)
	}
	for i, r := range e.applied.Routes {
		if r.Durable != nil && e.to.route(r.Name) < 0 {
			e.wait(join("routes", r.Name))
			list = slices.Insert(list, e.behind(list, i), r)
		}
	}
	e.d.Routes = list
	e.named()
}

// named keeps the listeners that conditions of kept routes name.
func (e *effect) named() {
	for i := range e.d.Routes {
		name := e.d.Routes[i].When.Listener
		had, at := e.applied.listener(name), e.to.route(e.d.Routes[i].Name)
		if at >= 0 && e.to.Routes[at].When.Listener == name {
			continue // it is as it is to be
		}
		if had >= 0 && e.d.listener(name) < 0 && e.to.listener(name) < 0 {
			e.wait(join("listeners", name))
			e.d.Listeners = append(slices.Clip(e.d.Listeners), e.applied.Listeners[had])
		}
	}
}

// behind is where in the list a route of the applied configuration belongs: behind the
// nearest one before it that is in both.
func (e *effect) behind(list []Route, i int) int {
	for i--; i >= 0; i-- {
		if k := slices.IndexFunc(list, func(r Route) bool { return r.Name == e.applied.Routes[i].Name }); k >= 0 {
			return k + 1
		}
	}
	return 0
}

// route is the index of the route of that name; -1 if there is none.
func (c *Config) route(name string) int {
	return slices.IndexFunc(c.Routes, func(r Route) bool { return r.Name == name })
}

// plugins keeps those that what was kept has in its chains, and the pools, frames and
// converters that it names.
func (e *effect) plugins() {
	kept := map[string]Plugin{}
	e.d.entries(func(_ string, entry ChainEntry) {
		if _, has := e.to.Plugins[entry.Plugin]; !has {
			kept[entry.Plugin] = e.applied.Plugins[entry.Plugin]
			e.wait(join("plugins", entry.Plugin))
		}
	})
	e.d.Plugins = withFormer(e.d.Plugins, kept)
	if e.kept {
		e.d.Converters = withFormer(e.d.Converters, e.applied.Converters)
	}
	frames := map[string]Frame{}
	for _, l := range e.d.Listeners { // one that keeps its protocol keeps its format
		if i := e.to.listener(l.Name); i < 0 || l.Frame != e.to.Listeners[i].Frame || slices.Contains(e.restart, join(join("listeners", l.Name), "frame")) {
			if f, own := e.applied.Frames[l.Frame]; own {
				frames[l.Frame] = f
			}
		}
	}
	if len(frames) > 0 {
		e.d.Frames = withFormer(frames, e.d.Frames)
	}
	e.pools()
}

// pools keeps those to which logs go.
func (e *effect) pools() {
	kept := map[string]Upstream{}
	for _, r := range e.d.Routes {
		for _, t := range r.To {
			name, is := strings.CutPrefix(t.To, "upstream:")
			pool, had := e.applied.Upstreams[name]
			if _, has := e.to.Upstreams[name]; r.Durable != nil && is && had && !has {
				kept[name] = pool
				e.wait(join("upstreams", name))
				if f, own := e.applied.Frames[pool.Frame]; own {
					e.d.Frames = withFormer(e.d.Frames, map[string]Frame{pool.Frame: f})
				}
			}
		}
	}
	e.d.Upstreams = withFormer(e.d.Upstreams, kept)
}

// withFormer adds the entries that only the former mapping has.
func withFormer[V any](m, former map[string]V) map[string]V {
	if len(former) == 0 {
		return m
	}
	all := make(map[string]V, len(m)+len(former))
	maps.Copy(all, former)
	maps.Copy(all, m)
	return all
}
