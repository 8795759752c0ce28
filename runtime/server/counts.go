package server

import (
	"errors"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

// tally is what is counted about one listener.
type tally struct {
	messages   uint64
	bytes      uint64 // of payload
	heartbeats uint64
	badFrames  [frameReasons + 1]uint64 // by index in frame.Reasons, the rest last
}

// listenerCounts is a loop's tally of one listener, in plain variables.
type listenerCounts struct {
	tally
	published publishedCounts
}

// publishedCounts is what other goroutines may read of it.
type publishedCounts struct {
	messages, bytes, heartbeats atomic.Uint64
	badFrames                   [frameReasons + 1]atomic.Uint64
}

// frameReasons is how many reasons of package frame have a counter of their own.
const frameReasons = 16

func (c *listenerCounts) in(m *abi.Message) {
	c.messages++
	c.bytes += uint64(len(m.Payload))
}

// bad counts a frame that could not be decoded.
func (c *listenerCounts) bad(err error) {
	at := frameReasons
	if fault := (*frame.Fault)(nil); errors.As(err, &fault) {
		for i, r := range frame.Reasons() {
			if r == fault.Reason && i < frameReasons {
				at = i
			}
		}
	}
	c.badFrames[at]++
}

// publish shows the counts to other goroutines, once a turn.
func (c *listenerCounts) publish() {
	p := &c.published
	show(&p.messages, c.messages)
	show(&p.bytes, c.bytes)
	show(&p.heartbeats, c.heartbeats)
	for i := range c.badFrames {
		show(&p.badFrames[i], c.badFrames[i])
	}
}

func show(to *atomic.Uint64, n uint64) {
	if to.Load() != n {
		to.Store(n)
	}
}
