package kernel

import "github.com/weftrun/weft/runtime/filter"

// ids says which listener is which in the kernel. There a listener keeps its
// identifier for as long as it has its name, across processes; the policy's own IDs
// may change with each process.
type ids struct {
	name     [filter.MaxListeners]string // by identifier in the kernel; empty: free
	kernelOf map[uint16]uint16           // by ID of the policy
	policyOf map[uint16]uint16           // by identifier in the kernel
}

func newIDs() ids {
	return ids{kernelOf: map[uint16]uint16{}, policyOf: map[uint16]uint16{}}
}

func (n *ids) count() int { return len(n.kernelOf) }

// assign gives every listener an identifier: the one that it has, or a free one. When
// none is free, one is taken from a listener that goes: taken are those, which have to
// be forgotten first.
func (n *ids) assign(list []filter.Listener) (next ids, taken []uint16) {
	next = newIDs()
	byName := map[string]uint16{}
	for id, name := range n.name {
		if name != "" {
			byName[name] = uint16(id)
		}
	}
	for i := range list {
		if id, ok := byName[list[i].Name]; ok {
			next.set(list[i].ID, id, list[i].Name)
		}
	}
	for i := range list {
		if _, ok := next.kernelOf[list[i].ID]; ok {
			continue
		}
		id, ok := next.free(&n.name)
		if !ok {
			id, _ = next.free(&next.name)
			taken = append(taken, id)
		}
		next.set(list[i].ID, id, list[i].Name)
	}
	return next, taken
}

func (n *ids) set(policy, kernel uint16, name string) {
	n.name[kernel] = name
	n.kernelOf[policy] = kernel
	n.policyOf[kernel] = policy
}

// free finds an identifier that neither n nor used has.
func (n *ids) free(used *[filter.MaxListeners]string) (uint16, bool) {
	for id, name := range used {
		if name == "" && n.name[id] == "" {
			return uint16(id), true
		}
	}
	return 0, false
}

// departed are the identifiers whose listeners are not among the next.
func (n *ids) departed(next *ids) []uint16 {
	var list []uint16
	for id, name := range n.name {
		if name != "" && next.name[id] == "" {
			list = append(list, uint16(id))
		}
	}
	return list
}
