package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// openTerminal is both ends of a pseudo terminal.
func openTerminal(t *testing.T) (far, near *os.File) {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there is no pseudo terminal here: %v", err)
	}
	t.Cleanup(func() { _ = far.Close() })
	number, unlocked := uint32(0), int32(0)
	control := func(request, at uintptr) {
		raw, err := far.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var errno syscall.Errno
		if err := raw.Control(func(fd uintptr) { _, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, at) }); err != nil || errno != 0 {
			t.Skipf("there is no pseudo terminal here: %v %v", err, errno)
		}
	}
	control(syscall.TIOCSPTLCK, uintptr(unsafe.Pointer(&unlocked)))
	control(syscall.TIOCGPTN, uintptr(unsafe.Pointer(&number)))
	size := [4]uint16{24, 70}
	control(syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size)))
	near, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there is no pseudo terminal here: %v", err)
	}
	t.Cleanup(func() { _ = near.Close() })
	return far, near
}

// In a terminal it draws what fits, obeys keys, and leaves the terminal as it was.
func TestTopInATerminal(t *testing.T) {
	w := startExample(t)
	far, near := openTerminal(t)
	ended := make(chan int, 1)
	var errOut bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	go func() {
		ended <- run(ctx, system{
			args: []string{"top", "--interval", "250ms", "--api", w.at["api"]}, stdin: near, stdout: near, stderr: &errOut, env: []string{"TERM=xterm", "NO_COLOR=1"}, program: "weft",
		})
	}()
	drawn, part := "", make([]byte, 64<<10)
	until := func(what string) {
		t.Helper()
		for !strings.Contains(drawn, what) {
			_ = far.SetReadDeadline(time.Now().Add(30 * time.Second))
			n, err := far.Read(part)
			if drawn += string(part[:n]); err != nil {
				t.Fatalf("no %q: %v in %q", what, err, drawn)
			}
		}
	}
	until("PLUGINS by cost")
	if _, err := far.WriteString("n"); err != nil {
		t.Fatal(err)
	}
	until("PLUGINS by name")
	if _, err := far.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	until(screenLeave)
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d: %s", code, errOut.String())
	}
	if !strings.HasPrefix(drawn, screenEnter) || !strings.HasSuffix(drawn, screenLeave) || strings.Contains(drawn, "\x1b[1m") {
		t.Errorf("drawn: %q", drawn)
	}
	for _, screen := range strings.Split(drawn, screenHome)[1:] {
		if lines := strings.Split(screen, "\r\n"); len(lines) > 24 {
			t.Errorf("%d lines for 24", len(lines))
		}
	}
}
