package server

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinkDepth bounds how many interfaces are looked at on top of each other; the kernel's
// programs look behind as many tags.
const maxLinkDepth = 3

// coverage tells which datagrams the kernel has looked at, each. It is never changed.
type coverage struct {
	links []int
	local map[netip.Addr]struct{} // addresses of this machine
}

// newCoverage is that of programs on the named interfaces.
func newCoverage(names []string) *coverage {
	c := &coverage{links: covering(names), local: map[netip.Addr]struct{}{}}
	if len(c.links) == 0 {
		return c
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil { // who is local cannot be told
		return &coverage{}
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			c.local[p.Addr().Unmap().WithZone("")] = struct{}{}
		}
	}
	return c
}

// has tells whether the kernel has looked at a datagram of the source that came by the
// link. What this machine sends to an address of its own goes over loopback, past the
// programs, and is said to have come by the interface that has the address.
func (c *coverage) has(link int, source netip.Addr) bool {
	if !slices.Contains(c.links, link) {
		return false
	}
	_, local := c.local[source.Unmap().WithZone("")]
	return !local
}

// covering are the indices of the named interfaces, and of those above them all of whose
// packets have come by the named ones: a VLAN, and a bond or a bridge that has no other
// port. What comes out of a tunnel the kernel's programs have not seen.
func covering(names []string) []int {
	names = slices.Clone(names)
	links := []int{}
	for depth, from := 0, 0; depth <= maxLinkDepth && from < len(names); depth++ {
		until := len(names)
		for _, name := range names[from:until] {
			link, err := net.InterfaceByName(name)
			if err != nil {
				continue
			}
			links = append(links, link.Index)
			for _, upper := range linked(name, "upper_") {
				if !slices.Contains(names, upper) && passesOn(upper) && containsAll(names, linked(upper, "lower_")) {
					names = append(names, upper)
				}
			}
		}
		from = until
	}
	return links
}

// passesOn tells whether an interface gives on the packets of those below it as they are.
func passesOn(name string) bool {
	text, _ := os.ReadFile(filepath.Join(linkFolder(name), "uevent"))
	for line := range strings.Lines(string(text)) {
		switch strings.TrimSpace(line) {
		case "DEVTYPE=vlan", "DEVTYPE=bridge", "DEVTYPE=bond":
			return true
		}
	}
	return false
}

// linked are the interfaces that the kernel lists above ("upper_") or below ("lower_") one.
func linked(name, prefix string) (list []string) {
	all, _ := filepath.Glob(filepath.Join(linkFolder(name), prefix+"*")) //nolint:forbidigo // a fixed folder of the system
	for _, path := range all {
		list = append(list, strings.TrimPrefix(filepath.Base(path), prefix))
	}
	return list
}

func linkFolder(name string) string { return filepath.Join("/sys/class/net", name) }

func containsAll(list, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(list, w) })
}
