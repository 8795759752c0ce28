package plugins

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/abi/spelling"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins/module"
)

// Description is what a binary shows about itself before anything of it runs.
type Description struct {
	Version  abi.Version
	Manifest Manifest   // zero if the binary has none
	Hooks    []abi.Hook // the hooks it exports
	// Imports are the host functions it calls, by capability.
	Imports   map[abi.Capability][]string
	MinMemory int64 // bytes that an instance begins with
	MaxMemory int64 // bytes that the module itself declares as the most, 0 for no bound
	Snapshot  bool  // it hands out and takes over state

	start bool // it has a start section
}

// Describe checks a binary against the ABI and says what it is. Whether its
// imports are granted it does not ask. The errors name no plugin.
func Describe(wasm []byte) (Description, error) {
	m, err := parse(wasm)
	if err != nil {
		return Description{}, err
	}
	return describe(m)
}

func parse(wasm []byte) (*module.Module, error) {
	if !module.IsModule(wasm) {
		return nil, fmt.Errorf("%w: it is %s", ErrNotWasm, module.Identify(wasm))
	}
	m, err := module.Parse(wasm)
	if err != nil {
		return nil, fmt.Errorf("%w; was the file cut off while it was copied?", err)
	}
	return m, nil
}

func describe(m *module.Module) (d Description, err error) {
	// The version comes first: everything else is judged by it.
	if d.Version, err = checkVersion(m); err != nil {
		return d, err
	}
	exports, errExports := checkExports(m)
	imports, errImports := checkImports(m, d.Version)
	memory, errMemory := checkMemory(m)
	manifest, errManifest := readManifest(m)
	for h := abi.HookMessages; h <= abi.HookResume; h++ {
		if exports[abi.HookExport(h)] {
			d.Hooks = append(d.Hooks, h)
		}
	}
	d.Imports, d.Manifest, d.start = imports, manifest, m.Start != nil
	d.MinMemory = int64(memory.Min) * pageSize
	if memory.HasMax {
		d.MaxMemory = int64(memory.Max) * pageSize
	}
	errManifest = errors.Join(errManifest, tooEarly(manifest, d.Version))
	d.Snapshot = exports[abi.ExportSnapshot] && exports[abi.ExportRestore]
	return d, errors.Join(errExports, errImports, errMemory, errManifest)
}

func checkVersion(m *module.Module) (abi.Version, error) {
	var found []string
	for _, e := range m.Exports {
		if strings.HasPrefix(e.Name, abi.ExportVersionPrefix) {
			found = append(found, e.Name)
		}
	}
	want := fmt.Sprintf("expected %s with signature () -> (); build it with a weft SDK", abi.Current.Export())
	switch len(found) {
	case 0:
		return abi.Version{}, fmt.Errorf("%w: no export says which ABI version it was built for: %s", ErrVersion, want)
	case 1:
	default:
		return abi.Version{}, fmt.Errorf("%w: it exports %s: exactly one is allowed", ErrVersion, listNames(found))
	}
	v, ok := abi.ParseVersionExport(found[0])
	if !ok {
		return v, fmt.Errorf("%w: export %s names no version: %s", ErrVersion, named(found[0]), want)
	}
	if !abi.Current.Runs(v) {
		return v, fmt.Errorf("%w: built for ABI %s, this weft speaks %s: use a newer weft, or build the plugin with an older SDK", ErrVersion, v, abi.Current)
	}
	return v, nil
}

func checkExports(m *module.Module) (map[string]bool, error) {
	known := make(map[string]abi.Export)
	for _, e := range abi.Exports {
		known[e.Name] = e
	}
	var errs findings
	found := make(map[string]bool)
	for _, e := range m.Exports {
		expected, ok := known[e.Name]
		if strings.HasPrefix(e.Name, abi.ExportVersionPrefix) {
			expected, ok = abi.Export{Name: e.Name}, true
		}
		if !ok {
			if strings.HasPrefix(e.Name, abi.ExportPrefix) {
				errs.add(fmt.Errorf("%w: export %s is unknown: names with %s belong to the ABI: %s",
					ErrExport, named(e.Name), abi.ExportPrefix, exportHint(e.Name)))
			}
			continue
		}
		found[e.Name] = true
		if e.Kind != module.KindFunc {
			errs.add(fmt.Errorf("%w: export %s is a %s: expected a function %s", ErrExport, e.Name, e.Kind, signature(expected.Signature)))
			continue
		}
		if t, _ := m.FuncType(e.Index); !sameSignature(t, expected.Signature) {
			errs.add(fmt.Errorf("%w: export %s is %s: expected %s", ErrExport, e.Name, typeText(t), signature(expected.Signature)))
		}
	}
	for _, e := range abi.Exports {
		if e.Required && !found[e.Name] {
			errs.add(fmt.Errorf("%w: export %s %s is missing: build it with a weft SDK, or export it", ErrExport, e.Name, signature(e.Signature)))
		}
	}
	return found, errs.join()
}

// exportHint proposes the known export that is nearest to a misspelt one.
func exportHint(name string) string {
	var names []string
	for _, e := range abi.Exports {
		names = append(names, e.Name)
	}
	if best := spelling.Nearest(name, names); best != "" {
		return "did you mean " + best + "?"
	}
	return "rename it"
}

func checkImports(m *module.Module, version abi.Version) (map[abi.Capability][]string, error) {
	found := make(map[abi.Capability][]string)
	var errs findings
	for _, im := range m.Imports {
		name := named(im.Module) + "." + named(im.Name)
		capability, sig, known := importOf(im)
		if !known {
			errs.add(fmt.Errorf("%w: imports %s, which this weft does not have: %s", ErrImport, name, importHint(im)))
			continue
		}
		if since := capability.Since(); !version.Runs(since) {
			errs.add(fmt.Errorf("%w: imports %s, which came with ABI %s, and it was built for %s: build it with an SDK of version %s", ErrImport, name, since, version, since))
			continue
		}
		if im.Kind != module.KindFunc {
			errs.add(fmt.Errorf("%w: imports %s as a %s: expected a function", ErrImport, name, im.Kind))
			continue
		}
		if t := m.Types[im.Type]; !sameSignature(t, sig) {
			errs.add(fmt.Errorf("%w: imports %s as %s: expected %s", ErrImport, name, typeText(t), signature(sig)))
			continue
		}
		found[capability] = append(found[capability], name)
	}
	return found, errs.join()
}

// tooEarly finds capabilities that a manifest asks for and that the version does not
// have for which the plugin was built.
func tooEarly(m Manifest, version abi.Version) error {
	var errs []error
	for _, c := range abi.Capabilities {
		if since := c.Since(); m.asks(c) && !version.Runs(since) {
			errs = append(errs, fmt.Errorf("%w: its manifest asks for capability %s, which came with ABI %s, and it was built for %s: build it with an SDK of version %s",
				ErrManifest, c, since, version, since))
		}
	}
	return errors.Join(errs...)
}

func importOf(im module.Import) (abi.Capability, abi.Signature, bool) {
	switch im.Module {
	case abi.ImportModule:
		for _, known := range abi.Imports {
			if known.Name == im.Name {
				return known.Capability, known.Signature, true
			}
		}
	case hostfuncs.WASIModule:
		sig, ok := hostfuncs.WASISignature(im.Name)
		return abi.CapWASI, sig, ok
	}
	return "", abi.Signature{}, false
}

func importHint(im module.Import) string {
	switch {
	case im.Module == abi.ImportModule:
		return "it may be built for a later version of the ABI"
	case im.Module == "env" && im.Name == "abort":
		return "build AssemblyScript with --use abort="
	case strings.HasPrefix(im.Module, "wasi"):
		return "only wasi_snapshot_preview1 is known: build for wasip1, or better for wasm32-unknown-unknown"
	case im.Module == "go" || im.Module == "gojs":
		return "build Go with GOOS=wasip1 and -buildmode=c-shared"
	}
	return fmt.Sprintf("expected imports from %q only", abi.ImportModule)
}

// checkGrants compares what the binary imports, and what its manifest asks for,
// with what the operator granted.
func checkGrants(d Description, s *Spec) error {
	var errs []error
	for _, c := range abi.Capabilities {
		asked, asks := d.Manifest.Capabilities[c]
		imported := d.Imports[c]
		if s.Grants.Has(c) || len(imported) == 0 && (!asks || asked.Optional) {
			continue
		}
		fix := fmt.Sprintf("not granted: add `%s` under plugins.%s.grants, or use a build without it", hostfuncs.Example(c), s.Name)
		if len(imported) == 0 {
			errs = append(errs, fmt.Errorf("%w: its manifest asks for capability %s: %.200q; %s", ErrNotGranted, c, asked.Reason, fix))
			continue
		}
		reason := ""
		if asks {
			reason = fmt.Sprintf(" (its manifest says why: %.200q)", asked.Reason)
		}
		errs = append(errs, fmt.Errorf("%w: imports %s, which %s to capability %s%s; %s",
			ErrNotGranted, listNames(imported), belong(imported), c, reason, fix))
	}
	return errors.Join(errs...)
}

func belong(names []string) string {
	if len(names) == 1 {
		return "belongs"
	}
	return "belong"
}

func listNames(names []string) string {
	if len(names) > 4 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}

func checkMemory(m *module.Module) (module.Limits, error) {
	for _, im := range m.Imports {
		if im.Kind == module.KindMemory {
			return module.Limits{}, fmt.Errorf("%w: it imports its memory: a plugin defines and exports its own", ErrMemory)
		}
	}
	if len(m.Memories) != 1 {
		return module.Limits{}, fmt.Errorf("%w: it has %d memories: expected one, exported as %s", ErrMemory, len(m.Memories), abi.ExportMemory)
	}
	mem := m.Memories[0]
	exported := slices.ContainsFunc(m.Exports, func(e module.Export) bool {
		return e.Name == abi.ExportMemory && e.Kind == module.KindMemory
	})
	switch {
	case !exported:
		return mem, fmt.Errorf("%w: its memory is not exported as %s", ErrMemory, abi.ExportMemory)
	case mem.Shared:
		return mem, fmt.Errorf("%w: its memory is shared: build without threads", ErrMemory)
	case mem.Is64:
		return mem, fmt.Errorf("%w: its memory has 64-bit addresses: build for wasm32", ErrMemory)
	case mem.Min > MaxMemory/pageSize:
		return mem, fmt.Errorf("%w: it begins with %d pages: at most %d exist", ErrMemory, mem.Min, MaxMemory/pageSize)
	}
	return mem, nil
}
