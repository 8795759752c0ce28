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
// specification, section 5.5.3), unless the module has one already.
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
	has, err := hasSection(wasm, abi.ManifestSection)
	if err != nil || has {
		return wasm, err
	}
	content := binary.AppendUvarint(nil, uint64(len(abi.ManifestSection)))
	content = append(content, abi.ManifestSection...)
	content = append(content, compact.Bytes()...)
	out := append(bytes.Clone(wasm), 0)
	out = binary.AppendUvarint(out, uint64(len(content)))
	return append(out, content...), nil
}

// hasSection tells whether a module has a custom section called name.
func hasSection(wasm []byte, name string) (bool, error) {
	if !bytes.HasPrefix(wasm, []byte("\x00asm\x01\x00\x00\x00")) {
		return false, errModule
	}
	for rest := wasm[8:]; len(rest) > 0; {
		id := rest[0]
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || size > uint64(len(rest)-1-n) {
			return false, fmt.Errorf("%w: a section is longer than the file", errModule)
		}
		content := rest[1+n : 1+n+int(size)]
		rest = rest[1+n+int(size):]
		if id != 0 {
			continue
		}
		length, n := binary.Uvarint(content)
		if n > 0 && length <= uint64(len(content)-n) && string(content[n:n+int(length)]) == name {
			return true, nil
		}
	}
	return false, nil
}
