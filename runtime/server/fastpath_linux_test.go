package server_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/kernel"
)

// aloneName is the variable by which a test knows that it is in namespaces of its own.
const aloneName = "WEFT_SERVER_TEST_ALONE"

// aloneWithKernel runs the test once more in a process with a network and mounts of its
// own, in which it is true. Without eBPF it skips aloud, or fails if it has to run.
func aloneWithKernel(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneName) == t.Name() {
		return true
	}
	leaveOut := func(why string) {
		if os.Getenv("WEFT_REQUIRE_TOOLCHAINS") == "true" {
			t.Fatalf("has to run here: %s", why)
		}
		t.Skipf("LEFT OUT: %s", why)
	}
	for _, found := range kernel.Probe(kernel.Options{Interfaces: []string{"lo"}}) {
		if found.Fatal {
			leaveOut(found.What)
		}
	}
	if _, err := exec.LookPath("ip"); err != nil {
		leaveOut("ip (iproute2) is not here")
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	child.Env = append(os.Environ(), aloneName+"="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	output, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return false
}

// TestFilterInKernel: what is blocked by the API dies in the kernel, a reload and a restart
// keep it, its end ends it, and nothing is left behind that should not be.
func TestFilterInKernel(t *testing.T) {
	if !aloneWithKernel(t) {
		return
	}
	if output, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	folder := t.TempDir()
	if err := syscall.Mount("bpf", folder, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) }()
	pin := filepath.Join(folder, "weft")
	defer func() { _ = kernel.Detach(pin) }()
	yaml := strings.ReplaceAll(filtered, "packets, address: 127.0.0.1:0, frame: mcp-dgram, filter: {}", "packets, address: 127.0.0.1:7999, frame: mcp-dgram, filter: {rate: 1/h, burst: 1000}") +
		"kernel: {interfaces: [lo], pin: " + pin + "}\n"

	f := startFiltering(t, "auto", yaml)
	if f.MetricOf("weft_kernel_attached", "lo", "generic") != 1 {
		t.Fatalf("the kernel is not in it:\n%s", f.log)
	}
	c, err := net.Dial("udp", f.address("packets"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	// send tells what n datagrams, good or not, have added to the kernel's counter of the
	// reason, once they are all counted.
	send := func(f *filtering, reason string, b []byte, n int) {
		t.Helper()
		was := f.counted(reason, "kernel")
		for range n {
			_, _ = c.Write(b) // refused while nobody listens
		}
		f.until("the kernel has counted "+reason, func() bool { return f.counted(reason, "kernel") == was+float64(n) })
	}
	good, bad := make([]byte, 8), []byte{0, 0, 0, 0, 0, 0xff, 0, 0}
	send(f, "pass", good, 10)
	send(f, "malformed", bad, 10)
	f.until("what passed the kernel passed here", func() bool { return f.counted("pass", "engine") == 10 })
	if n := f.counted("malformed", "engine"); n != 0 {
		t.Errorf("%v malformed datagrams came here", n)
	}
	f.block(nil, 0)
	send(f, "blocked", good, 10)
	if f.serves("lines") {
		t.Error("who is blocked is served")
	}
	if n := f.counted("blocked", "engine"); n != 0 {
		t.Errorf("%v packets of who is blocked came here", n)
	}
	f.reload("rate: 1/h", "rate: 2/h")
	send(f, "blocked", good, 5)
	f.end()

	f = startFiltering(t, "auto", yaml)
	if !strings.Contains(f.log.String(), "go on") {
		t.Errorf("nothing is said of what was kept:\n%s", f.log)
	}
	send(f, "blocked", good, 5)
	if n := f.counted("blocked", "engine"); n != 0 {
		t.Errorf("after a restart %v packets of who is blocked came here", n)
	}
	if _, err := f.FastPath().Unblock(t.Context(), loopback, ""); err != nil {
		t.Error(err)
	}
	send(f, "pass", good, 5)
	f.block([]string{"packets"}, 300*time.Millisecond)
	f.until("the block ends", func() bool {
		was := f.counted("pass", "kernel")
		_, _ = c.Write(good)
		return f.counted("pass", "kernel") > was
	})
	f.end()

	f = startFiltering(t, "auto", yaml+"\n# ends with the process\n")
	f.end()
	if _, err := os.Stat(pin); err != nil {
		t.Errorf("nothing is kept: %v", err)
	}
	f = startFiltering(t, "auto", strings.ReplaceAll(yaml, "kernel: {", "kernel: {keep: false, "))
	f.end()
	if _, err := os.Stat(pin); !os.IsNotExist(err) {
		t.Errorf("with keep: false something is left: %v", err)
	}
}

// TestFilterWithoutKernel: where the kernel cannot, one line says so and weft enforces all.
func TestFilterWithoutKernel(t *testing.T) {
	f := startFiltering(t, "auto", filtered+"kernel: {interfaces: [none0], pin: \"\"}\n")
	if n := strings.Count(f.log.String(), "does not enforce"); n != 1 {
		t.Errorf("%d lines say that the kernel is not in it:\n%s", n, f.log)
	}
	f.block(nil, 0)
	if f.serves("lines") {
		t.Error("who is blocked is served")
	}
	status, err := f.FastPath().Status(t.Context())
	if err != nil || status.GetKernel() || status.GetProblem() == "" {
		t.Errorf("%v, %v", status, err)
	}
}
