package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/weftrun/weft/runtime/kernel"
	"github.com/weftrun/weft/tools/process"

	"github.com/weftrun/weft/tools/program"
)

// aloneName is the variable by which the command knows that it is in namespaces of its
// own.
const aloneName = "FLOOD_ALONE"

// alone runs the command once more with a network and mounts of its own, where it does
// the work. It tells how much was wrong.
func alone(ctx context.Context, o options, args []string, out, words io.Writer) (wrong int, err error) {
	if os.Getenv(aloneName) != "" {
		return flood(ctx, o, out, words)
	}
	for _, found := range kernel.Probe(kernel.Options{Interfaces: []string{"lo"}}) {
		if found.Fatal {
			return 0, fmt.Errorf("%s; %s", found.What, found.Remedy)
		}
	}
	dir, err := os.MkdirTemp("", "weft-flood-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.weft == "" {
		path, err := process.Build(ctx, dir, "weft", "github.com/weftrun/weft/tools/weft")
		if err != nil {
			return 0, err
		}
		args = append([]string{"--weft", path}, args...)
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	child := exec.CommandContext(ctx, self, args...)
	child.Env = append(os.Environ(), aloneName+"="+dir)
	child.Stdout, child.Stderr = out, words
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = child.Run()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) && ended.ExitCode() == program.ExitFailed {
		return 1, nil
	}
	return 0, err
}

// The ends of the cable. Sources of the flood are behind the far one.
const (
	nearAddress = "10.7.0.1"
	farAddress  = "10.7.0.2"
	beyond      = "10.16.0.0/12"
)

// network is a cable between weft's namespace and another, which one thread is in.
type network struct {
	work     chan func()
	hardware [6]byte // of the near end
	distant  int     // index of the far end
	folder   string  // of a bpffs
}

// lay makes the network.
func lay(dir string) (*network, error) {
	n := &network{work: make(chan func()), folder: filepath.Join(dir, "bpf")}
	if err := os.Mkdir(n.folder, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := syscall.Mount("bpf", n.folder, "bpf", 0, ""); err != nil {
		return nil, fmt.Errorf("mounting a bpffs: %w", err)
	}
	ready, path := make(chan error), ""
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), syscall.Gettid())
		ready <- err
		for function := range n.work {
			function()
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	if err := ip("link set lo up", "link add near type veth peer name distant", "link set distant netns "+path,
		"addr add "+nearAddress+"/24 dev near", "link set near up"); err != nil {
		return nil, err
	}
	near, err := net.InterfaceByName("near")
	if err != nil {
		return nil, err
	}
	copy(n.hardware[:], near.HardwareAddr)
	// The far end sends nothing of itself, not even for neighbours or IPv6: what the cable
	// does not take is the flood's and the legitimate sender's.
	var distant *net.Interface
	n.do(func() {
		if _, none := os.Stat("/proc/sys/net/ipv6"); none == nil {
			err = ip("link set distant addrgenmode none")
		}
		if err != nil {
			return
		}
		if err = ip("link set lo up", "addr add "+farAddress+"/24 dev distant", "link set distant up",
			"neigh add "+nearAddress+" lladdr "+near.HardwareAddr.String()+" dev distant"); err == nil {
			distant, err = net.InterfaceByName("distant")
		}
	})
	if err != nil {
		return nil, err
	}
	n.distant = distant.Index
	return n, ip("neigh add "+farAddress+" lladdr "+distant.HardwareAddr.String()+" dev near", "route add "+beyond+" via "+farAddress)
}

// untaken is how many packets of the far end the cable, full, has not taken so far.
func (n *network) untaken() (count uint64, err error) {
	var list []byte
	n.do(func() { list, err = os.ReadFile("/proc/thread-self/net/dev") })
	if err != nil {
		return 0, err
	}
	_, line, _ := strings.Cut(string(list), "distant:")
	const dropped = 8 + 3 // of what is sent
	if fields := strings.Fields(line); len(fields) > dropped {
		return strconv.ParseUint(fields[dropped], 10, 64)
	}
	return 0, fmt.Errorf("/proc/net/dev says nothing of the cable: %q", list)
}

// do runs a function at the far end and waits for it.
func (n *network) do(function func()) {
	done := make(chan struct{})
	n.work <- func() {
		defer close(done)
		function()
	}
	<-done
}

// close unmounts; the namespaces end with the process.
func (n *network) close() error {
	close(n.work)
	return syscall.Unmount(n.folder, syscall.MNT_DETACH)
}

func ip(commands ...string) error {
	for _, command := range commands {
		if output, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", command, err, output)
		}
	}
	return nil
}
