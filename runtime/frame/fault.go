package frame

import "strings"

// Reason is why bytes are no frame, or a message fits none: a short word that
// also labels counters. It is an error so that errors.Is(err, BadChecksum) works.
type Reason string

// The reasons, those of decoding first.
const (
	// BadMagic: the frame does not begin as it must.
	BadMagic Reason = "bad_magic"
	// BadVersion: the frame is of a version that the declaration does not have.
	BadVersion Reason = "bad_version"
	// BadLength: the length fields contradict the layout or each other.
	BadLength Reason = "bad_length"
	// TooLong: the frame is longer than the limit, or than a length field can
	// say. Also a reason of encoding.
	TooLong Reason = "too_long"
	// BadChecksum: the frame was damaged on its way.
	BadChecksum Reason = "bad_crc"
	// BadField: a field has a value outside what was declared.
	BadField Reason = "bad_field"

	// BadType: the format cannot say what the message is.
	BadType Reason = "bad_type"
	// TooLarge: a number of the message does not fit its field.
	TooLarge Reason = "too_large"
	// BadAttribute: an attribute that a field is made of is no decimal number.
	BadAttribute Reason = "bad_attribute"
	// EmbeddedDelimiter: the payload would read as more than one frame.
	EmbeddedDelimiter Reason = "embedded_delimiter"
	// Broadcast: the message would answer what nobody answers.
	Broadcast Reason = "broadcast"
)

// Error is the reason itself.
func (r Reason) Error() string { return string(r) }

// Reasons lists every reason, for those who keep a counter for each.
func Reasons() []Reason {
	return []Reason{
		BadMagic, BadVersion, BadLength, TooLong, BadChecksum, BadField,
		BadType, TooLarge, BadAttribute, EmbeddedDelimiter, Broadcast,
	}
}

// Fault is the error of Decode and Append. Every Fault is made when a format is
// compiled: returning one costs nothing, and it holds no part of the bytes.
type Fault struct {
	// Reason is also what errors.Is finds.
	Reason Reason
	// Format and Field say where; Field is empty where no single one is at fault.
	Format string
	Field  string
	// Text says what was expected.
	Text string
}

// Error is the format, the field, the reason and what was expected.
func (f *Fault) Error() string {
	var s strings.Builder
	s.WriteString(f.Format)
	if f.Field != "" {
		s.WriteString(": ")
		s.WriteString(f.Field)
	}
	s.WriteString(": ")
	s.WriteString(string(f.Reason))
	if f.Text != "" {
		s.WriteString(": ")
		s.WriteString(f.Text)
	}
	return s.String()
}

// Unwrap is the reason.
func (f *Fault) Unwrap() error { return f.Reason }
