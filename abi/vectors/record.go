package vectors

import (
	"encoding/json"
	"fmt"

	"github.com/weftrun/weft/abi"
)

// Record is one call of a hook down to the bytes: what a host writes into the
// guest's buffer, and what the conformance guest answers.
//
// Where the bytes lie is free on both sides (SPEC sections 3 and 4), so pointers
// stand for what they point to: a host is right if every byte of its records is
// the same but for the pointers of spans, and the spans hold the same bytes. A
// guest is right if verdict, changes, out, the changed fields and the effects are
// the same, spans again by what they hold.
type Record struct {
	// Name is the file's name.
	Name  string `json:"name"`
	About string `json:"about"`
	// GuestOnly says that no host of this version writes such records.
	GuestOnly bool `json:"guest_only,omitempty"`
	// Config is what weft_init is given, Needs what weft_needs then answers.
	Config json.RawMessage `json:"config,omitempty"`
	Needs  Number          `json:"needs"`
	// Call is the messages, and what a host makes of the answers.
	Call Step `json:"call"`
	// Input is the guest's buffer when the hook is called: the records, then what
	// they point to.
	Input Image `json:"input"`
	// Answer is the records when the hook has returned, then what they point to.
	// The record's other bytes are as they were.
	Answer Image `json:"answer"`
}

// Image is records and the bytes behind them, as they lie in a guest's memory.
type Image struct {
	// At is the address of the first record. The records of an answer lie where
	// those of the input do; there At is the address of Bytes.
	At      uint32  `json:"at"`
	Records []Bytes `json:"records"`
	// Bytes begins right behind the last record of an input.
	Bytes Bytes `json:"bytes"`
}

// Records reads every record, in the order of their files.
func Records() ([]Record, error) {
	var all []Record
	err := each("records", func(file string, doc []byte) error {
		r := Record{Name: file}
		if err := decode(doc, &r); err != nil {
			return err
		}
		for _, b := range append(append([]Bytes(nil), r.Input.Records...), r.Answer.Records...) {
			if len(b) != abi.RecordSize {
				return fmt.Errorf("%w: a record has %d bytes", ErrFile, len(b))
			}
		}
		r.Call.Times = max(r.Call.Times, 1)
		all = append(all, r)
		return nil
	})
	return all, err
}

// Number is a number of 64 bits; in JSON a text in hexadecimal.
type Number uint64

// UnmarshalText reads the number.
func (n *Number) UnmarshalText(text []byte) error {
	_, err := fmt.Sscanf(string(text), "0x%x", (*uint64)(n))
	return err
}

// MarshalText writes the number.
func (n Number) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "0x%x", uint64(n)), nil }
