package plugins

import (
	"errors"
	"fmt"
)

// Policy is what becomes of a message that a plugin failed on.
type Policy uint8

// The policies.
const (
	// FailClosed drops the message; a session that begins is refused.
	FailClosed Policy = iota
	// FailOpen lets the message go on unchanged.
	FailOpen
	// FailQuarantine sends the message to the dead letters; a session that
	// begins is refused.
	FailQuarantine
)

// ErrPolicy is wrapped by the error about an unknown policy.
var ErrPolicy = errors.New("unknown failure policy")

// ParsePolicy reads a policy's name; the empty one is closed.
func ParsePolicy(text string) (Policy, error) {
	switch text {
	case "", "closed":
		return FailClosed, nil
	case "open":
		return FailOpen, nil
	case "quarantine":
		return FailQuarantine, nil
	}
	return 0, fmt.Errorf("%w %q: expected closed, open or quarantine", ErrPolicy, text)
}

// String is the policy's name in the configuration.
func (p Policy) String() string {
	switch p {
	case FailClosed:
		return "closed"
	case FailOpen:
		return "open"
	case FailQuarantine:
		return "quarantine"
	}
	return "unknown"
}
