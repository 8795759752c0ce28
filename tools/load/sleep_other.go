//go:build !linux

package load

import "time"

// sleeper sleeps as finely as Go can.
type sleeper struct{}

func newSleeper() sleeper { return sleeper{} }

func (sleeper) until(d time.Duration) { time.Sleep(d) }

func (sleeper) close() {}
