package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/weftrun/weft/abi"
)

var (
	errManifest = errors.New("bad manifest.json")
	errModule   = errors.New("not a WebAssembly module")
)

// attachManifest appends the manifest as a custom section (WebAssembly core
// specification, section 5.5.3). A module whose source embeds one must embed the
// same.
func attachManifest(wasm, manifest []byte) ([]byte, error) {
	var fields struct{ Name, Version string }
	if err := json.Unmarshal(manifest, &fields); err != nil {
		return nil, fmt.Errorf("%w: %w", errManifest, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, manifest); err != nil {
		return nil, fmt.Errorf("%w: %w", errManifest, err)
	}
	switch {
	case fields.Name == "" || fields.Version == "":
		return nil, fmt.Errorf("%w: name and version are required", errManifest)
	case compact.Len() > abi.MaxManifest:
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", errManifest, compact.Len(), abi.MaxManifest)
	}
	embedded, has, err := section(wasm, abi.ManifestSection)
	switch {
	case err != nil:
		return nil, err
	case has && !sameJSON(embedded, compact.Bytes()):
		return nil, fmt.Errorf("%w: the source embeds another one; leave it out there", errManifest)
	case has:
		return wasm, nil
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
		return nil, false, errModule
	}
	for rest := wasm[8:]; len(rest) > 0; {
		id := rest[0]
		body, after, ok := sized(rest[1:])
		if !ok {
			return nil, false, fmt.Errorf("%w: a section is longer than the file", errModule)
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
