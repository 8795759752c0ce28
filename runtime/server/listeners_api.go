package server

import (
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/frame"
)

// Listeners implements admin.Listeners.
func (s *Server) Listeners() []*weftv1.Listener {
	stats, addresses := s.engine.Stats(), s.engine.Addrs()
	list := make([]*weftv1.Listener, 0, len(stats.Listeners))
	now := s.setup()
	for k := range now.cfg.Listeners {
		c := &now.cfg.Listeners[k]
		i := int(now.index[c.Name])
		if i >= len(stats.Listeners) {
			continue // it has just come
		}
		l := showListener(c, &stats.Listeners[i])
		l.Protocol = now.listeners[i].protocol
		if i < len(addresses) && addresses[i] != nil {
			l.Network, l.Address = addresses[i].Network(), addresses[i].String()
		}
		counts := s.listenerCounts(i)
		l.Messages, l.PayloadBytes, l.Heartbeats = counts.messages, counts.bytes, counts.heartbeats
		for r, reason := range frame.Reasons() {
			some(l.BadFrames, string(reason), counts.badFrames[r])
		}
		list = append(list, l)
	}
	return list
}

func showListener(c *config.Listener, st *engine.ListenerStats) *weftv1.Listener {
	l := &weftv1.Listener{
		Name: c.Name, Network: network(c), Address: c.Address, Tls: c.TLS != nil, Websocket: c.WebSocket != nil, Chain: pluginsOf(c.Chain), Topic: c.Topic,
		Connections: uint64(max(st.Open, 0)), ConnectionsLimit: uint64(max(c.Limits.Connections, 0)), Accepted: st.Accepted,
		BytesIn: st.BytesIn, BytesOut: st.BytesOut,
		Refused: map[string]uint64{}, Closed: map[string]uint64{}, BadFrames: map[string]uint64{}, FramesDropped: map[string]uint64{},
	}
	for r, n := range st.Refused {
		some(l.Refused, engine.Refusal(r).String(), n)
	}
	for r, n := range st.Closed[1:] {
		some(l.Closed, engine.Reason(r+1).String(), n)
	}
	for r, n := range st.Dropped {
		some(l.FramesDropped, engine.Drop(r).String(), n)
	}
	return l
}

// some notes a count that is not 0.
func some(into map[string]uint64, name string, n uint64) {
	if n > 0 {
		into[name] = n
	}
}

// pluginsOf are the names of a chain's plugins in order.
func pluginsOf(chain []config.ChainEntry) []string {
	var list []string
	for i := range chain {
		list = append(list, chain[i].Plugin)
	}
	return list
}
