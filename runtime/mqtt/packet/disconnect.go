package packet

// Disconnect is a DISCONNECT packet.
type Disconnect struct {
	// Reason is NormalDisconnection in 3.1.1.
	Reason     Code
	Properties Properties
}

// Decode reads one whole DISCONNECT, as Cut found it, and sets every field of d.
func (d *Disconnect) Decode(b []byte, v Version, from Side) error {
	*d = Disconnect{}
	r := newReader(b, TypeDisconnect, v)
	if v != V5 || len(r.b) == 0 {
		return r.end()
	}
	codes := leaveCodes
	if from == FromServer {
		codes = expelCodes
	}
	if d.Reason = Code(r.byte()); !d.Reason.oneOf(codes) {
		r.fail(ProtocolError, "MQTT-3.14.2-1", "", "a reason code that this DISCONNECT cannot have")
	}
	if len(r.b) > 0 {
		d.Properties = r.properties(TypeDisconnect, from)
	}
	return r.end()
}

// AppendDisconnect adds d to dst, in its shortest form. A server sends none in
// 3.1.1; reason and properties are left out there.
func AppendDisconnect(dst []byte, d *Disconnect, v Version) []byte {
	return appendReason(dst, TypeDisconnect, d.Reason, d.Properties, v)
}

// Auth is an AUTH packet; 3.1.1 has none.
type Auth struct {
	// Reason is Success, ContinueAuthentication or Reauthenticate.
	Reason     Code
	Properties Properties
}

// Decode reads one whole AUTH, as Cut found it, and sets every field of a.
func (a *Auth) Decode(b []byte, v Version, from Side) error {
	*a = Auth{}
	r := newReader(b, TypeAuth, v)
	if v != V5 {
		r.fail(ProtocolError, "", "2.2.1", "packet type 15 is reserved in 3.1.1")
	}
	if len(r.b) > 0 {
		a.Reason = Code(r.byte())
		if len(r.b) > 0 {
			a.Properties = r.properties(TypeAuth, from)
		}
	}
	if ok := a.Reason.oneOf("\x18\x19") && from == FromClient || a.Reason.oneOf("\x00\x18") && from == FromServer; !ok {
		r.fail(ProtocolError, "MQTT-3.15.2-1", "", "a reason code that this AUTH cannot have")
	}
	if a.Reason != Success && !a.Properties.Has(AuthMethod) {
		r.fail(ProtocolError, "3.15.2.2.2", "", "the authentication method is missing")
	}
	return r.end()
}

// AppendAuth adds a to dst, in its shortest form. For 3.1.1 it adds nothing.
func AppendAuth(dst []byte, a *Auth, v Version) []byte {
	if v != V5 {
		return dst
	}
	return appendReason(dst, TypeAuth, a.Reason, a.Properties, v)
}

// appendReason adds a packet that is a reason and properties and leaves out what
// says nothing.
func appendReason(dst []byte, t Type, reason Code, p Properties, v Version) []byte {
	switch {
	case v != V5 || reason == Success && len(p) == 0:
		return append(dst, t.first(), 0)
	case len(p) == 0:
		return append(dst, t.first(), 1, byte(reason))
	}
	n := 1 + sizeProperties(p, v)
	if n > MaxRemaining {
		return dst
	}
	dst = appendVarint(append(dst, t.first()), n)
	return appendProperties(append(dst, byte(reason)), p, v)
}
