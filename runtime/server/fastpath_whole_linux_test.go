package server_test

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// near is a listener of each network at the near end, and the kernel on the cable.
const nearConfig = `
listeners:
  - {name: lines, address: "0.0.0.0:7401", frame: line, topic: t}
  - {name: packets, address: "0.0.0.0:7402", frame: mcp-dgram, topic: t, filter: {rate: 1/h, burst: 6}}
api: {address: ""}
watch: false
kernel: {interfaces: [near], mode: MODE, pin: PIN}
`

// TestFilterSeesEachDatagram: of datagrams that the sender's kernel has put together,
// each is judged by itself, in the kernel or here, whatever way the programs are attached:
// only where they see each one is it not looked at again here.
func TestFilterSeesEachDatagram(t *testing.T) {
	if !aloneWithKernel(t) {
		return
	}
	for _, mode := range []struct {
		name          string
		engine        float64 // malformed datagrams that come here
		passed, rated float64 // of those at one go
	}{
		{"native", 0, 6, 2},
		{"generic", 4, 6, 2},
		{"tc", 4, 2, 6}, // it counts the run's datagrams, and takes all of them or none
	} {
		t.Run(mode.name, func(t *testing.T) {
			c := newCable(t)
			defer c.ip("link del near")
			f := startFiltering(t, "auto", strings.NewReplacer("MODE", mode.name, "PIN", c.pin).Replace(nearConfig))
			if f.MetricOf("weft_kernel_attached", "near", mode.name) != 1 {
				t.Fatalf("not attached:\n%s", f.log)
			}
			conn := c.dial("udp", nearAddress+":7402").(*net.UDPConn)
			const good, bad = "\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\xff\x00\x00"
			together(t, conn, 8, good+strings.Repeat(bad, 4)+good)
			both := func(reason string) float64 { return f.counted(reason, "engine") + f.counted(reason, "kernel") }
			f.until("each datagram is looked at", func() bool { return both("malformed") == 4 && f.counted("pass", "engine") == 2 })
			if n := f.counted("malformed", "engine"); n != mode.engine {
				t.Errorf("%v malformed datagrams came here, expected %v", n, mode.engine)
			}
			together(t, conn, 8, strings.Repeat(good, 6))
			f.until("each datagram is counted", func() bool {
				return both("rate") == mode.rated && f.counted("pass", "engine") == mode.passed
			})
			if here := f.counted("rate", "engine"); here > 0 != (mode.name == "generic") {
				t.Errorf("%v datagrams beyond the rate came here", here)
			}
			f.until("what passed is received", func() bool { return f.MetricOf("weft_received_bytes_total", "packets") == 8*mode.passed })
			f.end()
		})
	}
}

// together writes datagrams of one size by one call, which leave the kernel as one where
// the interface can cut them itself.
func together(t *testing.T, conn *net.UDPConn, size int, all string) {
	t.Helper()
	const segment = 103 // UDP_SEGMENT of linux/udp.h
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_UDP, segment, size) }); err != nil || set != nil {
		t.Fatal(err, set)
	}
	if _, err := conn.Write([]byte(all)); err != nil {
		t.Fatal(err)
	}
}

// TestFilterBesideTheKernel: what comes by another way than the interface of the kernel's
// programs is filtered here: over loopback, by a second cable, and by a bridge whose ports
// are not all the kernel's.
func TestFilterBesideTheKernel(t *testing.T) {
	if !aloneWithKernel(t) {
		return
	}
	c := newCable(t)
	defer c.ip("link del near")
	c.lay("second", "distant2", "10.8.0.1", "10.8.0.2", c.path)
	c.lay("third", "distant3", "10.9.0.1", "10.9.0.2", c.path)
	for _, command := range []string{
		"link add crossing type bridge", "link set crossing up", "addr add 10.10.0.1/24 dev crossing",
		"link set second master crossing", "link set third master crossing",
	} {
		c.ip(command)
	}
	c.far(func() {
		c.ip("addr add 10.10.0.3/24 dev distant3")
	})
	yaml := strings.NewReplacer("MODE", "native", "PIN", c.pin, "interfaces: [near]", "interfaces: [near, second]", "rate: 1/h, burst: 6", "rate: 1000/s").Replace(nearConfig)
	f := startFiltering(t, "auto", yaml)
	bad := []byte{0, 0, 0, 0, 0, 0xff, 0, 0}
	for _, way := range []struct{ name, to, who string }{
		{"by the kernel's cable", "10.7.0.1", "kernel"},
		{"over loopback", "127.0.0.1", "engine"},
		{"over loopback, to the cable's address", "10.7.0.1", "engine"},
		{"by the bridge's port that is not the kernel's", "10.10.0.1", "engine"},
	} {
		var conn net.Conn
		if strings.Contains(way.name, "loopback") {
			var err error
			if conn, err = net.Dial("udp", way.to+":7402"); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
		} else {
			conn = c.dial("udp", way.to+":7402")
		}
		was := map[string]float64{"kernel": f.counted("malformed", "kernel"), "engine": f.counted("malformed", "engine")}
		passed := f.counted("pass", "engine")
		sent := 0.0
		f.until(way.name+": counted by the "+way.who, func() bool {
			if _, err := conn.Write(bad); err != nil {
				t.Fatal(err)
			}
			sent++
			time.Sleep(10 * time.Millisecond) // a datagram to a bridge's new port may be lost
			return f.counted("malformed", way.who) > was[way.who]
		})
		for who, n := range was {
			if now := f.counted("malformed", who); who != way.who && now != n {
				t.Errorf("%s: the %s has counted %v, too", way.name, who, now-n)
			}
		}
		if f.counted("pass", "engine") != passed {
			t.Errorf("%s: of %v some passed", way.name, sent)
		}
	}
}
