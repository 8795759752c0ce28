package kernel

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/filter"
)

func TestModes(t *testing.T) {
	if !alone(t) {
		return
	}
	f := cable(t, 1500)
	socket := receiver(t, near4+":0")
	for _, mode := range []string{Native, Generic, TC, Auto} {
		t.Run(mode, func(t *testing.T) {
			k := open(t, Options{Mode: mode})
			attached := k.Status().Interfaces[0]
			want := mode
			if mode == Auto {
				want = Native
			}
			if attached.Mode != want || attached.Whole != (want == Native) || attached.Problem != "" {
				t.Fatalf("attached: %+v", attached)
			}
			listener := filter.Listener{ID: 3, Name: "in", Network: filter.UDP, Address: socket.LocalAddr().(*net.UDPAddr).AddrPort()}
			if err := k.Listeners([]filter.Listener{listener}); err != nil {
				t.Fatal(err)
			}
			deny := []filter.Entry{{Listener: 3, Prefix: netip.MustParsePrefix(far4 + "/32"), Action: filter.Deny, Reason: filter.Blocked}}
			if err := k.Put(deny); err != nil {
				t.Fatal(err)
			}
			send(t, f, socket, "no")
			waitCount(t, k, 3, filter.Blocked, 1)
			if err := k.Delete(deny); err != nil {
				t.Fatal(err)
			}
			send(t, f, socket, "yes")
			if got := read(t, socket); got != "yes" {
				t.Errorf("received %q", got)
			}
			counts, err := k.Counts(nil)
			if err != nil || len(counts) != 1 {
				t.Fatal(counts, err)
			}
			if c := counts[0]; c.Listener != 3 || c.Packets[filter.Blocked] != 1 || c.Packets[filter.Pass] != 1 || c.Bytes[filter.Pass] != 20+8+3 {
				t.Errorf("counts: %+v", c)
			}
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// send sends a datagram from the far end.
func send(t *testing.T, f *far, to net.PacketConn, payload string) {
	t.Helper()
	f.do(func() {
		connection, err := net.Dial("udp", to.LocalAddr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		if _, err := connection.Write([]byte(payload)); err != nil {
			t.Error(err)
		}
	})
}

// read reads one datagram.
func read(t *testing.T, from *net.UDPConn) string {
	t.Helper()
	if err := from.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 65536)
	n, _, err := from.ReadFrom(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}
