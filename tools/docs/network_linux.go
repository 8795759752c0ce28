package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// alone runs this program again in a network of its own, where it may: every port is
// free there. It tells whether it did, and how that ended.
func alone() (done bool, code int) {
	if os.Getenv(inside) != "" {
		if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
			fmt.Fprintln(os.Stderr, "docs: its own network has no loopback:", err)
			return true, 1
		}
		return false, 0
	}
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		return false, 0
	}
	self, err := os.Executable()
	if err != nil {
		return false, 0
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "docs: no network of its own, takes the machine's:", err)
		return false, 0
	}
	// Ctrl-C is for whoever runs the commands: it puts away what they have left.
	signal.Ignore(os.Interrupt)
	_ = cmd.Wait()
	return true, cmd.ProcessState.ExitCode()
}
