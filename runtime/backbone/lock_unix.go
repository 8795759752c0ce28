//go:build unix

package backbone

import (
	"errors"
	"os"
	"syscall"
)

// flock takes the file for this process alone. The system gives it back when the
// process ends, however it does.
func flock(f *os.File) (taken bool, err error) {
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
