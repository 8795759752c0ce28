package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// specification is the committed object with the options' sizes, and only the
// programs that this kernel may be asked for.
func (o *Options) specification() (*ebpf.CollectionSpec, error) {
	spec, err := loadWeft()
	if err != nil {
		return nil, fmt.Errorf("kernel: reading the programs: %w", err)
	}
	spec.Maps[weftMapRules4].MaxEntries = uint32(o.Entries)
	spec.Maps[weftMapRules6].MaxEntries = uint32(o.Entries)
	spec.Maps[weftMapSources].MaxEntries = uint32(o.Sources)
	return spec, nil
}

// load loads the programs, with the pinned maps of an earlier process where they fit.
// replaced are those that did not; their content has been copied.
func (k *Kernel) load() (replaced map[string]*ebpf.Map, err error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		k.log.Debug("kernel: the limit of locked memory stays", "error", err)
	}
	spec, err := k.options.specification()
	if err != nil {
		return nil, err
	}
	kept, replaced, err := k.pinned(spec)
	if err != nil {
		return nil, err
	}
	k.objects = &weftObjects{}
	err = spec.LoadAndAssign(k.objects, &ebpf.CollectionOptions{MapReplacements: kept})
	for _, pinned := range kept {
		_ = pinned.Close() // the collection has its own descriptors
	}
	if err != nil {
		k.objects = nil
		return replaced, explainLoad(err)
	}
	for name, current := range map[string]*ebpf.Map{weftMapRules4: k.objects.Rules4, weftMapRules6: k.objects.Rules6} {
		if old := replaced[name]; old != nil {
			if err := copyRules(old, current); err != nil {
				return replaced, fmt.Errorf("kernel: taking over the pinned rules: %w", err)
			}
		}
	}
	return replaced, nil
}

// copyRules copies all rules of one trie to another, of another size.
func copyRules(from, to *ebpf.Map) error {
	key, value := make([]byte, from.KeySize()), weftRule{}
	all := from.Iterate()
	for all.Next(&key, &value) {
		if err := to.Put(key, &value); err != nil {
			return err
		}
	}
	return all.Err()
}

// pinned opens the maps that an earlier process left, those that fit what is to be
// loaded and those that do not.
func (k *Kernel) pinned(spec *ebpf.CollectionSpec) (kept, others map[string]*ebpf.Map, err error) {
	kept, others = map[string]*ebpf.Map{}, map[string]*ebpf.Map{}
	if k.options.Pin == "" {
		return kept, others, nil
	}
	defer func() {
		if err != nil {
			for _, list := range []map[string]*ebpf.Map{kept, others} {
				for _, opened := range list {
					_ = opened.Close()
				}
			}
		}
	}()
	for name, wanted := range spec.Maps {
		if strings.HasPrefix(name, ".") {
			continue
		}
		opened, err := ebpf.LoadPinnedMap(filepath.Join(mapsFolder(k.options.Pin), name), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("kernel: the pinned map %s: %w", name, err)
		}
		if wanted.Compatible(opened) == nil {
			kept[name] = opened
		} else {
			others[name] = opened
		}
	}
	return kept, others, nil
}

// settle pins what is not pinned yet, when the programs are in place.
func (k *Kernel) settle(replaced map[string]*ebpf.Map) error {
	if k.options.Pin == "" {
		return nil
	}
	for name, current := range k.objects.byName() {
		if err := pinMap(k.options.Pin, name, current); err != nil {
			return err
		}
	}
	for name := range replaced {
		k.log.Info("kernel: a pinned map had another size and was replaced", "map", name)
	}
	return nil
}

// byName are the maps by the names under which they are pinned.
func (o *weftObjects) byName() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		weftMapAddresses: o.Addresses, weftMapCounters: o.Counters, weftMapEvents: o.Events,
		weftMapGroups: o.Groups, weftMapListeners: o.Listeners, weftMapNames: o.Names, weftMapNow: o.Now, weftMapPorts: o.Ports,
		weftMapRules4: o.Rules4, weftMapRules6: o.Rules6, weftMapSources: o.Sources, weftMapState: o.State,
	}
}

// capable names the capabilities that this process lacks.
func capable() error {
	missing := missingCapabilities()
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: missing capabilities: %s: run as root or grant them (systemd: AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON)",
		ErrUnavailable, strings.Join(missing, ", "))
}

// explainLoad says what an error of loading means.
func explainLoad(err error) error {
	if errors.Is(err, os.ErrPermission) {
		if missing := capable(); missing != nil {
			return fmt.Errorf("%w: %w", missing, err)
		}
		return fmt.Errorf("%w: the kernel refuses eBPF (lockdown, or a container's profile of system calls): %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: loading the programs (Linux 5.18 or later is needed): %w", ErrUnavailable, err)
}
