package kernel

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/weftrun/weft/runtime/filter"
)

// bare is a program that does nothing.
func bare(t testing.TB) *ebpf.Program {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program
}

// xdpFilter is the program of xdp-tools' xdp-filter with a port and an address that it
// denies, if it is installed.
func xdpFilter(t *testing.T) *ebpf.Program {
	t.Helper()
	if _, err := exec.LookPath("xdp-filter"); err != nil {
		t.Log("LEFT OUT: xdp-filter (xdp-tools) is not here")
		return nil
	}
	// Not seen by anybody else: the mounts are this process's own.
	if err := unix.Mount("bpf", bpffsRoot, "bpf", 0, ""); err != nil {
		t.Log("LEFT OUT: xdp-filter:", err)
		return nil
	}
	for _, arguments := range [][]string{
		{"load", "-m", "skb", "-p", "allow", "near"}, {"port", "-m", "dst", "-p", "udp", "99"}, {"ip", "-m", "src", "198.51.100.99"},
	} {
		if output, err := exec.Command("xdp-filter", arguments...).CombinedOutput(); err != nil {
			t.Logf("LEFT OUT: xdp-filter %s: %v: %s", strings.Join(arguments, " "), err, output)
			return nil
		}
	}
	t.Cleanup(func() { _ = exec.Command("xdp-filter", "unload", "--all").Run() })
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if err != nil {
			t.Log("LEFT OUT: the program of xdp-filter is not to be found")
			return nil
		}
		id = next
		program, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue
		}
		if info, err := program.Info(); err == nil && strings.HasPrefix(info.Name, "xdpfilt") {
			t.Cleanup(func() { program.Close() })
			return program
		}
		program.Close()
	}
}

// TestCost measures what a packet costs, beside a program that does nothing and beside
// xdp-filter, by turns in one run. The kernel's test run repeats one packet.
func TestCost(t *testing.T) {
	if !testing.Verbose() {
		t.Skip("a measurement: run it with -v")
	}
	if !alone(t) {
		return
	}
	cable(t, 1500)
	k := loaded(t, Options{})
	listeners := example.listeners()
	listeners[anyUDP].Rate = filter.Limit{Every: 1, Burst: 1 << 30}
	listeners[oneUDP].Rate = listeners[anyUDP].Rate
	if err := k.ListenersWith(listeners, entries(time.Now().Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	var thousand []filter.Entry
	for i := range 1000 {
		address := netip.AddrFrom4([4]byte{100, byte(i >> 4), byte(i << 4), byte(i)})
		thousand = append(thousand, filter.Entry{Listener: anyUDP, Prefix: netip.PrefixFrom(address, 32), Action: filter.Deny, Reason: filter.Blocked})
	}
	if err := k.Put(thousand); err != nil {
		t.Fatal(err)
	}
	type way struct {
		name    string
		program *ebpf.Program
		frame   []byte
		times   []time.Duration
	}
	row := func(name string) []byte {
		for _, v := range example.table() {
			if v.name == name {
				return v.frame()
			}
		}
		t.Fatalf("no row %q", name)
		return nil
	}
	xdp := k.objects.WeftXdp
	ways := []*way{
		{name: "bare pass", program: bare(t), frame: row("good")},
		{name: "foreign port", program: xdp, frame: row("other port")},
		{name: "foreign port, IPv6", program: xdp, frame: row("bound elsewhere, IPv6")},
		{name: "deny", program: xdp, frame: row("denied")},
		{name: "deny, TCP", program: xdp, frame: row("denied data")},
		{name: "deny, IPv6", program: xdp, frame: row("denied, IPv6")},
		{name: "deny by default", program: xdp, frame: row("default deny")},
		{name: "malformed", program: xdp, frame: row("wrong magic")},
		{name: "pass, nothing to check (TCP data)", program: xdp, frame: row("its data goes on")},
		{name: "pass, rules and rate", program: xdp, frame: row("bound")},
		{name: "pass, rules, first bytes and rate", program: xdp, frame: row("good")},
	}
	if other := xdpFilter(t); other != nil {
		denied := packet{network: filter.UDP, from: netip.MustParseAddrPort("198.51.100.99:4000"), to: netip.MustParseAddrPort("192.0.2.1:5683"), payload: "MC345678"}
		ways = append(ways, &way{name: "xdp-filter, pass", program: other, frame: row("good")},
			&way{name: "xdp-filter, deny", program: other, frame: denied.frame()})
	}
	for range 60 {
		for _, w := range ways {
			_, each, err := w.program.Benchmark(w.frame, 5000, nil)
			if err != nil {
				t.Fatal(w.name, err)
			}
			w.times = append(w.times, each)
		}
	}
	for _, w := range ways {
		slices.Sort(w.times)
	}
	median := func(w *way) float64 { return float64(w.times[len(w.times)/2]) }
	for _, w := range ways {
		t.Logf("%-36s %4.0f ns median, %4d ns least, %.2f times bare", w.name, median(w), w.times[0].Nanoseconds(), median(w)/median(ways[0]))
	}
}
