// Package clock is the time, with the operator's grant clock. A message's own
// time, Message.Time, costs no call.
package clock

import "github.com/weftrun/weft/abi/sdk/tinygo/internal/host"

// Wall is nanoseconds since 1970-01-01 UTC.
func Wall() int64 { return host.ClockWall() }

// Monotonic is nanoseconds since an arbitrary moment, never going back.
func Monotonic() int64 { return host.ClockMonotonic() }
