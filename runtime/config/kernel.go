package config

import (
	"path"
	"strconv"
	"strings"
)

// Kernel is about the fast path: what listeners' filters forbid is dropped by the Linux
// kernel, before it reaches weft. Where the kernel cannot, weft does it alone.
type Kernel struct {
	// Interfaces are the network interfaces on which it is done, such as eth0.
	Interfaces []string `koanf:"interfaces" yaml:"interfaces" required:"true"`
	// Mode is how: native and generic are XDP in the interface's driver and behind it,
	// tc is later, where every interface has it. auto is the first that works.
	Mode string `koanf:"mode" yaml:"mode" default:"auto" enum:"auto,native,generic,tc"`
	// Pin is the folder in a bpffs where rules and counters are kept for the next
	// process. Empty: they end with this one.
	Pin string `koanf:"pin" yaml:"pin" default:"/sys/fs/bpf/weft"`
	// Keep leaves the fast path in force when weft ends, so that there is no gap until
	// it is started again. "weft fastpath detach" ends it.
	Keep bool `koanf:"keep" yaml:"keep" default:"true"`
	// Sources is how many sources' rates are remembered at once; the one that was
	// silent for the longest time makes room.
	Sources int `koanf:"sources" yaml:"sources" default:"65536" min:"1024" max:"4194304"`
	// Entries is how many rules there may be, each listener's counted for itself.
	Entries int `koanf:"entries" yaml:"entries" default:"65536" min:"1024" max:"1048576"`
	// Steer leads everything from one source address to the same loop, whatever its
	// port: for plugins that keep state by source in each instance. It needs no
	// privilege. Where a few sources send most, it leaves processors idle.
	Steer bool `koanf:"steer" yaml:"steer" default:"false"`
	// Statistics lets the kernel measure what the fast path costs a packet, which
	// itself costs a little.
	Statistics bool `koanf:"statistics" yaml:"statistics" default:"false"`
}

// DefaultEntries is Kernel.Entries, and the bound of the rules of a process without the
// fast path.
const DefaultEntries = 65536

// kernel checks the block.
func (k *checker) kernel() {
	f := k.c.Kernel
	if f == nil {
		return
	}
	seen := map[string]bool{}
	for i, name := range f.Interfaces {
		at := "kernel.interfaces." + strconv.Itoa(i)
		switch {
		case name == "" || len(name) > 15 || strings.ContainsAny(name, "/ \t\n"):
			k.add(at, Problem{Cause: "not an interface", Value: show(name), Expected: "a name such as eth0, as \"ip link\" shows them"})
		case seen[name]:
			k.add(at, Problem{Cause: "listed twice", Value: name, Fix: "remove one"})
		}
		seen[name] = true
	}
	if f.Interfaces != nil && len(f.Interfaces) == 0 {
		k.add("kernel.interfaces", Problem{Cause: "missing value", Expected: "at least one interface, such as eth0", Fix: "remove the kernel block for no fast path"})
	}
	if f.Pin != "" && (!path.IsAbs(f.Pin) || path.Clean(f.Pin) != f.Pin || f.Pin == "/") {
		k.add("kernel.pin", Problem{Cause: "not a folder in a bpffs", Value: show(f.Pin), Expected: "an absolute path such as /sys/fs/bpf/weft"})
	}
}
