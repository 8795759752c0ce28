package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Capabilities by their numbers (capability.h).
var capabilities = []struct {
	name   string
	number uint
	why    string
}{
	{"CAP_NET_ADMIN", 12, "to attach to interfaces"},
	{"CAP_BPF", 39, "to load programs"},
	{"CAP_PERFMON", 38, "for programs that read packets"},
}

const capSysAdmin = 21 // stands for CAP_BPF and CAP_PERFMON

// effective are the capabilities of this process.
func effective() uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			bits, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return bits
		}
	}
	return 0
}

// missingCapabilities are the names of those that this process lacks.
func missingCapabilities() []string {
	have := effective()
	var list []string
	for _, c := range capabilities {
		if have>>c.number&1 == 0 && (c.name == "CAP_NET_ADMIN" || have>>capSysAdmin&1 == 0) {
			list = append(list, c.name)
		}
	}
	return list
}

// Probe tells what keeps Open with these options from working, or from working well.
// It loads the programs and lets go of them again; it attaches and mounts nothing.
func Probe(options Options) []Finding {
	if err := options.complete(); err != nil {
		return []Finding{{Fatal: true, What: err.Error(), Remedy: "correct the kernel block"}}
	}
	var list []Finding
	fatal := func(what, remedy string) { list = append(list, Finding{Fatal: true, What: what, Remedy: remedy}) }
	for _, name := range missingCapabilities() {
		for _, c := range capabilities {
			if c.name == name {
				fatal("the process lacks "+name+", "+c.why, "run weft as root, or grant it (systemd: AmbientCapabilities="+name+")")
			}
		}
	}
	if len(list) == 0 {
		list = append(list, probeLoad(&options)...)
	}
	list = append(list, probeInterfaces(&options)...)
	return append(list, probePin(&options)...)
}

// probeLoad loads the programs.
func probeLoad(options *Options) []Finding {
	_ = rlimit.RemoveMemlock()
	spec, err := options.specification()
	if err != nil {
		return []Finding{{Fatal: true, What: err.Error(), Remedy: "this is a defect of weft"}}
	}
	collection, err := ebpf.NewCollection(spec)
	if err == nil {
		collection.Close()
		return nil
	}
	if mode := lockdown(); errors.Is(err, os.ErrPermission) && mode != "" && mode != "none" {
		return []Finding{{Fatal: true, What: "the kernel is locked down (" + mode + "), which keeps out eBPF", Remedy: "boot without lockdown=confidentiality"}}
	}
	if errors.Is(err, os.ErrPermission) {
		return []Finding{{Fatal: true, What: "the kernel refuses eBPF: " + err.Error(), Remedy: "a container's seccomp profile must allow bpf(2)"}}
	}
	if errors.Is(err, unix.ENOSYS) {
		return []Finding{{Fatal: true, What: "this kernel was built without eBPF", Remedy: "use one with CONFIG_BPF_SYSCALL"}}
	}
	return []Finding{{Fatal: true, What: "the programs do not load on Linux " + release() + ": " + err.Error(), Remedy: "Linux 5.18 or later is needed"}}
}

// probeInterfaces looks for the interfaces.
func probeInterfaces(options *Options) []Finding {
	devs, err := devices()
	if err != nil {
		return []Finding{{Fatal: true, What: err.Error(), Remedy: "allow netlink sockets"}}
	}
	var list []Finding
	found := 0
	for _, name := range options.Interfaces {
		d, ok := lookup(devs, name)
		switch {
		case !ok:
			list = append(list, Finding{What: missing(devs, name), Remedy: "correct interfaces in the kernel block; weft attaches when one of this name appears"})
			continue
		case !d.ethernet && (options.Mode == Native || options.Mode == Generic):
			list = append(list, Finding{What: fmt.Sprintf("the packets of %s have no Ethernet header, which XDP needs", name), Remedy: "mode: tc, or auto"})
			continue
		case d.index > 0:
			found++
		}
	}
	if found == 0 {
		for i := range list {
			list[i].Fatal = true
		}
	}
	return append(list, probeTCX(options)...)
}

// probeTCX tells whether tcx is there, if it is what one asked for.
func probeTCX(options *Options) []Finding {
	if options.Mode != TC || len(missingCapabilities()) > 0 {
		return nil
	}
	if _, err := link.QueryPrograms(link.QueryOptions{Target: 1, Attach: ebpf.AttachTCXIngress}); isUnsupported(err) {
		return []Finding{{Fatal: true, What: "Linux " + release() + " has no tcx", Remedy: "Linux 6.6 or later; or mode: generic"}}
	}
	return nil
}

// probePin looks for the bpffs.
func probePin(options *Options) []Finding {
	if options.Pin == "" || onBPFFS(options.Pin) {
		return nil
	}
	point := mountPoint(options.Pin)
	remedy := "mount -t bpf bpf " + point
	if effective()>>capSysAdmin&1 == 1 {
		return []Finding{{What: "no bpffs at " + point + " yet: weft will mount it", Remedy: remedy}}
	}
	return []Finding{{Fatal: true, What: "no bpffs at " + filepath.Clean(options.Pin) + ", and mounting it needs CAP_SYS_ADMIN", Remedy: remedy + " as root, or pin: \"\""}}
}

// lockdown is the kernel's mode of lockdown; empty if it has none.
func lockdown() string {
	text, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), "[")
	mode, _, _ := strings.Cut(rest, "]")
	return mode
}

func release() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "?"
	}
	return unix.ByteSliceToString(name.Release[:])
}

func isBusy(err error) bool { return errors.Is(err, unix.EBUSY) }

func isMissing(err error) bool { return errors.Is(err, ebpf.ErrKeyNotExist) }

func isUnsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported)
}
