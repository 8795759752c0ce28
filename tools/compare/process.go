package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// How long a server gets to start, and to end by itself.
const (
	startTime = 15 * time.Second
	graceTime = 5 * time.Second
)

// process is a server that runs.
type process struct {
	server
	cmd     *exec.Cmd
	log     string
	address string
	ended   chan struct{}
}

// start runs a server on a free port with as many open files as are allowed and
// waits until it accepts connections.
func start(ctx context.Context, s server, dir string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args, err := s.command(s.path, dir, port)
	if err != nil {
		return nil, err
	}
	p := &process{
		server: s, log: filepath.Join(dir, s.name+".log"), address: fmt.Sprintf("127.0.0.1:%d", port),
		ended: make(chan struct{}),
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// A shell raises the limit and then becomes the server: the pid is the same.
	p.cmd = exec.Command("/bin/sh", append([]string{"-c", `ulimit -n "$(ulimit -Hn)"; exec "$@"`, "sh", s.path}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	if err := p.ready(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// ready waits until the server accepts a connection.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", p.address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended at once; its last words:\n%s", p.name, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w; its last words:\n%s", p.name, p.address, ctx.Err(), p.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the server: SIGTERM, and SIGKILL after the grace time.
func (p *process) stop() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(graceTime):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing %s: %w", p.name, err)
	}
	<-p.ended
	return nil
}

// tail is the end of the server's log.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// startAll starts every server in a folder of its own. stop ends them all and is
// to be called even after an error.
func startAll(ctx context.Context, servers []server) (running []*process, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "weft-compare-run-")
	if err != nil {
		return nil, func() error { return nil }, err
	}
	stop = func() error {
		var errs []error
		for _, p := range running {
			errs = append(errs, p.stop())
		}
		return errors.Join(append(errs, os.RemoveAll(dir))...)
	}
	for _, s := range servers {
		own := filepath.Join(dir, s.name)
		if err := os.Mkdir(own, 0o700); err != nil {
			return running, stop, err
		}
		p, err := start(ctx, s, own)
		if err != nil {
			return running, stop, err
		}
		running = append(running, p)
	}
	return running, stop, nil
}
