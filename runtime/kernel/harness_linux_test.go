package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childName is the variable by which a test knows that it is in namespaces of its own.
const childName = "WEFT_KERNEL_TEST_ALONE"

// able skips aloud where eBPF cannot run, or fails if it has to.
func able(t testing.TB) {
	t.Helper()
	var fatal []string
	for _, found := range Probe(Options{Interfaces: []string{"lo"}}) {
		if found.Fatal {
			fatal = append(fatal, found.What)
		}
	}
	if len(fatal) > 0 {
		leaveOut(t, strings.Join(fatal, "; "))
	}
}

// leaveOut skips, or fails where everything has to run.
func leaveOut(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("WEFT_REQUIRE_TOOLCHAINS") == "true" {
		t.Fatalf("has to run here: %s", why)
	}
	t.Skipf("LEFT OUT: %s", why)
}

// alone runs the test once more in a process with a network and mounts of its own, in
// which it is true. Nothing that it does there is seen from elsewhere, or stays.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childName) == t.Name() {
		return true
	}
	able(t)
	if _, err := exec.LookPath("ip"); err != nil {
		leaveOut(t, "ip (iproute2) is not here")
	}
	arguments := []string{"-test.run=^" + t.Name() + "$", "-test.count=1"}
	if testing.Verbose() {
		arguments = append(arguments, "-test.v")
	}
	child := exec.CommandContext(t.Context(), os.Args[0], arguments...)
	child.Env = append(os.Environ(), childName+"="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	output, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if testing.Verbose() {
		t.Logf("%s", output)
	}
	return false
}

func ip(t testing.TB, arguments ...string) {
	t.Helper()
	if output, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(arguments, " "), err, output)
	}
}

// far is the other end of a cable: a network namespace that one thread is in.
type far struct {
	work chan func()
	path string
}

// do runs a function over there and waits for it.
func (f *far) do(function func()) {
	done := make(chan struct{})
	f.work <- func() {
		defer close(done)
		function()
	}
	<-done
}

// The addresses of a cable's ends.
const (
	near4, far4 = "10.7.0.1", "10.7.0.2"
	near6, far6 = "fd07::1", "fd07::2"
)

// cable makes a pair of veth: near is here, distant in a namespace of its own.
func cable(t *testing.T, mtu int) *far {
	t.Helper()
	f := &far{work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		f.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		ready <- err
		for function := range f.work {
			function()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(f.work) })
	ip(t, "link", "set", "lo", "up")
	ip(t, "link", "add", "near", "mtu", fmt.Sprint(mtu), "type", "veth", "peer", "name", "distant", "mtu", fmt.Sprint(mtu))
	ip(t, "link", "set", "distant", "netns", f.path)
	up := func(name, v4, v6 string) {
		ip(t, "addr", "add", v4+"/24", "dev", name)
		ip(t, "addr", "add", v6+"/64", "dev", name, "nodad")
		ip(t, "link", "set", name, "up")
	}
	up("near", near4, near6)
	f.do(func() {
		ip(t, "link", "set", "lo", "up")
		up("distant", far4, far6)
	})
	return f
}

// open opens with what a test leaves to it, and closes at its end.
func open(t *testing.T, options Options) *Kernel {
	t.Helper()
	if options.Interfaces == nil {
		options.Interfaces = []string{"near"}
	}
	var log bytes.Buffer
	options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	k, err := Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s", log.String())
		}
	})
	return k
}

// loaded has the programs loaded and attached to nothing.
func loaded(t testing.TB, options Options) *Kernel {
	t.Helper()
	able(t)
	options.Interfaces = []string{"lo"}
	if err := options.complete(); err != nil {
		t.Fatal(err)
	}
	k := &Kernel{options: options, log: options.Logger, stop: make(chan struct{})}
	k.rules.start()
	if _, err := k.load(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.release() })
	if err := k.recall(); err != nil {
		t.Fatal(err)
	}
	return k
}

// pinFolder is a folder that Open mounts a bpffs on.
func pinFolder(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "pin")
	t.Cleanup(func() {
		if err := Detach(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	return folder
}

// receiver is a UDP socket here.
func receiver(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	connection, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection.(*net.UDPConn)
}
