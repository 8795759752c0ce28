//go:build !unix

package systemd

import (
	"errors"
	"os"
)

func take(int, string) (*os.File, error) {
	return nil, errors.New("sockets are passed on Unix systems only")
}
