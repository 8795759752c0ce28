package datagram

import (
	"fmt"
	"time"
)

// Bounds and defaults of Config.
const (
	MinMTU             = 256
	MaxMTU             = 65000
	DefaultMTU         = 1200
	DefaultWindow      = 8192
	MaxWindow          = 32768
	DefaultWindowBytes = 512 << 10
	DefaultMaxMessage  = 64 << 10
	DefaultMinRTO      = 20 * time.Millisecond
	DefaultMaxRTO      = 2 * time.Second
	DefaultFirstRTO    = 200 * time.Millisecond
	DefaultGiveUp      = 15 * time.Second
	MaxChannels        = 256
)

// Config is what the connections of one listener or client have in common. A zero
// field is its default.
type Config struct {
	// MTU is the longest datagram sent and taken, in bytes of UDP payload.
	MTU int
	// Window is how many records of a channel, and WindowBytes how many bytes of a
	// connection, may have arrived and wait: for those before them, or to be
	// accepted. WindowBytes bounds what is in flight as well, and with MaxMessage the
	// messages of several records that the peer has begun and not ended.
	Window      int
	WindowBytes int
	// QueueBytes is what may wait to be sent and be in flight, together; beyond it
	// Send answers ErrFull. 0 is four times WindowBytes.
	QueueBytes int
	// MaxMessage is the longest message in bytes.
	MaxMessage int
	// Channels is how many channels a peer may use, 1 to 256.
	Channels int
	// MinRTO and MaxRTO bound the time after which what is not acknowledged is sent
	// again; FirstRTO is that time before a round trip was measured.
	MinRTO, MaxRTO, FirstRTO time.Duration
	// GiveUp is how long a peer may be silent while something is in flight.
	GiveUp time.Duration
	// Keepalive is the silence after which the connection sends a heartbeat by
	// itself; 0 is never.
	Keepalive time.Duration
	// Settle: a message is acknowledged when Conn.Settle says so, not when it was
	// handed to the Sink.
	Settle bool
}

func (c Config) withDefaults() Config {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&c.MTU, DefaultMTU)
	set(&c.Window, DefaultWindow)
	set(&c.WindowBytes, DefaultWindowBytes)
	set(&c.QueueBytes, 4*c.WindowBytes)
	set(&c.MaxMessage, DefaultMaxMessage)
	set(&c.Channels, MaxChannels)
	times := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	times(&c.MinRTO, DefaultMinRTO)
	times(&c.MaxRTO, DefaultMaxRTO)
	times(&c.FirstRTO, DefaultFirstRTO)
	times(&c.GiveUp, DefaultGiveUp)
	return c
}

// Validate tells what is wrong with a configuration, after its defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.MTU < MinMTU || c.MTU > MaxMTU:
		return fmt.Errorf("datagram: datagrams of %d bytes: expected %d to %d", c.MTU, MinMTU, MaxMTU)
	case c.Window < 1 || c.Window > MaxWindow:
		return fmt.Errorf("datagram: a window of %d records: expected 1 to %d", c.Window, MaxWindow)
	case c.WindowBytes < 2*c.MTU || c.WindowBytes > 1<<30:
		return fmt.Errorf("datagram: a window of %d bytes: expected at least two datagrams and at most 1 GiB", c.WindowBytes)
	case c.MaxMessage < 1 || c.MaxMessage > 1<<30:
		return fmt.Errorf("datagram: messages of %d bytes: expected 1 byte to 1 GiB", c.MaxMessage)
	case c.Channels < 1 || c.Channels > MaxChannels:
		return fmt.Errorf("datagram: %d channels: expected 1 to %d", c.Channels, MaxChannels)
	case c.MinRTO < time.Millisecond || c.MaxRTO < c.MinRTO || c.FirstRTO < c.MinRTO || c.FirstRTO > c.MaxRTO:
		return fmt.Errorf("datagram: retransmission after %v to %v, at first %v: expected 1ms or more, in this order", c.MinRTO, c.MaxRTO, c.FirstRTO)
	}
	return nil
}
