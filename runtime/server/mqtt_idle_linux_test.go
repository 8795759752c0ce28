package server_test

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// TestMQTTIdleMemory measures what a client costs that has introduced itself, or has
// subscribed as well, and is quiet: the live heap, tables of all loops included, the
// kernel's memory apart. The clients are bare descriptors, which cost nothing there.
func TestMQTTIdleMemory(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("5,000 connections")
	}
	const clients = 5000
	for _, tc := range []struct {
		name string
		v    packet.Version
		goal float64
		more func(b []byte, i int) []byte
	}{
		{"MQTT 3.1.1", packet.V311, 1024, nil},
		{"MQTT 5", packet.V5, 1024, nil},
		{"a subscription of its own", packet.V5, 1024 + 512, func(b []byte, i int) []byte {
			filters := []packet.Subscription{to(fmt.Sprintf("devices/%d/commands", i), 1)}
			return packet.AppendSubscribe(b, &packet.Subscribe{ID: 1, Filters: filters}, packet.V5)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := start(t, "auto", withLoops(mqttConfig, 2))
			bare(t, f, 64, tc.v, tc.more) // what the first ones make for all
			before := memoryNow()
			bare(t, f, clients, tc.v, tc.more)
			f.settled("weft_mqtt_sessions", "connected", clients+64)
			each := mebibytes(1 << 40)
			for end := time.Now().Add(5 * time.Second); float64(each) > tc.goal && time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
				each = (memoryNow().heap - before.heap) / clients // pools are given back tick by tick
			}
			t.Logf("%.0f bytes for each of %d idle clients", float64(each), clients)
			if float64(each) > tc.goal {
				t.Errorf("%.0f bytes for each idle client, the goal is %v", float64(each), tc.goal)
			}
		})
	}
}

// bare connects clients until the test ends.
func bare(t *testing.T, f *fixture, clients int, v packet.Version, more func(b []byte, i int) []byte) {
	t.Helper()
	at := netip.MustParseAddrPort(f.address("mqtt"))
	to := &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	in := make([]byte, 256)
	fds := make([]int, 0, clients)
	t.Cleanup(func() {
		for _, fd := range fds {
			_ = syscall.Close(fd)
		}
	})
	for i := range clients {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		if err := syscall.Connect(fd, to); err != nil {
			t.Fatal(err)
		}
		b := packet.AppendConnect(nil, &packet.Connect{Version: v, CleanStart: true, ClientID: fmt.Appendf(nil, "device-%d-%d", clients, i), KeepAlive: 600})
		if more != nil {
			b = more(b, i)
		}
		if _, err := syscall.Write(fd, b); err != nil {
			t.Fatal(err)
		}
		if n, err := syscall.Read(fd, in); err != nil || n < 4 || packet.TypeOf(in) != packet.TypeConnack {
			t.Fatalf("%x, %v", in[:max(n, 0)], err)
		}
	}
}
