package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/weftrun/weft/runtime/filter"
)

// TestRestart closes and opens again while denied packets flow: none passes, rules and
// counters stay, and the new process may have other IDs and other sizes.
func TestRestart(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, mode := range []string{Native, Generic, TC} {
		t.Run(mode, func(t *testing.T) { restart(t, mode) })
	}
}

func restart(t *testing.T, mode string) {
	f := cable(t, 1500)
	defer ip(t, "link", "del", "near")
	pin := pinFolder(t)
	socket := receiver(t, near4+":7000")
	options := Options{Mode: mode, Pin: pin, Entries: 1000}
	k := open(t, options)
	first := filter.Listener{ID: 4, Name: "in", Network: filter.UDP, Address: netip.MustParseAddrPort(near4 + ":7000")}
	until := time.Now().Add(time.Hour)
	denied := netip.MustParsePrefix("10.7.0.66/32")
	if err := k.ListenersWith([]filter.Listener{first}, []filter.Entry{
		{Listener: 4, Prefix: denied, Action: filter.Deny, Reason: filter.Blocked, Until: until, Author: filter.ByOperator},
	}); err != nil {
		t.Fatal(err)
	}
	stop, sent := flood(t, f, "10.7.0.66:4000", near4+":7000")
	var last uint64
	for round := range 8 {
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		options.Entries = 1000 + round%3 // some rounds with maps of another size
		k = open(t, options)
		if status := k.Status(); !status.Interfaces[0].Pinned || status.Interfaces[0].Mode != mode {
			t.Fatalf("%+v", status)
		}
		listeners, kept, err := k.Kept()
		at := slices.IndexFunc(listeners, func(l filter.Listener) bool { return l.Name == "in" })
		if err != nil || at < 0 || len(kept) != 1 {
			t.Fatal(listeners, kept, err)
		}
		if e := kept[0]; e.Prefix != denied || e.Reason != filter.Blocked || e.Author != filter.ByOperator ||
			e.Until.Sub(until).Abs() > 5*time.Second || e.Listener != listeners[at].ID {
			t.Fatalf("kept %+v", e)
		}
		renamed := first
		renamed.ID = uint16(10 + round)
		if err := k.Listeners([]filter.Listener{renamed, {ID: 99, Name: "other", Network: filter.UDP, Address: netip.MustParseAddrPort("[::]:7001")}}); err != nil {
			t.Fatal(err)
		}
		count := waitCount(t, k, renamed.ID, filter.Blocked, last+1)
		last = count.Packets[filter.Blocked]
	}
	stop()
	total := waitCount(t, k, 17, filter.Blocked, *sent)
	if total.Packets[filter.Blocked] != *sent || total.Packets[filter.Pass] != 0 {
		t.Errorf("sent %d, counted %+v", *sent, total.Packets)
	}
	send(t, f, socket, "the first to arrive")
	if got := read(t, socket); got != "the first to arrive" {
		t.Errorf("a packet that a rule forbids arrived: %q", got)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Detach(pin); err != nil {
		t.Fatal(err)
	}
	if err := Detach(pin); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is gone is detached again: %v", err)
	}
	if onBPFFS(pin) {
		t.Error("the mount is still there")
	}
	sendFrom(t, f, "10.7.0.66:4000", near4+":7000", "after")
	if got := read(t, socket); got != "after" {
		t.Errorf("%q", got)
	}
	socket.Close()
}

// flood sends the same datagram until it is stopped.
func flood(t *testing.T, f *far, from, to string) (stop func(), sent *uint64) {
	t.Helper()
	near, err := net.InterfaceByName("near")
	if err != nil {
		t.Fatal(err)
	}
	p := packet{network: filter.UDP, from: netip.MustParseAddrPort(from), to: netip.MustParseAddrPort(to), payload: "flood"}
	copy(p.hardware[:], near.HardwareAddr)
	frame, wire := p.frame(), tap(t, f)
	sent = new(uint64)
	done := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := unix.Sendto(wire.descriptor, frame, 0, &wire.to); err == unix.ENOBUFS {
				continue // not sent: the cable's queue is full
			} else if err != nil {
				t.Error(err)
				return
			}
			*sent++
			time.Sleep(20 * time.Microsecond) // the other tests want to run, too
		}
	})
	stop = sync.OnceFunc(func() { close(done); sender.Wait() })
	t.Cleanup(stop)
	return stop, sent
}

func sendFrom(t *testing.T, f *far, from, to, payload string) {
	t.Helper()
	near, err := net.InterfaceByName("near")
	if err != nil {
		t.Fatal(err)
	}
	p := packet{network: filter.UDP, from: netip.MustParseAddrPort(from), to: netip.MustParseAddrPort(to), payload: payload}
	copy(p.hardware[:], near.HardwareAddr)
	tap(t, f).send(t, p.frame())
}

// waitCount waits until a counter is at least as high.
func waitCount(t *testing.T, k *Kernel, listener uint16, reason filter.Reason, least uint64) filter.Count {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		c := counted(t, k)[listener]
		if c.Packets[reason] >= least {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("listener %d: %s: %d, not %d", listener, reason, c.Packets[reason], least)
		}
	}
}

// TestSwap replaces the listeners over and over while denied packets flow: none passes.
// A listener that goes takes its rules and counts along.
func TestSwap(t *testing.T) {
	if !alone(t) {
		return
	}
	f := cable(t, 1500)
	k := open(t, Options{})
	socket := receiver(t, near4+":7000")
	in := filter.Listener{ID: 1, Name: "in", Network: filter.UDP, Address: netip.MustParseAddrPort(near4 + ":7000")}
	deny := filter.Entry{Listener: 1, Prefix: netip.MustParsePrefix("10.7.0.66/32"), Action: filter.Deny, Reason: filter.Denied}
	if err := k.ListenersWith([]filter.Listener{in}, []filter.Entry{deny}); err != nil {
		t.Fatal(err)
	}
	stop, sent := flood(t, f, "10.7.0.66:4000", near4+":7000")
	for i := range 100 {
		list := []filter.Listener{in}
		for j := range i % 7 {
			list = slices.Insert(list, 0, filter.Listener{ID: uint16(20 + j), Name: fmt.Sprint("other ", i+j), Network: filter.UDP,
				Address: netip.AddrPortFrom(netip.MustParseAddr("10.9.9.9"), uint16(7000+j))})
		}
		if err := k.Listeners(list[max(0, i%7-6):]); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	c := waitCount(t, k, 1, filter.Denied, *sent)
	if c.Packets[filter.Denied] != *sent || c.Packets[filter.Pass] != 0 {
		t.Errorf("sent %d, counted %+v", *sent, c.Packets)
	}
	// Another listener under the same ID has nothing of the first.
	in.Name = "another"
	if err := k.Listeners([]filter.Listener{in}); err != nil {
		t.Fatal(err)
	}
	if c := counted(t, k)[1]; c.Packets[filter.Denied] != 0 || k.Status().Entries != 0 {
		t.Errorf("the new listener has %+v and %d entries", c.Packets, k.Status().Entries)
	}
	sendFrom(t, f, "10.7.0.66:4000", near4+":7000", "passes now")
	if got := read(t, socket); got != "passes now" {
		t.Errorf("%q", got)
	}
}

// TestInterfaceComesBack takes an interface away and gives it back.
func TestInterfaceComesBack(t *testing.T) {
	if !alone(t) {
		return
	}
	cable(t, 1500)
	ip(t, "link", "add", "second", "type", "veth", "peer", "name", "second1")
	k := open(t, Options{Interfaces: []string{"near", "second", "naer"}, Pin: pinFolder(t)})
	status := k.Status()
	if status.Interfaces[1].Mode == "" || status.Interfaces[2].Mode != "" || !strings.Contains(status.Interfaces[2].Problem, `did you mean "near"`) {
		t.Fatalf("%+v", status.Interfaces)
	}
	ip(t, "link", "del", "second")
	k.look()
	if status := k.Status(); status.Interfaces[1].Mode != "" || status.Interfaces[1].Problem == "" || status.Interfaces[0].Mode != Native {
		t.Fatalf("%+v", status.Interfaces)
	}
	ip(t, "link", "add", "second", "type", "veth", "peer", "name", "second1")
	k.look()
	status = k.Status()
	if status.Interfaces[1].Mode != Native || !status.Interfaces[1].Pinned {
		t.Fatalf("%+v", status.Interfaces)
	}
	files, err := os.ReadDir(linksFolder(status.Pin))
	if err != nil || len(files) != 2 {
		t.Errorf("pinned: %v, %v", files, err)
	}
}

// TestEvents drops packets and hears of them: not of each, but of how many there were.
func TestEvents(t *testing.T) {
	k := loaded(t, Options{})
	policy(t, k, example)
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan Event, 16)
	done := make(chan error, 1)
	go func() { done <- k.Events(ctx, func(e Event) { events <- e }) }()
	dropped, told := uint64(0), uint64(0)
	for _, v := range example.table() {
		if v.name != "denied" && v.name != "blocked, IPv6" {
			continue
		}
		rest := untold(t, k)
		for former, end := rest, time.Now().Add(30*time.Second); rest >= former; { // until what was untold is told
			if _, err := run(t, k.objects.WeftXdp, v.frame(), 0); err != nil {
				t.Fatal(err)
			}
			dropped++
			former, rest = rest, untold(t, k)
			if time.Now().After(end) {
				t.Fatalf("%s: of %d packets, %d stay untold", v.name, dropped, rest)
			}
		}
		for told < dropped-rest {
			select {
			case e := <-events:
				if e.Listener != v.listener || e.Reason != v.want || e.Source != v.from || e.Weight == 0 {
					t.Errorf("%s: %+v", v.name, e)
				}
				told += e.Weight
			case <-time.After(30 * time.Second):
				t.Fatalf("%s: of %d packets, %d stay untold and %d were told", v.name, dropped, rest, told)
			}
		}
		if told != dropped-rest {
			t.Errorf("%s: of %d packets, %d stay untold and %d were told", v.name, dropped, rest, told)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// untold is how many dropped packets no event has told of yet.
func untold(t *testing.T, k *Kernel) (sum uint64) {
	t.Helper()
	var each []weftCounter
	for id := range k.names.policyOf {
		if err := k.objects.Counters.Lookup(uint32(id), &each); err != nil {
			t.Fatal(err)
		}
		for i := range each {
			sum += each[i].Since
		}
	}
	return sum
}

// TestRoom fills the table of entries.
func TestRoom(t *testing.T) {
	k := loaded(t, Options{Entries: 10})
	if err := k.Listeners(example.listeners()); err != nil {
		t.Fatal(err)
	}
	entry := func(i int) filter.Entry {
		return filter.Entry{Listener: anyUDP, Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32), Action: filter.Deny}
	}
	var list []filter.Entry
	for i := range 11 {
		list = append(list, entry(i))
	}
	if err := k.Put(list); !errors.Is(err, ErrFull) || k.Status().Entries != 0 {
		t.Fatalf("%v, %d entries", err, k.Status().Entries)
	}
	if err := k.Put(list[:10]); err != nil {
		t.Fatal(err)
	}
	if err := k.Put(list[:10]); err != nil { // the same again
		t.Fatal(err)
	}
	if err := k.Put(list[10:]); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if err := k.Delete(append(list[:3:3], entry(200))); err != nil {
		t.Fatal(err)
	}
	if err := k.Put(list[8:]); err != nil || k.Status().Entries != 8 {
		t.Fatal(err, k.Status().Entries)
	}
	// The trie has its inner nodes beyond what counts as an entry.
	if n := rulesIn(t, k.objects.Rules4); n != 8 {
		t.Errorf("%d rules in the kernel", n)
	}
}

func rulesIn(t *testing.T, trie *ebpf.Map) int {
	t.Helper()
	n := 0
	var key weftKey4
	var value weftRule
	all := trie.Iterate()
	for all.Next(&key, &value) {
		n++
	}
	if err := all.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDetachNothing detaches what was never there.
func TestDetachNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "nothing")
	for _, nothing := range []string{folder, t.TempDir()} {
		if err := Detach(nothing); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", nothing, err)
		}
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it was made")
	}
}
