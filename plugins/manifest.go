package plugins

import (
	"fmt"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins/module"
)

// Manifest is what a plugin says about itself (SPEC section 8).
type Manifest struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
	License     string `json:"license,omitempty"`
	Homepage    string `json:"homepage,omitempty"`
	// Capabilities is what it asks for.
	Capabilities map[abi.Capability]ManifestCapability `json:"capabilities,omitempty"`
}

// ManifestCapability is why a plugin asks for a capability.
type ManifestCapability struct {
	Reason string `json:"reason"`
	// Optional says that the plugin does with less if it is not granted.
	Optional bool `json:"optional,omitempty"`
}

// readManifest reads the manifest of a module; zero if it has none.
func readManifest(m *module.Module) (Manifest, error) {
	sections := m.Custom(abi.ManifestSection)
	switch len(sections) {
	case 0:
		return Manifest{}, nil
	case 1:
		return ParseManifest(sections[0])
	}
	return Manifest{}, fmt.Errorf("%w: %d sections %s: at most one is allowed", ErrManifest, len(sections), abi.ManifestSection)
}

// asks reports whether there is a manifest that asks for the capability.
func (m Manifest) asks(c abi.Capability) bool {
	_, ok := m.Capabilities[c]
	return ok
}

// Unused lists the grants that the plugin has no use for: it neither imports a
// function of the capability nor asks for it in its manifest. What a plugin
// without a manifest can use without a function (publish, subscribe, the records'
// time) is not listed, nor what WASI's functions stand on.
func (d Description) Unused(g hostfuncs.Grants) []abi.Capability {
	var unused []abi.Capability
	for _, c := range abi.Capabilities {
		if !g.Has(c) || len(d.Imports[c]) > 0 || d.Manifest.asks(c) {
			continue
		}
		switch c {
		case abi.CapPublish, abi.CapSubscribe:
			if d.Manifest.Name == "" {
				continue
			}
		case abi.CapClock:
			if d.Manifest.Name == "" || len(d.Imports[abi.CapWASI]) > 0 {
				continue
			}
		case abi.CapLog, abi.CapRandom:
			if len(d.Imports[abi.CapWASI]) > 0 {
				continue
			}
		}
		unused = append(unused, c)
	}
	return unused
}
