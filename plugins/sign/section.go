package sign

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/weftrun/weft/plugins/module"
)

// Section is the name of the custom section with the signatures.
const Section = "weft.signature"

// MaxSignatures is how many may sign one module.
const MaxSignatures = 16

var (
	// ErrModule says that it is no WebAssembly module at all.
	ErrModule = errors.New("not a WebAssembly module")
	// ErrUnsigned says that there is no signature.
	ErrUnsigned = errors.New("not signed")
	// ErrAltered says that a signature does not fit the bytes, or stands where none may.
	ErrAltered = errors.New("altered after it was signed")
	// ErrUnknownKey says that no key that signed is trusted.
	ErrUnknownKey = errors.New("signed by keys that are not trusted")
)

// signature is one entry of the section.
type signature struct {
	Key       string `json:"key"`
	Signature string `json:"signature"` // base64
}

type content struct {
	Signatures []signature `json:"signatures"`
}

// split cuts a module into what is signed and the signatures, none if there is no
// section. It accepts exactly the bytes that join writes.
func split(wasm []byte) (body []byte, list []signature, err error) {
	if !module.IsModule(wasm) {
		return nil, nil, fmt.Errorf("%w: it is %s", ErrModule, module.Identify(wasm))
	}
	m, err := module.Parse(wasm)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	if len(m.Custom(Section)) == 0 {
		return wasm, nil, nil
	}
	last := len(m.Sections) - 1
	if len(m.Custom(Section)) > 1 || m.Sections[last].ID != module.SectionCustom || m.Customs[len(m.Customs)-1].Name != Section {
		return nil, nil, fmt.Errorf("%w: section %s is not the last, or not the only one", ErrAltered, Section)
	}
	start := 8
	if last > 0 {
		start = m.Sections[last-1].End
	}
	var c content
	if err := json.Unmarshal(m.Customs[len(m.Customs)-1].Data, &c); err != nil {
		return nil, nil, fmt.Errorf("%w: section %s: %w", ErrAltered, Section, err)
	}
	if err := check(c.Signatures); err != nil {
		return nil, nil, err
	}
	body = wasm[:start:start]
	if again, err := join(body, c.Signatures); err != nil || !bytes.Equal(again, wasm) {
		return nil, nil, fmt.Errorf("%w: section %s is not as weft writes it", ErrAltered, Section)
	}
	return body, c.Signatures, nil
}

func check(list []signature) error {
	if len(list) == 0 || len(list) > MaxSignatures {
		return fmt.Errorf("%w: %d signatures: expected 1 to %d", ErrAltered, len(list), MaxSignatures)
	}
	seen := map[string]bool{}
	for _, s := range list {
		if !validID(s.Key) || seen[s.Key] {
			return fmt.Errorf("%w: key id %.40q is malformed or given twice", ErrAltered, s.Key)
		}
		seen[s.Key] = true
	}
	return nil
}

// join appends the section (core specification, section 5.5.3).
func join(body []byte, list []signature) ([]byte, error) {
	text, err := json.Marshal(content{list})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAltered, err)
	}
	section := binary.AppendUvarint(nil, uint64(len(Section)))
	section = append(section, Section...)
	section = append(section, text...)
	out := append(bytes.Clone(body), module.SectionCustom)
	out = binary.AppendUvarint(out, uint64(len(section)))
	return append(out, section...), nil
}

// raw is the signature's bytes; ok is false unless it is the one spelling of 64.
func (s signature) raw() (b []byte, ok bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s.Signature)
	return b, err == nil && len(b) == 64 && base64.StdEncoding.EncodeToString(b) == s.Signature
}
