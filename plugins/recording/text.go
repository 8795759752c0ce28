package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/weftrun/weft/abi"
)

// Text is bytes that are UTF-8 as a rule.
type Text []byte

// rawText is how bytes that are not UTF-8 are written.
type rawText struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON writes a string, or {"base64":"..."} where the bytes are not UTF-8.
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.Valid(t) {
		return json.Marshal(string(t))
	}
	return json.Marshal(rawText{t})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var raw rawText
		err := json.Unmarshal(b, &raw)
		*t = raw.Base64
		return err
	}
	var s string
	err := json.Unmarshal(b, &s)
	*t = Text(s)
	return err
}

// Attributes is an attribute block, as abi.Attributes.
type Attributes abi.Attributes

// MarshalJSON writes an object in the block's order, or an array of pairs.
func (a Attributes) MarshalJSON() ([]byte, error) {
	pairs := !a.plain()
	var b bytes.Buffer
	b.WriteByte(bracket(pairs, '[', '{'))
	first := true
	for name, value := range abi.Attributes(a).All() {
		if !first {
			b.WriteByte(',')
		}
		first = false
		n, err := Text(name).MarshalJSON()
		if err != nil {
			return nil, err
		}
		v, err := Text(value).MarshalJSON()
		if err != nil {
			return nil, err
		}
		if pairs {
			fmt.Fprintf(&b, "[%s,%s]", n, v)
		} else {
			fmt.Fprintf(&b, "%s:%s", n, v)
		}
	}
	b.WriteByte(bracket(pairs, ']', '}'))
	return b.Bytes(), nil
}

func bracket(pairs bool, array, object byte) byte {
	if pairs {
		return array
	}
	return object
}

// plain tells whether every name is UTF-8 and there once.
func (a Attributes) plain() bool {
	seen := map[string]bool{}
	for name := range abi.Attributes(a).All() {
		if seen[string(name)] || !utf8.Valid(name) {
			return false
		}
		seen[string(name)] = true
	}
	return true
}

var errAttributes = errors.New("attributes: expected an object, or an array of [name, value]")

// UnmarshalJSON reads both forms. A name or value of more than abi.MaxAttribute
// bytes is refused.
func (a *Attributes) UnmarshalJSON(b []byte) error {
	*a = nil
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	if len(b) > 0 && b[0] == '[' {
		return a.readPairs(b)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errAttributes
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return errAttributes
		}
		var value Text
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := a.add(Text(name), value); err != nil {
			return err
		}
	}
	return nil
}

func (a *Attributes) readPairs(b []byte) error {
	var pairs [][]Text
	if err := json.Unmarshal(b, &pairs); err != nil {
		return fmt.Errorf("%w: %w", errAttributes, err)
	}
	for _, pair := range pairs {
		if len(pair) != 2 {
			return errAttributes
		}
		if err := a.add(pair[0], pair[1]); err != nil {
			return err
		}
	}
	return nil
}

func (a *Attributes) add(name, value Text) error {
	if len(name) == 0 || len(name) > abi.MaxAttribute || len(value) > abi.MaxAttribute {
		return fmt.Errorf("attribute %.40q: names are not empty, names and values have at most %d bytes", name, abi.MaxAttribute)
	}
	*a = Attributes(abi.Attributes(*a).Append(string(name), value))
	return nil
}
