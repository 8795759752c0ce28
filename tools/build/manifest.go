package build

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/module"
)

// The errors of [AttachManifest].
var (
	// ErrManifest: the manifest is no JSON, lacks something, or does not ask for
	// what the plugin calls.
	ErrManifest = plugins.ErrManifest
	// ErrModule: what the compiler made is no module.
	ErrModule = errors.New("not a WebAssembly module")
)

// checkManifest reads a manifest as strictly as weft does when it loads the plugin.
func checkManifest(manifest []byte) (plugins.Manifest, error) {
	return plugins.ParseManifest(manifest)
}

// checkAsked compares what a module imports with what its manifest asks for: what
// the operator is to grant stands in one place, with a reason.
func checkAsked(wasm []byte, m plugins.Manifest) error {
	parsed, err := module.Parse(wasm)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrModule, err)
	}
	capabilityOf := map[string]abi.Capability{}
	for _, im := range abi.Imports {
		capabilityOf[im.Name] = im.Capability
	}
	var errs []error
	said := map[abi.Capability]bool{}
	for _, im := range parsed.Imports {
		c, known := capabilityOf[im.Name]
		if _, asked := m.Capabilities[c]; im.Module != abi.ImportModule || !known || asked || said[c] {
			continue
		}
		said[c] = true
		errs = append(errs, fmt.Errorf("%w: the plugin calls %s.%s and does not ask for capability %s: add \"%s\": {\"reason\": \"...\"} to its capabilities",
			ErrManifest, im.Module, im.Name, c, c))
	}
	return errors.Join(errs...)
}

// AttachManifest appends the manifest as a custom section (WebAssembly core
// specification, section 5.5.3). A module whose source embeds one must embed the
// same.
func AttachManifest(wasm, manifest []byte) ([]byte, error) {
	fields, err := checkManifest(manifest)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, manifest); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if compact.Len() > abi.MaxManifest {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrManifest, compact.Len(), abi.MaxManifest)
	}
	embedded, has, err := section(wasm, abi.ManifestSection)
	switch {
	case err != nil:
		return nil, err
	case has && !sameJSON(embedded, compact.Bytes()):
		return nil, fmt.Errorf("%w: the source embeds another one; leave it out there", ErrManifest)
	case has:
		return wasm, nil
	}
	if err := checkAsked(wasm, fields); err != nil {
		return nil, err
	}
	content := binary.AppendUvarint(nil, uint64(len(abi.ManifestSection)))
	content = append(content, abi.ManifestSection...)
	content = append(content, compact.Bytes()...)
	out := append(bytes.Clone(wasm), 0)
	out = binary.AppendUvarint(out, uint64(len(content)))
	return append(out, content...), nil
}

// sameJSON tells whether a text is compact once its white space is gone.
func sameJSON(text, compact []byte) bool {
	var b bytes.Buffer
	return json.Compact(&b, text) == nil && bytes.Equal(b.Bytes(), compact)
}

// section finds the content of the custom section called name.
func section(wasm []byte, name string) (content []byte, found bool, err error) {
	if !bytes.HasPrefix(wasm, []byte("\x00asm\x01\x00\x00\x00")) {
		return nil, false, ErrModule
	}
	for rest := wasm[8:]; len(rest) > 0; {
		id := rest[0]
		body, after, ok := sized(rest[1:])
		if !ok {
			return nil, false, fmt.Errorf("%w: a section is longer than the file", ErrModule)
		}
		rest = after
		if id != 0 {
			continue
		}
		if title, content, ok := sized(body); ok && string(title) == name {
			return content, true, nil
		}
	}
	return nil, false, nil
}

// sized cuts off bytes that their length precedes.
func sized(b []byte) (head, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(size)], b[n+int(size):], true
}
