package server_test

import (
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// BenchmarkMQTTIdle is what an MQTT client costs that is connected and subscribed to a
// topic of its own and says nothing, beside the kernel's part: B/conn is heap.
func BenchmarkMQTTIdle(b *testing.B) {
	const connections = 4000
	for b.Loop() {
		f := start(b, "auto", withLoops(mqttConfig, 1))
		address := f.address("mqtt")
		fds := make([]int, connections)
		before := heap()
		for i := range fds {
			fds[i] = idleMQTT(b, address, i)
		}
		f.awaitOf("weft_mqtt_sessions", "connected", connections)
		b.ReportMetric(float64(heap()-before)/connections, "B/conn")
		for _, fd := range fds {
			_ = syscall.Close(fd)
		}
		f.end()
	}
}

// idleMQTT makes a client that has no memory on this side but the kernel's.
func idleMQTT(tb testing.TB, address string, i int) (fd int) {
	tb.Helper()
	to, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		tb.Fatal(err)
	}
	say := packet.AppendConnect(nil, &packet.Connect{Version: packet.V311, CleanStart: true, ClientID: fmt.Appendf(nil, "client-%d", i)})
	say = packet.AppendSubscribe(say, &packet.Subscribe{ID: 1, Filters: []packet.Subscription{
		{Filter: fmt.Appendf(nil, "device/%d/in", i), QoS: 1}}}, packet.V311)
	if _, err := syscall.Write(fd, say); err != nil {
		tb.Fatal(err)
	}
	var answer [64]byte
	for got := 0; got < 4+5; { // CONNACK and SUBACK
		n, err := syscall.Read(fd, answer[:])
		if err != nil || n == 0 {
			tb.Fatalf("%x %v", answer[:max(n, 0)], err)
		}
		got += n
	}
	return fd
}
