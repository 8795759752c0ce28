package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

// What a zero field of Config or Listener means.
const (
	DefaultMaxConnections = 100_000
	DefaultMaxUnit        = 16 << 20
	DefaultReadDeadline   = 15 * time.Second
	DefaultWriteDeadline  = 10 * time.Second
	DefaultHeartbeatEvery = 30 * time.Second
	DefaultCloseAfter     = 90 * time.Second
	DefaultOutbox         = 1 << 20
	DefaultReadSize       = 256 << 10
	DefaultTurnBytes      = 1 << 20
	DefaultCrossBytes     = 4 << 20

	DefaultHandshakeDeadline = 10 * time.Second
	DefaultMaxHandshakes     = 1024
)

// MaxLoops is the largest number of loops: loops are named in one 64-bit word.
const MaxLoops = 64

// ErrConfig is wrapped by every error about a Config or a Listener.
var ErrConfig = errors.New("engine: bad configuration")

// Config is what all loops have in common. The zero value is usable.
type Config struct {
	// Loops is the number of event loops, 0 for DefaultLoops().
	Loops int
	// Driver is "auto" (or empty), "epoll" or "net". Auto is epoll on Linux and
	// net elsewhere.
	Driver string
	// MaxConnections and MaxPerSource bound the open connections of the whole
	// engine, in all and per source address. MaxConnections 0 is
	// DefaultMaxConnections, MaxPerSource 0 is no limit.
	MaxConnections int
	MaxPerSource   int
	// ReadSize is how many bytes one read takes at most, TurnBytes how many all
	// reads of one turn take; what does not fit waits for the next turn.
	ReadSize  int
	TurnBytes int
	// CrossBytes bounds the bytes on their way from one loop to another, for each
	// pair of loops.
	CrossBytes int
	// Logger is where the engine writes; nil is slog.Default().
	Logger *slog.Logger
}

// Listener is one address with its limits. A duration of 0 is its default, a
// negative one switches the deadline off.
type Listener struct {
	// Name is used in logs and counters.
	Name string
	// Network is "tcp" (or empty) or "udp". Over UDP each address that the handler
	// lets in (Doorkeeper) is a connection, each datagram one call of Data, which
	// consumes it whole, and each unit of Send one datagram.
	Network string
	// Address is host:port as for net.Listen("tcp", ...); an empty host is every
	// interface, port 0 a free one.
	Address string
	// Listener, if set, is served instead of Address, through package net.
	Listener net.Listener
	// Sockets, if any, are served instead of Address: sockets that are open already, by a
	// service manager. One for each loop, or one of TCP for all; one where they are
	// served through package net. They stay the caller's: the engine duplicates them, and
	// leaves what waits in their queues to who has them next.
	Sockets []*os.File
	// Wrap, if set, is applied to each accepted connection (tls.Server with a
	// config, say); the listener is then served through package net. It must not
	// block. If what it returns has a method Handshake, that is called on another
	// goroutine, and Handler.Open when it is done.
	Wrap func(net.Conn) net.Conn
	// HandshakeDeadline is how long a handshake may take.
	HandshakeDeadline time.Duration
	// MaxHandshakes bounds those under way. Beyond it the one whose peer has been
	// silent for the longest time is ended.
	MaxHandshakes int
	// MaxConnections and MaxPerSource bound this listener's open connections; 0
	// is no limit beyond the engine's.
	MaxConnections int
	MaxPerSource   int
	// MaxUnit is the largest unit (frame) in bytes; a partial one that is or will
	// be longer ends the connection.
	MaxUnit int
	// ReadDeadline is how long a unit may stay partial.
	ReadDeadline time.Duration
	// WriteDeadline is how long an outbox may be full of bytes none of which move.
	WriteDeadline time.Duration
	// HeartbeatEvery is the silence after which Handler.Idle is called, again and
	// again; CloseAfter the silence that ends the connection.
	HeartbeatEvery time.Duration
	CloseAfter     time.Duration
	// Links tells the Gatekeeper of a listener of Network "udp" by which interface a
	// datagram came, where the driver knows.
	Links bool
	// Steer gives everything from one source address to one loop, whatever its port;
	// else the kernel spreads address and port. Only the epoll driver does it.
	Steer bool
	// Linger is how long a connection whose peer has closed its sending side
	// (half-close) stays open for answers that are still to come. At 0 it is
	// closed as soon as what the same turn sent is written.
	Linger time.Duration
	// Outbox says what happens when the peer does not read.
	Outbox Outbox
}

// Outbox bounds what is queued for one connection.
type Outbox struct {
	// Limit in bytes; each unit counts its length and a few bytes more. One unit
	// is always taken into an empty outbox, whatever its length. 0 is
	// DefaultOutbox.
	Limit int
	// WhenFull is what happens beyond the limit.
	WhenFull Policy
}

// Policy is what happens when an outbox is over its limit.
type Policy uint8

// The policies.
const (
	// Pause accepts and answers Pressed, so that the handler can stop reading from
	// the publisher (Loop.Hold). Beyond HardFactor times the limit units are
	// dropped and counted.
	Pause Policy = iota
	// DropOldest drops queued units, the lowest priority first and the oldest of
	// it first, never one that is partly written.
	DropOldest
	// Disconnect closes the connection.
	Disconnect
)

// HardFactor times its limit is what an outbox holds at most under Pause.
const HardFactor = 4

// String is the policy's name in the configuration.
func (p Policy) String() string {
	switch p {
	case Pause:
		return "pause"
	case DropOldest:
		return "drop-oldest"
	case Disconnect:
		return "disconnect"
	}
	return fmt.Sprintf("policy %d", uint8(p))
}

// ParsePolicy is the policy called name; an empty name is Pause.
func ParsePolicy(name string) (Policy, error) {
	switch name {
	case "", "pause":
		return Pause, nil
	case "drop-oldest":
		return DropOldest, nil
	case "disconnect":
		return Disconnect, nil
	}
	return Pause, fmt.Errorf("%w: unknown policy %q: expected pause, drop-oldest or disconnect", ErrConfig, name)
}

func (c Config) withDefaults() Config {
	setDefault(&c.Loops, DefaultLoops())
	setDefault(&c.MaxConnections, DefaultMaxConnections)
	setDefault(&c.ReadSize, DefaultReadSize)
	setDefault(&c.TurnBytes, DefaultTurnBytes)
	setDefault(&c.CrossBytes, DefaultCrossBytes)
	if c.Driver == "" {
		c.Driver = "auto"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (l Listener) withDefaults() Listener {
	setDefault(&l.MaxUnit, DefaultMaxUnit)
	setDefault(&l.HandshakeDeadline, DefaultHandshakeDeadline)
	setDefault(&l.MaxHandshakes, DefaultMaxHandshakes)
	setDefault(&l.ReadDeadline, DefaultReadDeadline)
	setDefault(&l.WriteDeadline, DefaultWriteDeadline)
	setDefault(&l.HeartbeatEvery, DefaultHeartbeatEvery)
	setDefault(&l.CloseAfter, DefaultCloseAfter)
	setDefault(&l.Outbox.Limit, DefaultOutbox)
	return l
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

func (c Config) validate() error {
	switch {
	case c.Loops < 1 || c.Loops > MaxLoops:
		return fmt.Errorf("%w: %d loops: expected 1 to %d", ErrConfig, c.Loops, MaxLoops)
	case c.Driver != "auto" && c.Driver != "epoll" && c.Driver != "net":
		return fmt.Errorf("%w: driver %q: expected auto, epoll or net", ErrConfig, c.Driver)
	case c.MaxConnections < 0 || c.MaxPerSource < 0:
		return fmt.Errorf("%w: a negative limit of connections", ErrConfig)
	case c.ReadSize < 4096 || c.TurnBytes < 2*largeUnit || c.CrossBytes < parcelSize:
		return fmt.Errorf("%w: expected a read size of at least 4096, turn bytes of at least %d, cross bytes of at least %d",
			ErrConfig, 2*largeUnit, parcelSize)
	}
	return nil
}

func (l Listener) validate() error {
	switch {
	case l.Network != "" && l.Network != "tcp" && !l.isUDP():
		return fmt.Errorf("%w: listener %s: network %q: expected tcp or udp", ErrConfig, l.Name, l.Network)
	case l.Listener != nil && len(l.Sockets) > 0:
		return fmt.Errorf("%w: listener %s: either a listener or sockets", ErrConfig, l.Name)
	case l.isUDP() && (l.Wrap != nil || l.Listener != nil):
		return fmt.Errorf("%w: listener %s: what wraps a stream does not go over UDP", ErrConfig, l.Name)
	case l.MaxUnit < 1 || l.MaxUnit > 1<<30:
		return fmt.Errorf("%w: listener %s: units of %d bytes: expected 1 byte to 1 GiB", ErrConfig, l.Name, l.MaxUnit)
	case l.Outbox.Limit < 1 || l.Outbox.Limit > 256<<20:
		return fmt.Errorf("%w: listener %s: an outbox of %d bytes: expected 1 byte to 256 MiB", ErrConfig, l.Name, l.Outbox.Limit)
	case l.Outbox.WhenFull > Disconnect:
		return fmt.Errorf("%w: listener %s: %v", ErrConfig, l.Name, l.Outbox.WhenFull)
	case l.MaxHandshakes < 0:
		return fmt.Errorf("%w: listener %s: %d handshakes at once: expected at least 1", ErrConfig, l.Name, l.MaxHandshakes)
	case l.MaxConnections < 0 || l.MaxPerSource < 0:
		return fmt.Errorf("%w: listener %s: a negative limit of connections", ErrConfig, l.Name)
	}
	return nil
}
