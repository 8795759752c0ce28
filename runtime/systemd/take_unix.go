//go:build unix

package systemd

import (
	"fmt"
	"os"
	"syscall"
)

// take makes a file of a descriptor, which later children do not inherit.
func take(fd int, name string) (*os.File, error) {
	syscall.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), name)
	if file == nil {
		return nil, fmt.Errorf("descriptor %d is none", fd)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("descriptor %d is no socket: %s", fd, info.Mode())
	}
	return file, nil
}
