package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/weftrun/weft/tools/process"
)

// graceTime is how long a server gets to end by itself.
const graceTime = 5 * time.Second

// running is a server that runs.
type running struct {
	server
	*process.Process
	address string
}

// start runs a server on a free port with as many open files as are allowed and
// waits until it accepts connections.
func start(ctx context.Context, s server, dir string) (*running, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	args, err := s.command(s.path, dir, port)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p, err := process.Start(ctx, process.Options{
		Name: s.name, Command: append([]string{s.path}, args...), Log: filepath.Join(dir, s.name+".log"),
		Ready: process.Listens(address), Grace: graceTime, Files: true,
	})
	if err != nil {
		return nil, err
	}
	return &running{s, p, address}, nil
}

// stop ends the server; one that must be killed has been measured all the same.
func (r *running) stop() error {
	if err := r.Stop(); !errors.Is(err, process.ErrKilled) {
		return err
	}
	return nil
}

// startAll starts every server in a folder of its own. stop ends them all and is
// to be called even after an error.
func startAll(ctx context.Context, servers []server) (all []*running, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "weft-compare-run-")
	if err != nil {
		return nil, func() error { return nil }, err
	}
	stop = func() error {
		var errs []error
		for _, p := range all {
			errs = append(errs, p.stop())
		}
		return errors.Join(append(errs, os.RemoveAll(dir))...)
	}
	for _, s := range servers {
		own := filepath.Join(dir, s.name)
		if err := os.Mkdir(own, 0o700); err != nil {
			return all, stop, err
		}
		p, err := start(ctx, s, own)
		if err != nil {
			return all, stop, err
		}
		all = append(all, p)
	}
	return all, stop, nil
}
