package codec

import (
	"errors"
	"fmt"
)

// What can be wrong with a payload; an Error wraps one of them.
var (
	// ErrMalformed: the payload is not what the converter's From says.
	ErrMalformed = errors.New("malformed")
	// ErrLimit: the payload is too large, too deep or has too many values.
	ErrLimit = errors.New("over the limit")
	// ErrNoCounterpart: the target cannot hold a value of the payload.
	ErrNoCounterpart = errors.New("has no counterpart")
)

// Error is why a payload was not converted.
type Error struct {
	// Converter is the converter's name.
	Converter string
	// Codec is the one whose rules the payload broke.
	Codec Codec
	// Kind is ErrMalformed, ErrLimit or ErrNoCounterpart.
	Kind error
	// Offset is where in the payload, in bytes from its beginning; -1 where that
	// is not known.
	Offset int
	// Path is where in the payload's structure: $.trucks[3].id; empty where that
	// is not known.
	Path string
	// Found says what is wrong and, where there is one, the way out.
	Found string
}

// Error is a sentence that names the converter, the place and the finding.
func (e *Error) Error() string {
	place := ""
	if e.Offset >= 0 {
		place = fmt.Sprintf(" at byte %d", e.Offset)
	}
	if e.Path != "" {
		place += " (" + e.Path + ")"
	}
	return fmt.Sprintf("converter %s: %s%s: %s", e.Converter, e.Codec, place, e.Found)
}

// Unwrap is the error's kind.
func (e *Error) Unwrap() error { return e.Kind }
