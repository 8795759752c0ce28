package plugins

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/module"
)

// Manifest is what a plugin says about itself (SPEC section 8).
type Manifest struct {
	Name         string                                `json:"name"`
	Version      string                                `json:"version"`
	Description  string                                `json:"description"`
	Capabilities map[abi.Capability]ManifestCapability `json:"capabilities"`
}

// ManifestCapability is why a plugin asks for a capability.
type ManifestCapability struct {
	Reason string `json:"reason"`
}

var manifestName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

func readManifest(m *module.Module) (Manifest, error) {
	sections := m.Custom(abi.ManifestSection)
	switch {
	case len(sections) == 0:
		return Manifest{}, nil
	case len(sections) > 1:
		return Manifest{}, fmt.Errorf("%w: %d sections %s: at most one is allowed", ErrManifest, len(sections), abi.ManifestSection)
	case len(sections[0]) > abi.MaxManifest:
		return Manifest{}, fmt.Errorf("%w: %d bytes: at most %d are allowed", ErrManifest, len(sections[0]), abi.MaxManifest)
	}
	var manifest Manifest
	if err := json.Unmarshal(sections[0], &manifest); err != nil {
		return Manifest{}, fmt.Errorf("%w: section %s: %w", ErrManifest, abi.ManifestSection, err)
	}
	if !manifestName.MatchString(manifest.Name) {
		return manifest, fmt.Errorf("%w: name %.80q: expected %s", ErrManifest, manifest.Name, manifestName)
	}
	if manifest.Version == "" {
		return manifest, fmt.Errorf("%w: version is missing", ErrManifest)
	}
	return manifest, nil
}
