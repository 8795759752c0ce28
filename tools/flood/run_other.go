//go:build !linux

package main

import (
	"context"
	"errors"
	"io"
)

func alone(context.Context, options, []string, io.Writer, io.Writer) (int, error) {
	return 0, errors.New("needs Linux: network namespaces, veth and XDP")
}
