//go:build unix

package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServiceManager plays systemd for a weft: what it is told, and that it is told of
// nothing else.
func TestServiceManager(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	heard := func() string {
		b := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	pings := 0
	next := func(want string) {
		t.Helper()
		said := heard()
		for ; said == "WATCHDOG=1"; said = heard() {
			pings++
		}
		if !strings.HasPrefix(said, want) {
			t.Errorf("weft said %q, want %s", said, want)
		}
	}
	p := startProcess(t, stopConfig, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=1000000")
	next("READY=1\nSTATUS=running: 3 addresses")
	for said := heard(); pings < 2; said = heard() {
		if said != "WATCHDOG=1" {
			t.Fatalf("weft said %q, want pings", said)
		}
		pings++
	}
	p.signal(t, syscall.SIGHUP)
	next("RELOADING=1")
	next("READY=1\nSTATUS=running: 3 addresses")
	p.signal(t, syscall.SIGTERM)
	next("STOPPING=1")
	if code := p.exit(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, p.errOut)
	}
}

// TestHangupAsItBegins: SIGHUP ends no weft that has just begun: it reads its configuration
// again once it runs.
func TestHangupAsItBegins(t *testing.T) {
	dir := t.TempDir()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	_ = notify.SetReadDeadline(time.Now().Add(time.Minute))
	file := filepath.Join(dir, "weft.yaml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	p := beginProcess(t, file, nil, "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	pipe, err := os.OpenFile(file, os.O_WRONLY, 0) // waits until weft is about to read it
	if err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP)
	if err := os.WriteFile(file+".new", []byte(stopConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil { // what it reads then
		t.Fatal(err)
	}
	_, err = pipe.WriteString(stopConfig)
	if err := errors.Join(err, pipe.Close()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"READY=1", "RELOADING=1", "READY=1"} {
		b := make([]byte, 4096)
		n, err := notify.Read(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, p.errOut)
		}
		if said := string(b[:n]); !strings.HasPrefix(said, want) {
			t.Errorf("weft said %q, want %s", said, want)
		}
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, p.errOut)
	}
}

// passedSocket is a socket that a service manager has opened.
func passedSocket(t *testing.T, address string) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, l.Addr().String()
}

const activated = `
loops: 2
listeners: [{name: lines, address: "127.0.0.1:1", frame: line, topic: t}]
api: {address: "127.0.0.1:2"}
`

// TestSocketActivation: weft serves the sockets that it is passed and opens none itself;
// who connects while weft is started anew is served by the next one.
func TestSocketActivation(t *testing.T) {
	lines, at := passedSocket(t, "127.0.0.1:0")
	apis, api := passedSocket(t, "127.0.0.1:0")
	run := func() *process {
		return startProcessWith(t, activated, []*os.File{lines, apis}, "LISTEN_FDS=2", "LISTEN_FDNAMES=lines:api")
	}
	ask := func(c net.Conn, text string) {
		t.Helper()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		b := make([]byte, len("ACK: ")+len(text))
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "ACK: "+text {
			t.Errorf("weft answers %q, %v", b, err)
		}
	}
	first := run()
	ask(dialStream(t, at), "hello\n")
	if answer, err := http.Get("http://" + api + "/readyz"); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("the API: %v, %v", answer, err)
	} else {
		_ = answer.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	first.signal(t, syscall.SIGTERM)
	if code := first.exit(t); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, first.errOut)
	}
	between := dialStream(t, at)
	run()
	ask(between, "still there\n")
}

func TestSocketsThatDoNotFit(t *testing.T) {
	for _, c := range []struct{ name, address, names, says string }{
		{"a name that no listener has", "127.0.0.1:0", "other", `"other", which no listener is called: name it by FileDescriptorName= in the socket unit: lines, api`},
		{"an API for everybody", "0.0.0.0:0", "api", "the API would be open to everybody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _ := passedSocket(t, c.address)
			config := filepath.Join(t.TempDir(), "weft.yaml")
			if err := os.WriteFile(config, []byte(strings.Replace(activated, "127.0.0.1:1\"", "127.0.0.1:0\"", 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			p := beginProcess(t, config, []*os.File{f}, "LISTEN_FDS=1", "LISTEN_FDNAMES="+c.names)
			if code := p.exit(t); code != exitConfig || !strings.Contains(p.errOut.String(), c.says) {
				t.Errorf("exit code %d:\n%s", code, p.errOut)
			}
		})
	}
}
