//go:build unix

package systemd

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager is a service manager that is told how a process fares.
func manager(t *testing.T) (path string, told func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return path, func() string {
		t.Helper()
		b := make([]byte, 1024)
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestNotify(t *testing.T) {
	path, told := manager(t)
	n, err := NewNotifier(env("NOTIFY_SOCKET", path), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, c := range []struct {
		tell func() error
		want string
	}{
		{func() error { return n.Ready("3 listeners\nREADY=0") }, "READY=1\nSTATUS=3 listeners READY=0"},
		{n.Reloading, "RELOADING=1\nSTATUS=reading the configuration again"},
		{func() error { return n.Stopping("draining") }, "STOPPING=1\nSTATUS=draining"},
	} {
		if err := c.tell(); err != nil {
			t.Fatal(err)
		}
		if got := told(); got != c.want {
			t.Errorf("told %q, want %q", got, c.want)
		}
	}
	n.Watch(t.Context(), nil, slog.New(slog.DiscardHandler)) // nobody watches: it returns
}

func TestNobodyIsTold(t *testing.T) {
	n, err := NewNotifier(env(), 7)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready("x"); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	var none *Notifier
	if none.Stopping("x") != nil || none.Close() != nil {
		t.Error("nil tells somebody")
	}
}

func TestEnvironmentThatMakesNoSense(t *testing.T) {
	path, _ := manager(t)
	for _, c := range [][]string{
		{"NOTIFY_SOCKET", "relative"},
		{"NOTIFY_SOCKET", path + ".none"},
		{"NOTIFY_SOCKET", path, "WATCHDOG_USEC", "soon"},
		{"NOTIFY_SOCKET", path, "WATCHDOG_USEC", "-1"},
	} {
		if _, err := NewNotifier(env(c...), 7); err == nil || !strings.Contains(err.Error(), "_") {
			t.Errorf("%q: %v", c, err)
		}
	}
	for _, c := range [][]string{
		{"LISTEN_PID", "7", "LISTEN_FDS", "many"},
		{"LISTEN_PID", "7", "LISTEN_FDS", "-1"},
		{"LISTEN_PID", "7", "LISTEN_FDS", "99999"},
	} {
		if _, err := Sockets(env(c...), 7); err == nil || !strings.Contains(err.Error(), "LISTEN_FDS") {
			t.Errorf("%q: %v", c, err)
		}
	}
	if got, err := Sockets(env("LISTEN_PID", "8", "LISTEN_FDS", "2"), 7); got != nil || err != nil {
		t.Errorf("another process's sockets: %v, %v", got, err)
	}
}

// TestWatchdog: the watchdog hears of a process whose loops turn, and of one whose loops
// do not it does not.
func TestWatchdog(t *testing.T) {
	path, told := manager(t)
	n, err := NewNotifier(env("NOTIFY_SOCKET", path, "WATCHDOG_USEC", "1000000", "WATCHDOG_PID", strconv.Itoa(7)), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var log bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	beats := [][]uint64{{1, 1}, {2, 5}, {3, 5}, {4, 5}, {5, 6}} // the second loop stands for a while
	ticks := make(chan time.Time)
	asked := 0
	var watching sync.WaitGroup
	watching.Go(func() {
		n.watch(ctx, ticks, func() []uint64 { asked++; return beats[asked-1] }, slog.New(slog.NewTextHandler(&log, nil)))
	})
	for range beats {
		ticks <- time.Time{}
	}
	stop()
	watching.Wait()
	if err := n.Stopping("the end"); err != nil {
		t.Fatal(err)
	}
	pings := 0
	for said := told(); said == "WATCHDOG=1"; said = told() {
		pings++
	}
	if pings != 3 {
		t.Errorf("%d pings, want 3: two before the loop stood, one after", pings)
	}
	if got := strings.Count(log.String(), "loop=1"); got != 1 {
		t.Errorf("the hanging loop was logged %d times:\n%s", got, &log)
	}
}

func TestWatchdogOfAnother(t *testing.T) {
	path, _ := manager(t)
	n, err := NewNotifier(env("NOTIFY_SOCKET", path, "WATCHDOG_USEC", "1000000", "WATCHDOG_PID", "8"), 7)
	if err != nil || n.every != 0 {
		t.Errorf("%v, %v", n, err)
	}
	_ = n.Close()
}
