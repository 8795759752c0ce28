// Package kernel enforces the policy of package filter before a byte reaches user
// space: by an eBPF program under XDP or, where an interface refuses that, under tcx.
// Only packets for weft's own listeners are ever touched; everything else passes at
// once.
//
// What passes whatever a rule says, because the programs cannot tell whose it is:
// fragments behind the first (without the first, nothing becomes of them), IPv6
// packets with more than eight extension headers, more than two VLAN tags, and what
// is inside of a tunnel (attach to the tunnel's interface for that). A listener on an
// unspecified address is meant whatever the destination is, so a machine that
// forwards packets filters those that it forwards to the same port, too.
//
// Needed are Linux 5.18 (6.6 for tcx) and the capabilities BPF, NET_ADMIN and
// PERFMON; BTF of the kernel is not. Without them everything returns ErrUnavailable,
// and Probe says what is missing. The objects of bpf/ are committed; go generate
// makes them again.
package kernel

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/weftrun/weft/runtime/filter"
)

// ErrUnavailable is what everything of this package returns where eBPF cannot run.
// The errors that wrap it say why and what helps.
var ErrUnavailable = errors.New("the kernel fast path is not available")

// ErrFull is returned by Put when there is no room for more entries; nothing of the
// call was put then.
var ErrFull = errors.New("no room for more entries in the kernel")

// How a program is attached to an interface.
const (
	// Auto is Native where the driver has it, else Generic, else TC.
	Auto = "auto"
	// Native is XDP in the driver.
	Native = "native"
	// Generic is XDP in the kernel's network stack.
	Generic = "generic"
	// TC is the ingress of tcx.
	TC = "tc"
)

// Defaults and limits of Options.
const (
	DefaultPin     = "/sys/fs/bpf/weft"
	DefaultSources = 65536
	DefaultEntries = 65536
	MaxSources     = 1 << 22
	MaxEntries     = 1 << 20
)

// Options is what Open and Probe are told.
type Options struct {
	// Interfaces are the names of those to attach to; at least one.
	Interfaces []string
	// Mode is Auto (also if empty), Native, Generic or TC.
	Mode string
	// Pin is a folder on a bpffs, or where one can be mounted. With it rules,
	// counters and programs outlive the process, and go on working while it is away.
	// Empty: they end with it.
	Pin string
	// Sources is how many sources' rates are kept; beyond, the kernel forgets who
	// was not heard of for long, so that a flood of made-up sources costs neither
	// memory nor anybody's rate. 0 is DefaultSources.
	Sources int
	// Entries is how many entries there may be of each address family. 0 is
	// DefaultEntries.
	Entries int
	// Stats has the kernel measure what the programs cost (about 20 ns a packet
	// more), for all programs of the machine.
	Stats bool
	// Logger is where changes of interfaces go; nil is none.
	Logger *slog.Logger
}

// Attachment is one interface.
type Attachment struct {
	Interface string
	Index     int    // 0: there is none of this name
	Mode      string // Native, Generic or TC; empty: not attached
	Pinned    bool
	// Whole is whether each datagram is seen by itself: in mode Native. Behind the
	// others the kernel may have put several of one source together, since the engine
	// asks for that (UDP_GRO). Rules hold then all the same; but only the first one's
	// first bytes are looked at, and Generic takes them for one when it counts. First
	// bytes and rates belong into user space there, too.
	Whole bool
	// Problem is why it is not attached, or not in the mode that comes first.
	Problem string
}

// Status is how things stand.
type Status struct {
	Interfaces []Attachment
	// Pin is the folder; empty if nothing is pinned.
	Pin string
	// Listeners is how many are enforced.
	Listeners int
	// Entries is how many there are, expired ones included; EntriesLimit how many
	// there may be of each family.
	Entries, EntriesLimit int
	// SourcesLimit is how many sources' rates are kept.
	SourcesLimit int
	// Packets is how often the programs ran and Cost what a packet cost them, since
	// this process loaded them; zero without Options.Stats.
	Packets uint64
	Cost    time.Duration
}

// Event is a packet that was dropped: a sample. Each processor sends at most a
// hundred a second for a listener.
type Event struct {
	Listener uint16
	Reason   filter.Reason
	Source   netip.AddrPort
	// Weight is how many packets this sample stands for: those that its processor
	// dropped for the listener since its sample before, this one included.
	Weight uint64
}

// Finding is what Probe found: something that keeps the fast path from working, or
// from working at its best.
type Finding struct {
	// Fatal is whether Open would fail.
	Fatal bool
	// What was found, and what helps.
	What, Remedy string
}
