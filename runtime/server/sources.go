package server

import (
	"net/netip"

	"github.com/weftrun/weft/hostfuncs"
)

// origins tells a listener's chain where its sessions come from.
func (p *path) origins(index uint32) hostfuncs.Origins {
	return func(session uint64) (netip.Addr, bool) { return p.sourceOf(session, index, false) }
}

// anyOrigins tells a route's chain where sessions come from.
func (p *path) anyOrigins(session uint64) (netip.Addr, bool) { return p.sourceOf(session, 0, true) }

// sourceOf is where a session of this loop comes from, whichever the listener or that one.
func (p *path) sourceOf(session uint64, index uint32, any bool) (netip.Addr, bool) {
	from := p.parting
	if from == nil || from.session == nil || from.session.ID() != session {
		from = p.peer(session)
	}
	if from == nil || from.conn == nil || !any && from.listener.index != index {
		return netip.Addr{}, false
	}
	return from.conn.Remote().Addr(), true
}
