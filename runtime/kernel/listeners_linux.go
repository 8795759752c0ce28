package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weftrun/weft/runtime/filter"
)

const (
	// none is a group's listener that is not there.
	none = 0xffff
	// nameLength is how much of a name is kept; names in the configuration are
	// shorter.
	nameLength = 128
)

// image is a policy as the programs read it: the content of one slot.
type image struct {
	ports     weftPorts
	groups    []weftGroup
	addresses map[weftAddress]uint32
	listeners map[uint32]weftListener // by the identifier in the kernel
}

// Listeners replaces all listeners; see filter.Enforcer. They are written beside those
// in force and put in force by one write. Listeners are kept apart by their names: in
// the kernel one keeps its rules and counters as long as it has its name, also when a
// later call or a later process gives it another ID. Entries that were put for an ID
// before its listener was there take effect with it.
func (k *Kernel) Listeners(list []filter.Listener) error { return k.ListenersWith(list, nil) }

// ListenersWith is Listeners with entries of theirs, by the IDs that they have in list:
// these are there when the listeners come into force. So a listener that is new, or on
// another address, does not let pass for a moment what its rules forbid.
func (k *Kernel) ListenersWith(list []filter.Listener, entries []filter.Entry) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errClosed
	}
	if err := check(list); err != nil {
		return err
	}
	if err := k.room(entries); err != nil {
		return err
	}
	next, taken := k.names.assign(list)
	for _, id := range taken {
		if err := k.forget(id); err != nil {
			return err
		}
	}
	made, err := compile(list, &next)
	if err != nil {
		return err
	}
	if err := k.putWaiting(&next, entries); err != nil {
		return err
	}
	if err := k.writeNames(&next); err != nil {
		return err
	}
	if err := k.force(made); err != nil {
		return err
	}
	departed := k.names.departed(&next)
	k.names = next
	for _, id := range departed {
		if err := k.forget(id); err != nil {
			return err
		}
	}
	return nil
}

// check refuses what the programs could not enforce.
func check(list []filter.Listener) error {
	if len(list) > filter.MaxListeners {
		return fmt.Errorf("kernel: %d listeners: at most %d", len(list), filter.MaxListeners)
	}
	seen, names := map[uint16]bool{}, map[string]bool{}
	for i := range list {
		l := &list[i]
		switch {
		case l.ID >= filter.MaxListeners || seen[l.ID]:
			return fmt.Errorf("kernel: listener %s: its ID %d is taken or too large", l.Name, l.ID)
		case l.Name == "" || len(l.Name) > nameLength || names[l.Name]:
			return fmt.Errorf("kernel: listener %q: its name is empty, taken or too long", l.Name)
		case !l.Address.IsValid() || l.Address.Port() == 0:
			return fmt.Errorf("kernel: listener %s: %s is no address with a port", l.Name, l.Address)
		case len(l.Patterns) > filter.MaxPatterns:
			return fmt.Errorf("kernel: listener %s: %d patterns: at most %d", l.Name, len(l.Patterns), filter.MaxPatterns)
		}
		for _, p := range l.Patterns {
			if p.Length > 8 || p.Offset > 24 {
				return fmt.Errorf("kernel: listener %s: a pattern of %d bytes at %d: at most 8 at 24", l.Name, p.Length, p.Offset)
			}
		}
		seen[l.ID], names[l.Name] = true, true
	}
	return nil
}

// compile makes the image of the listeners.
func compile(list []filter.Listener, names *ids) (*image, error) {
	made := &image{addresses: map[weftAddress]uint32{}, listeners: map[uint32]weftListener{}}
	// Those on every address of IPv6 are last: they take of IPv4 what is left.
	for _, last := range []bool{false, true} {
		for i := range list {
			l := &list[i]
			address := l.Address.Addr().Unmap()
			if (address.Is6() && address.IsUnspecified()) != last {
				continue
			}
			id := names.kernelOf[l.ID]
			made.listeners[uint32(id)] = compileListener(l, id)
			if !made.place(l, address, id) {
				return nil, fmt.Errorf("kernel: listener %s: another one is on %s", l.Name, l.Address)
			}
		}
	}
	return made, nil
}

// place notes where a listener is; false: another one is there.
func (m *image) place(l *filter.Listener, address netip.Addr, id uint16) bool {
	at := int(l.Network)<<16 | int(l.Address.Port())
	if m.ports.Group[at] == 0 {
		m.groups = append(m.groups, weftGroup{Any: [2]uint16{none, none}})
		m.ports.Group[at] = uint16(len(m.groups))
	}
	group := &m.groups[m.ports.Group[at]-1]
	family := family(address)
	if !address.IsUnspecified() {
		group.Specific = 1
		key := weftAddress{Port: l.Address.Port(), Network: uint8(l.Network), Family: family}
		copy(key.Address[:], address.AsSlice())
		_, taken := m.addresses[key]
		m.addresses[key] = uint32(id)
		return !taken
	}
	if group.Any[family] != none && (family == 0 || group.Any[family] != group.Any[0]) {
		return false
	}
	group.Any[family] = id
	if family == 1 && group.Any[0] == none {
		group.Any[0] = id
	}
	return true
}

// family is 0 for IPv4 and 1 for IPv6.
func family(address netip.Addr) uint8 {
	if address.Is4() {
		return 0
	}
	return 1
}

func compileListener(l *filter.Listener, id uint16) weftListener {
	made := weftListener{Id: id, Network: uint8(l.Network), Patterns: uint8(len(l.Patterns))}
	if l.Default == filter.Deny {
		made.Deny = 1
	}
	limit := l.Rate
	if l.Network == filter.TCP {
		limit = l.Connections
		made.Patterns = 0
	}
	if limit.Every > 0 {
		burst := uint64(max(limit.Burst, 1))
		every := uint64(limit.Every)
		// Far beyond any limit that bites, and far from an overflow.
		made.Every, made.Depth = every, min(every*burst, uint64(24*time.Hour))
		if made.Depth < every {
			made.Depth = every
		}
	}
	for i, p := range l.Patterns {
		to := &made.Pattern[i]
		to.Offset, to.Length, to.Minimum = uint16(p.Offset), uint16(p.Length), p.MinLength
		for j := range int(p.Length) {
			p.Value[j] &= p.Mask[j]
		}
		for j := int(p.Length); j < len(p.Mask); j++ {
			p.Mask[j], p.Value[j] = 0, 0
		}
		to.Mask, to.Value = binary.NativeEndian.Uint64(p.Mask[:]), binary.NativeEndian.Uint64(p.Value[:])
	}
	return made
}

// force writes the image into the slot that is not in force, and puts it in force.
func (k *Kernel) force(made *image) error {
	state := k.state
	slot := 1 - state.Slot&1
	if err := k.clearAddresses(slot); err != nil { // what a process left that died here
		return err
	}
	base := slot * filter.MaxListeners
	for i, group := range made.groups {
		if err := k.objects.Groups.Put(base+uint32(i), &group); err != nil {
			return fmt.Errorf("kernel: writing the listeners: %w", err)
		}
	}
	for id, listener := range made.listeners {
		if err := k.objects.Listeners.Put(base+id, &listener); err != nil {
			return fmt.Errorf("kernel: writing the listeners: %w", err)
		}
	}
	for key, id := range made.addresses {
		key.Slot = uint8(slot)
		if err := k.objects.Addresses.Put(&key, id); err != nil {
			return fmt.Errorf("kernel: writing the listeners: %w", err)
		}
	}
	if err := k.objects.Ports.Put(slot, &made.ports); err != nil {
		return fmt.Errorf("kernel: writing the listeners: %w", err)
	}
	state.Slot = slot
	if err := k.objects.State.Put(uint32(0), &state); err != nil {
		return fmt.Errorf("kernel: putting the listeners in force: %w", err)
	}
	k.state = state
	waitForReaders()
	return k.clearAddresses(1 - slot)
}

// clearAddresses removes what a slot that is not in force has in the table that both
// share.
func (k *Kernel) clearAddresses(slot uint32) error {
	var key weftAddress
	var id uint32
	var list []weftAddress
	all := k.objects.Addresses.Iterate()
	for all.Next(&key, &id) {
		if uint32(key.Slot) == slot {
			list = append(list, key)
		}
	}
	for i := range list {
		if err := k.objects.Addresses.Delete(&list[i]); err != nil && !isMissing(err) {
			return fmt.Errorf("kernel: removing listeners: %w", err)
		}
	}
	return nil
}

// waitForReaders returns when no program reads any more what was in force before: a
// global memory barrier waits for all sections that the programs run in.
func waitForReaders() {
	const global = 1 // MEMBARRIER_CMD_GLOBAL
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); errno != 0 {
		// Not on a kernel with processors that it never disturbs. A packet takes
		// microseconds.
		time.Sleep(10 * time.Millisecond)
	}
}

// recall finds out what an earlier process left in the maps.
func (k *Kernel) recall() error {
	k.names = newIDs()
	if err := k.objects.State.Lookup(uint32(0), &k.state); err != nil {
		return fmt.Errorf("kernel: reading the state: %w", err)
	}
	if err := k.setTick(); err != nil {
		return err
	}
	for id := range uint32(filter.MaxListeners) {
		var raw [nameLength]uint8
		if err := k.objects.Names.Lookup(id, &raw); err != nil {
			return fmt.Errorf("kernel: reading the listeners' names: %w", err)
		}
		if name := text(raw[:]); name != "" {
			k.names.set(uint16(id), uint16(id), name)
		}
	}
	return k.recallRules()
}

// setTick tells the programs how long a tick is: it is the resolution of the clock that
// goes by ticks.
func (k *Kernel) setTick() error {
	var tick unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &tick); err != nil {
		return fmt.Errorf("kernel: the length of a tick: %w", err)
	}
	if k.state.Tick == uint32(tick.Nano()) {
		return nil
	}
	k.state.Tick = uint32(tick.Nano())
	if err := k.objects.State.Put(uint32(0), &k.state); err != nil {
		return fmt.Errorf("kernel: the length of a tick: %w", err)
	}
	return nil
}

func text(raw []byte) string {
	for i, c := range raw {
		if c == 0 {
			return string(raw[:i])
		}
	}
	return string(raw)
}

// writeNames writes the names of those that come, before they are in force.
func (k *Kernel) writeNames(next *ids) error {
	for id, name := range next.name {
		if name != "" && k.names.name[id] != name {
			if err := k.writeName(uint32(id), name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k *Kernel) writeName(id uint32, name string) error {
	var raw [nameLength]uint8
	copy(raw[:], name)
	if err := k.objects.Names.Put(id, &raw); err != nil {
		return fmt.Errorf("kernel: writing the listeners' names: %w", err)
	}
	return nil
}

// forget removes what there is of a listener that is gone: its rules, its counts and
// its name.
func (k *Kernel) forget(id uint16) error {
	return errors.Join(k.dropRules(id), k.zeroCounts(id), k.writeName(uint32(id), ""))
}
