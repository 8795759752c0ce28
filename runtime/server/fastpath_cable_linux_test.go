package server_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/weftrun/weft/runtime/kernel"
)

// The ends of a cable: near is where weft is, far in a namespace of its own.
const (
	nearAddress = "10.7.0.1"
	farAddress  = "10.7.0.2"
)

// cable is a pair of veth, with its far end in another network namespace.
type cable struct {
	t    *testing.T
	work chan func()
	path string // of the far namespace
	pin  string // a folder of a bpffs of its own
}

// newCable makes one, in a test that is alone.
func newCable(t *testing.T) *cable {
	t.Helper()
	c := &cable{t: t, work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		c.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), syscall.Gettid())
		ready <- err
		for function := range c.work {
			function()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(c.work) })
	c.ip("link set lo up")
	c.lay("near", "distant", nearAddress, farAddress, c.path)
	folder := t.TempDir()
	if err := syscall.Mount("bpf", folder, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	c.pin = filepath.Join(folder, "weft")
	t.Cleanup(func() {
		_ = kernel.Detach(c.pin)
		_ = syscall.Unmount(folder, syscall.MNT_DETACH)
	})
	return c
}

// lay makes a pair whose second end is in the other namespace.
func (c *cable) lay(near, distant, nearAt, farAt, path string) {
	c.t.Helper()
	c.ip("link add " + near + " type veth peer name " + distant)
	c.ip("link set " + distant + " netns " + path)
	c.ip("addr add " + nearAt + "/24 dev " + near)
	c.ip("link set " + near + " up")
	c.far(func() {
		c.ip("link set lo up")
		c.ip("addr add " + farAt + "/24 dev " + distant)
		c.ip("link set " + distant + " up")
	})
}

// ip runs it in the namespace of the caller.
func (c *cable) ip(command string) {
	c.t.Helper()
	if output, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		c.t.Errorf("ip %s: %v: %s", command, err, output)
	}
}

// far runs a function at the far end and waits for it.
func (c *cable) far(function func()) {
	done := make(chan struct{})
	c.work <- func() {
		defer close(done)
		function()
	}
	<-done
}

// dial is net.Dial at the far end.
func (c *cable) dial(network, address string) net.Conn {
	c.t.Helper()
	var conn net.Conn
	var err error
	c.far(func() { conn, err = net.Dial(network, address) })
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	return conn
}
