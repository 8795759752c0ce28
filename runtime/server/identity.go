package server

import (
	"crypto/tls"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/tlsconf"
)

// ownPrefix begins the attributes that only weft gives: what a client's verified
// certificate says of it. A client's own of such a name are dropped.
const ownPrefix = "tls."

// Attributes of connections with TLS. The first three are in every message of a
// session whose certificate was verified, all of them in the open hook.
const (
	attrCN      = ownPrefix + "cn"
	attrSAN     = ownPrefix + "san"
	attrSPIFFE  = ownPrefix + "spiffe"
	attrVersion = ownPrefix + "version"
	attrALPN    = ownPrefix + "alpn"
	// attrVerified is "true" or "false".
	attrVerified = ownPrefix + "verified"
	// attrIdentity is in a session's context who it is.
	attrIdentity = "identity"
)

// credentials are what a connection's TLS handshake has brought.
type credentials struct {
	attrs    abi.Attributes // what the open hook sees beside
	known    abi.Attributes // of them, what each of its messages says too
	identity string         // who it is by its certificate; empty: nobody
}

// known is what each of the peer's messages says of it.
func (from *peer) known() abi.Attributes {
	if from.secure == nil {
		return nil
	}
	return from.secure.known
}

// secured notes what a connection's handshake has brought: what the open hook is
// told, what each of its messages says, and who it is.
func (from *peer) secured(c *engine.Conn, l *listener) {
	conn, ok := c.NetConn().(*tls.Conn)
	if !ok {
		return
	}
	state := conn.ConnectionState()
	id, verified := tlsconf.Peer(&state)
	var block abi.Attributes
	add := func(name, value string) {
		if value != "" {
			block = block.AppendString(name, value)
		}
	}
	add(attrCN, id.CN)
	add(attrSAN, id.Names)
	add(attrSPIFFE, id.SPIFFE)
	known := len(block)
	add(attrVersion, tls.VersionName(state.Version))
	add(attrALPN, state.NegotiatedProtocol)
	if verified {
		add(attrVerified, "true")
	} else {
		add(attrVerified, "false")
	}
	from.secure = &credentials{attrs: block[:len(block):len(block)], known: block[:known:known]}
	switch l.identity {
	case config.IdentitySPIFFE:
		from.secure.identity = id.SPIFFE
	case config.IdentityCN:
		from.secure.identity = id.CN
	case config.IdentitySAN:
		from.secure.identity = id.First()
	}
}

// identify puts what is known of a message's sender before its own attributes, and
// drops those of them that only weft gives. It answers false if they are too long
// then.
func (p *path) identify(from *peer, m *abi.Message) bool {
	forged, known := forges(m.Attrs), from.known()
	switch {
	case !forged && len(known) == 0:
	case len(m.Attrs) == 0:
		m.Attrs = known
	case !forged:
		start := len(p.scratch)
		p.scratch = append(append(p.scratch, known...), m.Attrs...)
		m.Attrs = p.scratch[start:len(p.scratch):len(p.scratch)]
	default:
		start := len(p.scratch)
		block := append(abi.Attributes(p.scratch), known...)
		for name, value := range m.Attrs.All() {
			if !isOwn(name) {
				block = block.Append(string(name), value)
			}
		}
		p.scratch, m.Attrs, m.FrameStale = block, block[start:len(block):len(block)], true
	}
	return len(m.Attrs) <= abi.MaxAttrs
}

// withoutOwn is a block without the attributes that only weft gives.
func withoutOwn(block abi.Attributes) abi.Attributes {
	if !forges(block) {
		return block
	}
	var rest abi.Attributes
	for name, value := range block.All() {
		if !isOwn(name) {
			rest = rest.Append(string(name), value)
		}
	}
	return rest
}

// forges tells whether a block has attributes that only weft gives.
func forges(block abi.Attributes) bool {
	for name := range block.All() {
		if isOwn(name) {
			return true
		}
	}
	return false
}

func isOwn(name []byte) bool {
	return len(name) >= len(ownPrefix) && string(name[:len(ownPrefix)]) == ownPrefix
}
