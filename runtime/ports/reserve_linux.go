package ports

import (
	"fmt"
	"os"
	"syscall"
)

// reserve binds a socket to a port that the system chooses and does not listen: that
// keeps the port from those who ask for any, and from nobody who asks for this one.
func reserve() (port int, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			_ = syscall.Close(fd)
		}
	}()
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, nil, os.NewSyscallError("bind", err)
	}
	// Only now: with the option the system might choose a port that another holds so.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, nil, os.NewSyscallError("setsockopt", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, nil, os.NewSyscallError("getsockname", err)
	}
	at, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		return 0, nil, fmt.Errorf("getsockname says %T", name)
	}
	return at.Port, func() { _ = syscall.Close(fd) }, nil
}
