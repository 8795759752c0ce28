package mqtt

import (
	"math"
	"strconv"

	"github.com/weftrun/weft/abi"
)

// AttrExpiry is the attribute that carries a message's expiry interval as its
// publisher gave it: seconds, decimal.
const AttrExpiry = "message_expiry"

const second = 1_000_000_000

// ExpiresAt is when a message expires that came at the time from (nanoseconds
// since 1970-01-01 UTC) with these attributes; 0 is never.
func ExpiresAt(attrs abi.Attributes, from int64) int64 {
	text, ok := attrs.Get(AttrExpiry)
	if !ok {
		return 0
	}
	seconds, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return 0
	}
	return max(1, after(from, uint32(seconds)))
}

// remaining is the rest of an expiry interval in whole seconds, rounded up.
func remaining(expires, now int64) (seconds uint32, ok bool) {
	if expires == 0 {
		return 0, false
	}
	if expires <= now {
		return 0, true
	}
	return uint32(min((expires-now-1)/second+1, math.MaxUint32)), true
}

// after is so many seconds after now, which never overflows.
func after(now int64, seconds uint32) int64 {
	if d := int64(seconds) * second; now <= math.MaxInt64-d {
		return now + d
	}
	return math.MaxInt64
}
