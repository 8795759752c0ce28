// Package host has the host functions with slices and strings for addresses and
// lengths: those of weft in a guest, stand-ins in a test. It is a leaf, so that
// package weft can prove that its numbers are the contract's (error.go there).
package host

// The statuses of host functions.
const (
	StatusOK       = 0
	StatusNotFound = -1
	StatusDenied   = -2
	StatusLimit    = -3
	StatusInvalid  = -4
	StatusConflict = -5
	StatusFailed   = -6
	StatusTimeout  = -7
)

// The levels of a log line.
const (
	LogDebug = 0
	LogInfo  = 1
	LogWarn  = 2
	LogError = 3
)

// The kinds of metrics.
const (
	MetricCounter   = 0
	MetricGauge     = 1
	MetricHistogram = 2
)

// Limits.
const (
	MaxKVKey      = 1024
	MaxKVValue    = 1 << 20
	MaxLog        = 8192
	MaxMetricName = 64
	MaxHostBytes  = 1 << 20
	MaxHTTPMethod = 16
	MaxHTTPTarget = 8 << 10
	MaxHTTPHeader = 16 << 10
	MaxHTTPBody   = 1 << 20
	MaxSource     = 64
)

// Error is why a host function failed.
type Error uint8

// The errors. A missing key is none.
const (
	ErrDenied Error = iota + 1
	ErrLimit
	ErrInvalid
	ErrConflict
	ErrFailed
	ErrTimeout
)

// Error says it in words.
func (e Error) Error() string {
	switch e {
	case ErrDenied:
		return "denied: outside the granted scope"
	case ErrLimit:
		return "over a limit"
	case ErrInvalid:
		return "invalid argument"
	case ErrConflict:
		return "conflict: another revision is there"
	case ErrTimeout:
		return "the deadline has passed"
	}
	return "the host could not do it"
}

// Check is the error that a status stands for, nil for one that is not negative.
func Check(status int64) error {
	switch {
	case status >= 0:
		return nil
	case status == StatusDenied:
		return ErrDenied
	case status == StatusLimit:
		return ErrLimit
	case status == StatusInvalid:
		return ErrInvalid
	case status == StatusConflict:
		return ErrConflict
	case status == StatusTimeout:
		return ErrTimeout
	}
	return ErrFailed
}

// Found is Check for functions that may answer that there is no such key.
func Found(status int64) (ok bool, err error) {
	if status == StatusNotFound {
		return false, nil
	}
	err = Check(status)
	return err == nil, err
}
