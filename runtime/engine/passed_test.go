//go:build unix

package engine_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// passedTCP is a socket that somebody else has opened, and where it listens.
func passedTCP(t *testing.T) (*os.File, net.Addr) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fileOf(t, l.(*net.TCPListener)), l.Addr()
}

func fileOf(t *testing.T, of interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := of.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func passedUDP(t *testing.T) *os.File {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return fileOf(t, c)
}

// A socket that was passed is served by all loops, and who connects while nobody serves
// it waits for the next engine.
func TestPassedSocket(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		file, at := passedTCP(t)
		serve := func() *running {
			return start(t, engine.Config{Driver: driver, Loops: 2}, engine.Listener{Name: "passed", Sockets: []*os.File{file}}, echo)
		}
		first := serve()
		if got := first.Addrs()[0].String(); got != at.String() {
			t.Errorf("it listens on %s, want %s", got, at)
		}
		for range 8 {
			exchangeFrames(t, dialAt(t, at), "hello")
		}
		if err := first.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		between := dialAt(t, at)
		if _, err := between.Write(frame([]byte("waiting"))); err != nil {
			t.Fatal(err)
		}
		serve()
		if got, err := readFrame(between); err != nil || string(got) != "waiting" {
			t.Errorf("who connected between two engines heard %q, %v", got, err)
		}
	})
}

func TestPassedSocketsThatDoNotFit(t *testing.T) {
	tcp, _ := passedTCP(t)
	other, _ := passedTCP(t)
	udp := passedUDP(t)
	drivers(t, func(t *testing.T, driver string) {
		for _, c := range []struct {
			name string
			ln   engine.Listener
			says string
		}{
			{"datagrams for two loops", engine.Listener{Network: "udp", Sockets: []*os.File{udp}}, "2 loops"},
			{"three", engine.Listener{Sockets: []*os.File{tcp, tcp, tcp}}, "3 sockets"},
			{"two addresses", engine.Listener{Sockets: []*os.File{tcp, other}}, "one address"},
			{"datagrams for streams", engine.Listener{Sockets: []*os.File{udp}}, "ListenStream"},
			{"streams for datagrams", engine.Listener{Network: "udp", Sockets: []*os.File{tcp, tcp}}, "ListenDatagram"},
			{"steered", engine.Listener{Sockets: []*os.File{tcp}, Steer: true}, "ReusePort"},
		} {
			e, err := engine.New(engine.Config{Driver: driver, Loops: 2}, []engine.Listener{c.ln}, func(l *engine.Loop) (engine.Handler, error) { return echo(l), nil })
			if err == nil {
				_ = e.Close()
			}
			if driver == "epoll" && (!errors.Is(err, engine.ErrConfig) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%s: %v", c.name, err)
			}
			if driver == "net" && err == nil && len(c.ln.Sockets) != 1 {
				t.Errorf("net: %s: no error", c.name)
			}
		}
	})
}

// A loop that hangs does not beat, and the others do.
func TestBeats(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := start(t, engine.Config{Driver: driver, Loops: 2}, engine.Listener{Address: "127.0.0.1:0"}, echo)
		hung, release := make(chan struct{}), make(chan struct{})
		defer close(release)
		if err := r.Do(1, func() { close(hung); <-release }); err != nil {
			t.Fatal(err)
		}
		<-hung
		before := r.Beats()
		for deadline := time.Now().Add(patience); r.Beats()[0] < before[0]+3; {
			if time.Now().After(deadline) {
				t.Fatal("a loop that lives does not beat")
			}
			time.Sleep(time.Millisecond)
		}
		if now := r.Beats()[1]; now != before[1] {
			t.Errorf("the loop that hangs has beaten: %d, before %d", now, before[1])
		}
	})
}
