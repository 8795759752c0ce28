package vectors

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weftrun/weft/abi"
)

// ErrFile is wrapped by every error about a golden file.
var ErrFile = errors.New("malformed golden file")

// Bytes is a run of bytes. In JSON it is a text that means itself, except that
// "0x" and hexadecimal digits (spaces between them are ignored) mean those bytes
// and "*N" means [Pattern](N); or an array of texts, lines that each end in a line
// feed.
type Bytes []byte

// Pattern is n bytes, the one at offset i being 'a' + i mod 26.
func Pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}

// UnmarshalJSON reads any of the forms.
func (b *Bytes) UnmarshalJSON(doc []byte) error {
	var lines []string
	if json.Unmarshal(doc, &lines) == nil {
		*b = []byte(strings.Join(append(lines, ""), "\n"))
		return nil
	}
	var text string
	if err := json.Unmarshal(doc, &text); err != nil {
		return fmt.Errorf("%w: %.40s: expected a text or an array of texts", ErrFile, doc)
	}
	read, err := parseBytes(text)
	*b = read
	return err
}

func parseBytes(text string) ([]byte, error) {
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrFile, text, err)
		}
		return b, nil
	}
	if length, ok := strings.CutPrefix(text, "*"); ok {
		n, err := strconv.ParseUint(length, 10, 25)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: expected a length up to 32 MiB", ErrFile, text)
		}
		return Pattern(int(n)), nil
	}
	return []byte(text), nil
}

// MarshalJSON writes a long pattern as such, readable text as lines or as itself,
// anything else in hexadecimal.
func (b Bytes) MarshalJSON() ([]byte, error) {
	text := string(b)
	if len(b) >= longPattern && text == string(Pattern(len(b))) {
		return json.Marshal("*" + strconv.Itoa(len(b)))
	}
	readable := utf8.ValidString(text) && !strings.HasPrefix(text, "0x") && !strings.HasPrefix(text, "*") &&
		!strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
	switch lines, ended := strings.CutSuffix(text, "\n"); {
	case !readable:
		return json.Marshal("0x" + hex.EncodeToString(b))
	case ended && lines != "":
		return json.Marshal(strings.Split(lines, "\n"))
	}
	return json.Marshal(text)
}

const longPattern = 48

// Attribute is one attribute of a block; in JSON an array of its name and value.
type Attribute struct {
	Name  string
	Value Bytes
}

// UnmarshalJSON reads the pair.
func (a *Attribute) UnmarshalJSON(doc []byte) error {
	var pair []Bytes
	if err := json.Unmarshal(doc, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("%w: %.40s: expected a name and a value", ErrFile, doc)
	}
	a.Name, a.Value = string(pair[0]), pair[1]
	return nil
}

// MarshalJSON writes the pair.
func (a Attribute) MarshalJSON() ([]byte, error) {
	return json.Marshal([]Bytes{Bytes(a.Name), a.Value})
}

// Block is attributes in order, names that appear twice included.
type Block []Attribute

// Encode is the block as it lies in memory, nil if there are no attributes.
func (b Block) Encode() abi.Attributes {
	var out abi.Attributes
	for _, a := range b {
		out = out.Append(a.Name, a.Value)
	}
	return out
}
