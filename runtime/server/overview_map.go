package server

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/latency"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/config"
)

// mapper draws the chain map: listeners, plugins in order, routes, destinations.
type mapper struct {
	server *Server
	setup  *setup // by which was counted
	span   *span
	out    *weftv1.ChainMap
	nodes  map[string]*weftv1.MapNode
	widest int // plugins of the longest chain of a listener
	deep   int // and of a route
}

func (s *Server) chainMap(w *span) *weftv1.ChainMap {
	m := mapper{server: s, setup: w.now.flowed.setup, span: w.counted(), out: &weftv1.ChainMap{}, nodes: map[string]*weftv1.MapNode{}}
	for i := range m.setup.cfg.Listeners {
		m.widest = max(m.widest, len(m.setup.cfg.Listeners[i].Chain))
	}
	for i := range m.setup.cfg.Routes {
		m.deep = max(m.deep, len(m.setup.cfg.Routes[i].Chain))
	}
	ends := m.listeners()
	m.routes(ends)
	m.idle()
	return m.out
}

// index is that of a listener of the configuration in what is counted; behind the last one
// that of the API.
func (m *mapper) index(i int) int {
	if i < len(m.setup.cfg.Listeners) {
		return int(m.setup.index[m.setup.cfg.Listeners[i].Name])
	}
	return m.span.now.flowed.listeners - 1
}

// node adds a node, or finds the one of that id.
func (m *mapper) node(n *weftv1.MapNode) *weftv1.MapNode {
	if have := m.nodes[n.GetId()]; have != nil {
		return have
	}
	m.nodes[n.GetId()] = n
	m.out.Nodes = append(m.out.Nodes, n)
	return n
}

// edge adds a way.
func (m *mapper) edge(from, to string, before, after uint64) {
	m.out.Edges = append(m.out.Edges, &weftv1.MapEdge{From: from, To: to, Rate: m.span.rate(before, after), Messages: after})
}

// listeners draws the listeners and their chains. It returns the last node of each chain,
// the API's last.
func (m *mapper) listeners() (ends []string) {
	s, w := m.server, m.span
	addresses := s.engine.Addrs()
	for i := range m.setup.cfg.Listeners {
		c := &m.setup.cfg.Listeners[i]
		id := "listener:" + c.Name
		at := m.index(i)
		before, after := w.from.messages[at], w.now.messages[at]
		stats := &w.now.engine.Listeners[at]
		n := m.node(&weftv1.MapNode{
			Id: id, Kind: weftv1.MapNodeKind_MAP_NODE_KIND_LISTENER, Name: c.Name, State: weftv1.NodeState_NODE_STATE_OK,
			Rate: w.rate(before, after), Protocol: m.setup.listeners[at].protocol, Connections: uint64(max(stats.Open, 0)),
		})
		if at < len(addresses) && addresses[at] != nil {
			n.Address = addresses[at].String()
		}
		if limit := c.Limits.Connections; limit > 0 && 10*stats.Open >= 9*int64(limit) {
			n.State, n.Why = weftv1.NodeState_NODE_STATE_SLOW, fmt.Sprintf("%d connections of %d", stats.Open, limit)
		}
		ends = append(ends, m.chain(id, i, c.Chain, 1, before, after))
	}
	n := m.node(&weftv1.MapNode{
		Id: "api", Kind: weftv1.MapNodeKind_MAP_NODE_KIND_API, Name: apiName, State: weftv1.NodeState_NODE_STATE_OK, Protocol: "http",
		Rate: w.rate(w.from.flowed.published(), w.now.flowed.published()),
	})
	if s.admin != nil && s.admin.Addr() != nil {
		n.Address = s.admin.Addr().String()
	}
	return append(ends, n.GetId())
}

// chain draws the plugins of a chain behind the node that it belongs to, to which so many
// messages came.
func (m *mapper) chain(owner string, chain int, entries []config.ChainEntry, column int, before, after uint64) (end string) {
	end = owner
	for k := range entries {
		n := m.plugin(owner, chain, k, entries[k].Plugin, column)
		was, is := m.at(m.span.from, entries[k].Plugin, chain, k), m.at(m.span.now, entries[k].Plugin, chain, k)
		if k > 0 { // what came out of the one before went in here
			before, after = passed(&was.Stats), passed(&is.Stats)
		}
		m.edge(end, n.GetId(), before, after)
		end = n.GetId()
	}
	return end
}

// at is what all generations but a shadow have done at a place.
func (m *mapper) at(s *sample, plugin string, chain, index int) (sum plugins.PlaceStats) {
	p := s.plugins[plugin]
	if p == nil {
		return sum
	}
	for _, g := range []*generationSample{&p.live, p.candidate} {
		if g == nil || g.shadow {
			continue
		}
		if at := g.at(chain, index); at != nil {
			addStats(&sum.Stats, at.Stats)
			sum.Calls.Add(&at.Calls)
		}
	}
	return sum
}

// passed is how many messages a plugin saw.
func passed(st *plugins.Stats) uint64 { return st.Messages - min(st.Events, st.Messages) }

// plugin draws a plugin at one place of one chain.
func (m *mapper) plugin(owner string, chain, index int, name string, column int) *weftv1.MapNode {
	w := m.span
	was, is := m.at(w.from, name, chain, index), m.at(w.now, name, chain, index)
	a, b := &was.Stats, &is.Stats
	n := m.node(&weftv1.MapNode{
		Id: fmt.Sprintf("plugin:%s:%d", owner, index), Kind: weftv1.MapNodeKind_MAP_NODE_KIND_PLUGIN, Name: name,
		Column: uint32(column + index), Chain: owner, Place: uint32(index),
		Rate: w.rate(passed(a), passed(b)), Latency: w.took(&was.Calls, &is.Calls),
		DropRate: w.rate(a.Drops+a.Closes+a.Policy, b.Drops+b.Closes+b.Policy), Drops: b.Drops + b.Closes + b.Policy,
	})
	n.TopReason = topReason(b)
	if w.seconds > 0 && b.BusyNanoseconds > a.BusyNanoseconds {
		n.BusyShare = time.Duration(b.BusyNanoseconds-a.BusyNanoseconds).Seconds() / w.seconds
	}
	p := w.now.plugins[name]
	if p == nil {
		return n
	}
	n.Deadline = durationpb.New(p.callLimit)
	if calls := b.Calls - min(b.Calls, a.Calls); calls > 0 && p.callFuel > 0 && b.Fuel > a.Fuel {
		n.FuelShare = float64(b.Fuel-a.Fuel) / float64(calls) / float64(p.callFuel)
	}
	n.State, n.Why = pluginState(a, b, n, p)
	m.lanes(n, p, chain, index)
	return n
}

// topReason is why most messages ended at a plugin.
func topReason(st *plugins.Stats) string {
	most, name := uint64(0), ""
	for _, one := range []struct {
		name string
		n    uint64
	}{{"plugin_drop", st.Drops}, {"plugin_close", st.Closes}, {"plugin_trap", st.Traps}, {"plugin_fault", st.Faults}} {
		if one.n > most {
			most, name = one.n, one.name
		}
	}
	return name
}

// pluginState is how a plugin at a place is.
func pluginState(a, b *plugins.Stats, n *weftv1.MapNode, p *pluginSample) (weftv1.NodeState, string) {
	trapped := b.Traps + b.Faults - min(b.Traps+b.Faults, a.Traps+a.Faults)
	switch {
	case b.Resting > 0:
		return weftv1.NodeState_NODE_STATE_BYPASSED, "it rests because it failed too often; its policy answers"
	case trapped > 0:
		return weftv1.NodeState_NODE_STATE_TRAPPING, failedCalls(trapped)
	case n.GetLatency().GetP99().AsDuration() > p.callLimit:
		return weftv1.NodeState_NODE_STATE_SLOW, fmt.Sprintf("p99 is %s, a call may take %s", readable(n.GetLatency().GetP99().AsDuration()), readable(p.callLimit))
	case n.GetFuelShare() > 0.9:
		return weftv1.NodeState_NODE_STATE_SLOW, fmt.Sprintf("%.0f%% of the fuel of a call", 100*n.GetFuelShare())
	}
	return weftv1.NodeState_NODE_STATE_OK, ""
}

// failedCalls is a number of them, in words.
func failedCalls(n uint64) string {
	if n == 1 {
		return "1 call failed"
	}
	return fmt.Sprintf("%d calls failed", n)
}

// readable is a duration with two or three digits that count: 1.84ms.
func readable(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for unit*1000 <= d {
		unit *= 10
	}
	return d.Round(unit)
}

// lanes draws the generations at a plugin's node.
func (m *mapper) lanes(n *weftv1.MapNode, p *pluginSample, chain, index int) {
	w := m.span
	var seen uint64
	lane := func(g *generationSample, state weftv1.PluginState, weight uint32) (*weftv1.MapLane, uint64) {
		is := g.at(chain, index)
		if is == nil {
			is = &plugins.PlaceStats{}
		}
		before, calls := uint64(0), latency.Counts{}
		if was := m.generation(w.from, n.GetName(), g.number); was != nil {
			if at := was.at(chain, index); at != nil {
				before, calls = passed(&at.Stats), at.Calls
			}
		}
		shown := &weftv1.MapLane{
			Generation: g.number, State: state, Weight: weight, Rate: w.rate(before, passed(&is.Stats)), Latency: w.took(&calls, &is.Calls),
			Traps: is.Stats.Traps + is.Stats.Faults, Compared: g.drift.Compared, Differed: g.drift.Differed,
		}
		n.Lanes = append(n.Lanes, shown)
		return shown, passed(&is.Stats) - min(before, passed(&is.Stats))
	}
	live := weftv1.PluginState_PLUGIN_STATE_STEADY
	weight := uint32(100)
	if p.candidate == nil {
		live = p.state
	} else if !p.candidate.shadow {
		weight -= min(p.weight, 100)
	}
	first, own := lane(&p.live, live, weight)
	seen = own
	if p.candidate == nil {
		if own > 0 {
			first.ObservedShare = 1
		}
		return
	}
	second, trial := lane(p.candidate, p.state, p.weight)
	if !p.candidate.shadow {
		seen += trial
	}
	if seen > 0 {
		first.ObservedShare, second.ObservedShare = float64(own)/float64(seen), float64(trial)/float64(seen)
	}
}

// generation finds one of a plugin's generations in a sample.
func (m *mapper) generation(s *sample, plugin string, number uint64) *generationSample {
	p := s.plugins[plugin]
	switch {
	case p == nil:
	case p.live.number == number:
		return &p.live
	case p.candidate != nil && p.candidate.number == number:
		return p.candidate
	}
	return nil
}

// routes draws the routes, their chains and destinations. ends are the last nodes of what
// comes before, by listener.
func (m *mapper) routes(ends []string) {
	w := m.span
	column := m.widest + 1
	for rule := range m.setup.cfg.Routes {
		r := &m.setup.cfg.Routes[rule]
		m.route("route:"+r.Name, r.Name, rule, r.Chain, r.Durable != nil, ends, column)
	}
	m.route("route:default", "default", byDefault, nil, false, ends, column)
	for i, end := range ends { // what plugins sent to places that they named
		if after := w.now.flowed.routed(m.index(i), byPlugin); after > 0 {
			m.node(&weftv1.MapNode{
				Id: "to:plugin", Kind: weftv1.MapNodeKind_MAP_NODE_KIND_DESTINATION, Name: "named by plugins", State: weftv1.NodeState_NODE_STATE_OK,
				Column: uint32(column + 1 + m.deep),
			}).Rate += w.rate(w.from.flowed.routed(m.index(i), byPlugin), after)
			m.edge(end, "to:plugin", w.from.flowed.routed(m.index(i), byPlugin), after)
		}
	}
}

// route draws one route.
func (m *mapper) route(id, name string, rule int, chain []config.ChainEntry, durable bool, ends []string, column int) {
	w := m.span
	n := m.node(&weftv1.MapNode{Id: id, Kind: weftv1.MapNodeKind_MAP_NODE_KIND_ROUTE, Name: name, State: weftv1.NodeState_NODE_STATE_OK, Column: uint32(column)})
	var before, after uint64
	for i, end := range ends {
		from, to := w.from.flowed.routed(m.index(i), rule), w.now.flowed.routed(m.index(i), rule)
		before, after = before+from, after+to
		if to > 0 {
			m.edge(end, id, from, to)
		}
	}
	n.Rate = w.rate(before, after)
	end := id
	if rule >= 0 {
		end = m.chain(id, len(m.setup.cfg.Listeners)+rule, chain, column+1, before, after)
	}
	last := column + 1 + m.deep
	if durable {
		end = m.log(end, name, last, before, after)
		last++
	}
	for i := range m.setup.table.Destinations(rule) {
		d := &m.setup.table.Destinations(rule)[i]
		took, missed := w.now.flowed.placed(d.Index)
		tookBefore, missedBefore := w.from.flowed.placed(d.Index)
		to := m.destination(d.Kind, d.String(), last)
		to.Rate += w.rate(tookBefore, took)
		to.Drops += missed
		to.DropRate += w.rate(missedBefore, missed)
		m.edge(end, to.GetId(), tookBefore+missedBefore, took+missed)
	}
}

// log draws the log of a durable route.
func (m *mapper) log(from, route string, column int, before, after uint64) string {
	n := m.node(&weftv1.MapNode{
		Id: "log:" + route, Kind: weftv1.MapNodeKind_MAP_NODE_KIND_DESTINATION, Name: "log of " + route, State: weftv1.NodeState_NODE_STATE_OK,
		Column: uint32(column), Rate: m.span.rate(before, after),
	})
	for i := range m.span.now.logs {
		l := &m.span.now.logs[i]
		switch {
		case l.route != route:
		case l.away:
			n.State, n.Why = weftv1.NodeState_NODE_STATE_DOWN, "it does not answer"
		case l.share() >= 0.9:
			n.State, n.Why = weftv1.NodeState_NODE_STATE_SLOW, fmt.Sprintf("%.0f%% full", 100*l.share())
		}
	}
	m.edge(from, n.GetId(), before, after)
	return n.GetId()
}

// destination draws a destination, which several routes may have.
func (m *mapper) destination(kind abi.DestinationKind, text string, column int) *weftv1.MapNode {
	name, _ := strings.CutPrefix(text, "upstream:")
	if kind == abi.ToUpstream {
		n := m.node(&weftv1.MapNode{Id: "upstream:" + name, Kind: weftv1.MapNodeKind_MAP_NODE_KIND_UPSTREAM, Name: name, State: weftv1.NodeState_NODE_STATE_OK, Column: uint32(column)})
		m.pool(n)
		return n
	}
	return m.node(&weftv1.MapNode{Id: "to:" + text, Kind: weftv1.MapNodeKind_MAP_NODE_KIND_DESTINATION, Name: text, State: weftv1.NodeState_NODE_STATE_OK, Column: uint32(column)})
}

// pool shows how a pool's members are.
func (m *mapper) pool(n *weftv1.MapNode) {
	if n.GetMembers() > 0 {
		return
	}
	for _, p := range m.span.now.pools {
		if p.GetName() != n.GetName() {
			continue
		}
		n.Protocol, n.Members = p.GetProtocol(), uint32(len(p.GetMembers()))
		open := 0
		for _, one := range p.GetMembers() {
			if one.GetUp() {
				n.MembersUp++
			}
			if one.GetBreaker() == "open" {
				open++
			}
			if one.GetP99().AsDuration() > n.GetLatency().GetP99().AsDuration() {
				n.Latency = &weftv1.Latency{Count: one.GetRequests(), P50: one.GetP50(), P99: one.GetP99()}
			}
		}
		switch {
		case n.GetMembersUp() == 0:
			n.State, n.Why = weftv1.NodeState_NODE_STATE_DOWN, "no member gets messages"
		case open > 0:
			n.State, n.Why = weftv1.NodeState_NODE_STATE_OPEN_CIRCUIT, fmt.Sprintf("the circuit of %d of %d members is open", open, n.GetMembers())
		case p.GetLimit() > 0 && 10*p.GetWaiting() >= 9*p.GetLimit():
			n.State, n.Why = weftv1.NodeState_NODE_STATE_SLOW, fmt.Sprintf("%d messages wait, %d may", p.GetWaiting(), p.GetLimit())
		}
	}
}

// idle says of what nothing has passed that it is idle.
func (m *mapper) idle() {
	if m.span.seconds == 0 {
		return
	}
	for _, n := range m.out.GetNodes() {
		if n.GetState() == weftv1.NodeState_NODE_STATE_OK && n.GetRate() == 0 && n.GetDropRate() == 0 {
			n.State = weftv1.NodeState_NODE_STATE_IDLE
		}
	}
}
