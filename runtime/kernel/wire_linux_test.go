package kernel

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/weftrun/weft/runtime/filter"
)

// cableEnds is the machine of the tests on a cable.
var cableEnds = here{near4: near4, far4: far4, near6: near6, far6: far6}

// TestWire is the table as frames on a cable, in each mode and with jumbo frames.
func TestWire(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, mtu := range []int{1500, 9000} {
		for _, mode := range []string{Native, Generic, TC} {
			t.Run(fmt.Sprintf("%s %d", mode, mtu), func(t *testing.T) {
				f := cable(t, mtu)
				defer ip(t, "link", "del", "near")
				k := open(t, Options{Mode: mode})
				if attached := k.Status().Interfaces[0]; attached.Mode != mode {
					t.Fatalf("%+v", attached)
				}
				policy(t, k, cableEnds)
				rows := cableEnds.table()
				if mode == TC { // the kernel has taken the first of three tags off
					rows = slices.DeleteFunc(rows, func(v verdict) bool { return len(v.tags) > 2 })
				}
				if mtu == 9000 {
					rows = append(rows, cableEnds.jumbo(8800)...)
				}
				onWire(t, f, k, rows)
				if err := k.Close(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// onWire sends each row, and behind it a fence: a datagram whose arrival says that the
// row has been judged.
func onWire(t *testing.T, f *far, k *Kernel, rows []verdict) {
	t.Helper()
	socket := receiver(t, near4+":7000")
	near, err := net.InterfaceByName("near")
	if err != nil {
		t.Fatal(err)
	}
	defer oneProcessor(t)()
	wire := tap(t, f)
	fence := packet{network: filter.UDP, from: netip.MustParseAddrPort(far4 + ":4999"), to: netip.MustParseAddrPort(near4 + ":7000")}
	copy(fence.hardware[:], near.HardwareAddr)
	for i := range rows {
		v := &rows[i]
		copy(v.hardware[:], near.HardwareAddr)
		before := counted(t, k)
		wire.send(t, v.frame())
		fence.payload = "fence " + v.name
		wire.send(t, fence.frame())
		arrived := false
		for {
			got := read(t, socket)
			if got == fence.payload {
				break
			}
			arrived = true
		}
		if want := v.listener == oneUDP && v.want == filter.Pass && v.name == "bound"; arrived != want {
			t.Errorf("%s: arrived: %v", v.name, arrived)
		}
		c := before[oneUDP]
		c.Packets[filter.Pass]++
		before[oneUDP] = c
		v.expect(t, before, counted(t, k))
	}
}

// oneProcessor keeps the goroutine to one processor until it is set free: what it sends
// stays in order, as the packets that each processor has sent wait in a queue of its own.
func oneProcessor(t *testing.T) (free func()) {
	t.Helper()
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	first := 0
	for !all.IsSet(first) {
		first++
	}
	one.Set(first)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.SchedSetaffinity(0, &all); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	}
}

// raw is a packet socket at the far end.
type raw struct {
	descriptor int
	to         unix.SockaddrLinklayer
}

func tap(t *testing.T, f *far) *raw {
	t.Helper()
	w := &raw{}
	var err error
	f.do(func() {
		var distant *net.Interface
		if distant, err = net.InterfaceByName("distant"); err != nil {
			return
		}
		w.to.Ifindex = distant.Index
		w.descriptor, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(w.descriptor) })
	return w
}

func (w *raw) send(t *testing.T, frame []byte) {
	t.Helper()
	err := unix.Sendto(w.descriptor, frame, 0, &w.to)
	for end := time.Now().Add(10 * time.Second); err == unix.ENOBUFS && time.Now().Before(end); {
		// The cable's queue is full: the packet was not sent (packet(7)).
		time.Sleep(100 * time.Microsecond)
		err = unix.Sendto(w.descriptor, frame, 0, &w.to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestTunnel is the table on an interface whose packets begin with IP.
func TestTunnel(t *testing.T) {
	if !alone(t) {
		return
	}
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		leaveOut(t, err.Error())
	}
	defer tun.Close()
	request := struct {
		name  [16]byte
		flags uint16
		zero  [22]byte
	}{name: [16]byte{'t', 'u', 'b', 'e'}, flags: unix.IFF_TUN | unix.IFF_NO_PI}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, tun.Fd(), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request))); errno != 0 {
		t.Fatal(errno)
	}
	ip(t, "link", "set", "tube", "up")
	k := open(t, Options{Interfaces: []string{"tube"}})
	if attached := k.Status().Interfaces[0]; attached.Mode != TC {
		t.Fatalf("%+v", attached)
	}
	policy(t, k, example)
	for _, v := range example.table() {
		if len(v.tags) > 0 || v.etherType != 0 || v.cut != 0 {
			continue
		}
		before := counted(t, k)
		if _, err := tun.Write(v.frame()[14:]); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		v.expect(t, before, counted(t, k)) // a write to it has gone through the hook
	}
}

// TestExact counts a million packets: what was sent is what was received and what was
// dropped, and the kernel's counters say so.
func TestExact(t *testing.T) {
	if !alone(t) {
		return
	}
	f := cable(t, 1500)
	exact(t, f, Native, 1_000_000)
	exact(t, f, Generic, 100_000)
	exact(t, f, TC, 100_000)
}

func exact(t *testing.T, f *far, mode string, count int) {
	t.Helper()
	const portion = 12800
	k := open(t, Options{Mode: mode})
	defer k.Close()
	socket := receiver(t, near4+":0")
	if err := unixBuffer(socket, 32<<20); err != nil {
		t.Fatal(err)
	}
	to := socket.LocalAddr().(*net.UDPAddr).AddrPort()
	listener := filter.Listener{ID: 1, Name: "exact", Network: filter.UDP, Address: to,
		Patterns: []filter.Pattern{{Length: 2, MinLength: 8, Mask: [8]byte{255, 255}, Value: [8]byte{'M', 'C'}}},
		Rate:     filter.Limit{Every: 20 * time.Millisecond, Burst: 100}}
	rules := []filter.Entry{{Listener: 1, Prefix: netip.MustParsePrefix("10.7.0.64/26"), Action: filter.Deny, Reason: filter.Blocked}}
	if err := k.ListenersWith([]filter.Listener{listener}, rules); err != nil {
		t.Fatal(err)
	}
	near, err := net.InterfaceByName("near")
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for i := range 128 { // good, malformed and from 64 denied sources; those of the near net are routed
		p := packet{network: filter.UDP, from: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 7, 0, byte(2 + i)}), uint16(5000+i)), to: to, payload: "MC345678"}
		if i%8 == 0 {
			p.payload = "XX345678"
		}
		copy(p.hardware[:], near.HardwareAddr)
		frames = append(frames, p.frame())
	}
	var received atomic.Uint64
	go func() {
		buffer := make([]byte, 64)
		for {
			if _, _, err := socket.ReadFromUDPAddrPort(buffer); err != nil {
				return // closed at the end
			}
			received.Add(1)
		}
	}()
	wire := tap(t, f)
	var c filter.Count
	// In portions that the socket's buffer holds, so that none is lost behind the filter.
	for sent := 0; sent < count; {
		for range min(portion, count-sent) {
			wire.send(t, frames[sent%len(frames)])
			sent++
		}
		total := uint64(0)
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			c = counted(t, k)[1]
			total = 0
			for _, n := range c.Packets {
				total += n
			}
			if total == uint64(sent) && received.Load() == c.Packets[filter.Pass] {
				break
			}
		}
		if total != uint64(sent) || received.Load() != c.Packets[filter.Pass] {
			t.Fatalf("sent %d, counted %d; passed %d, received %d", sent, total, c.Packets[filter.Pass], received.Load())
		}
	}
	t.Logf("%s: sent %d: received %d, blocked %d, malformed %d, over the rate %d", mode, count,
		received.Load(), c.Packets[filter.Blocked], c.Packets[filter.Malformed], c.Packets[filter.Rate])
	if c.Packets[filter.Blocked] < uint64(count/128*64) || c.Packets[filter.Malformed] == 0 || c.Packets[filter.Rate] == 0 {
		t.Errorf("counted: %+v", c)
	}
}

func unixBuffer(socket *net.UDPConn, size int) error {
	file, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var problem error
	err = file.Control(func(descriptor uintptr) {
		problem = unix.SetsockoptInt(int(descriptor), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	})
	if err != nil {
		return err
	}
	return problem
}
