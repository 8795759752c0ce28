package kernel

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMissingInterface(t *testing.T) {
	list := []device{{name: "lo", index: 1}, {name: "eth0", index: 2}, {name: "wlan0", index: 3}}
	for name, want := range map[string]string{
		"eth1":    `there is no interface "eth1"; did you mean "eth0"? (there are eth0, lo, wlan0)`,
		"eht0":    `there is no interface "eht0"; did you mean "eth0"? (there are eth0, lo, wlan0)`,
		"enp5s0f": `there is no interface "enp5s0f"; there are eth0, lo, wlan0`,
	} {
		if got := missing(list, name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestOptions(t *testing.T) {
	for want, options := range map[string]Options{
		"name at least one":        {},
		`unknown mode "fast"`:      {Interfaces: []string{"lo"}, Mode: "fast"},
		"-1 sources: 1 to":         {Interfaces: []string{"lo"}, Sources: -1},
		"2000000 entries: 1 to":    {Interfaces: []string{"lo"}, Entries: 2_000_000},
		"not an absolute path":     {Interfaces: []string{"lo"}, Pin: "weft"},
		"bpffs:: is not an option": {Interfaces: []string{"lo"}, Mode: "bpffs:: is not an option"},
	} {
		if _, err := Open(options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, not: %s", options, err, want)
		}
	}
}

// TestCapabilities runs itself without each of the capabilities.
func TestCapabilities(t *testing.T) {
	if without := os.Getenv("WEFT_KERNEL_TEST_WITHOUT"); without != "" {
		withoutCapability(t, without)
		return
	}
	able(t)
	for _, c := range capabilities {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCapabilities$", "-test.v")
		child.Env = append(os.Environ(), "WEFT_KERNEL_TEST_WITHOUT="+c.name)
		child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if output, err := runWithout(child, c.number); err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, output)
		}
	}
}

// withoutCapability finds that it is missing, by name, and cannot open.
func withoutCapability(t *testing.T, name string) {
	found := false
	for _, f := range Probe(Options{Interfaces: []string{"lo"}}) {
		if f.Fatal && strings.Contains(f.What, name) && strings.Contains(f.Remedy, name) {
			found = true
		}
	}
	if !found {
		t.Errorf("the probe does not name %s: %+v", name, Probe(Options{Interfaces: []string{"lo"}}))
	}
	k, err := Open(Options{Interfaces: []string{"lo"}})
	if err == nil {
		k.Close()
	}
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), name) {
		t.Errorf("Open: %v", err)
	}
}

// runWithout runs a child that cannot get a capability, nor the one that stands for it.
func runWithout(child *exec.Cmd, number uint) (output []byte, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for _, n := range []uint{number, capSysAdmin} {
			if err = unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
				return
			}
		}
		output, err = child.CombinedOutput()
	}()
	<-done
	return output, err
}
