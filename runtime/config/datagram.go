package config

import (
	"fmt"
	"reflect"
)

// FrameDatagram is the value of Listener.Frame for reliable datagrams over UDP.
const FrameDatagram = "mcp-dgram"

// Datagram is about a listener of reliable datagrams. The longest message is
// Limits.Frame, how much may wait to be sent or acknowledged Outbox, how long a peer
// may leave it so Deadlines.Write.
type Datagram struct {
	// MTU is the longest datagram in bytes of UDP payload; a client may ask for
	// shorter ones. 1200 passes everywhere; a local network takes 1472.
	MTU Size `koanf:"mtu" yaml:"mtu" default:"1200" min:"256" max:"65000"`
	// Channels is how many channels a client may use at once.
	Channels int `koanf:"channels" yaml:"channels" default:"256" min:"1" max:"256"`
	// Window is how many records of a channel may be under way or wait, in either
	// direction.
	Window int `koanf:"window" yaml:"window" default:"8192" min:"1" max:"32768"`
	// WindowSize is how many bytes of a connection may.
	WindowSize Size `koanf:"window_size" yaml:"window_size" default:"512KiB" min:"4KiB" max:"256MiB"`
	// Retransmit bounds the time after which what is not acknowledged is sent again.
	Retransmit Retransmit `koanf:"retransmit" yaml:"retransmit"`
}

// Retransmit bounds retransmission timeouts. Between them the measured round-trip
// time decides.
type Retransmit struct {
	// Min is the shortest time.
	Min Duration `koanf:"min" yaml:"min" default:"20ms" min:"1ms" max:"10s"`
	// Max is the longest one.
	Max Duration `koanf:"max" yaml:"max" default:"2s" min:"10ms" max:"1m"`
}

// defaultDatagram is what a listener has that says nothing of it.
func defaultDatagram() *Datagram {
	g := &Datagram{}
	d := &decoder{}
	d.structure(reflect.ValueOf(g).Elem(), nil, "")
	return g
}

// datagram checks what a listener says of datagrams.
func (k *checker) datagram(path string, l *Listener) {
	if l.Frame == FrameDatagram && l.TLS != nil {
		k.add(join(path, "tls"), Problem{Cause: "has no effect", Found: "frame: " + l.Frame, Expected: "a frame over TCP", Fix: "remove the key: there is no TLS over datagrams"})
	}
	if l.Datagram == nil {
		return
	}
	path = join(path, "datagram")
	if l.Frame != FrameDatagram {
		k.add(path, Problem{Cause: "has no effect", Found: "frame: " + l.Frame, Expected: "frame: " + FrameDatagram, Fix: "remove the key, or make it a listener of datagrams"})
		return
	}
	if g := l.Datagram; g.WindowSize < 2*g.MTU || g.WindowSize < l.Limits.Frame {
		k.add(join(path, "window_size"), Problem{Cause: "out of range", Value: g.WindowSize.String(),
			Expected: fmt.Sprintf("at least two datagrams (mtu is %s) and one message (limits.frame is %s)", g.MTU, l.Limits.Frame), Fix: "make the window larger"})
	}
	if r := l.Datagram.Retransmit; r.Max < r.Min {
		k.add(join(path, "retransmit.max"), Problem{Cause: "out of range", Value: r.Max.String(),
			Expected: fmt.Sprintf("at least retransmit.min, which is %s", r.Min), Fix: "make it longer"})
	}
}
