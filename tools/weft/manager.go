package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/weftrun/weft/runtime/server"
	"github.com/weftrun/weft/runtime/systemd"
)

// manager is the service manager that has started weft, if one has.
type manager struct {
	*systemd.Notifier
	log     *slog.Logger
	sockets map[string][]*os.File
	status  string // while it runs
}

func newManager(sys system, log *slog.Logger) (*manager, error) {
	n, err := systemd.NewNotifier(sys.getenv, os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("the service manager: %w", err)
	}
	m := &manager{Notifier: n, log: log}
	if m.sockets, err = systemd.Sockets(sys.getenv, os.Getpid()); err != nil {
		_ = n.Close()
		return nil, fmt.Errorf("the service manager: %w", err)
	}
	return m, nil
}

// watch tells the manager that weft runs, while it lives, and when it begins to end,
// until the function that it returns is called.
func (m *manager) watch(ctx context.Context, srv *server.Server) (stop func()) {
	m.told(m.Ready(m.status))
	watched, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it lives while it drains
	var busy sync.WaitGroup
	busy.Go(func() { m.Watch(watched, srv.Beats, m.log) })
	busy.Go(func() {
		select {
		case <-ctx.Done():
			m.told(m.Stopping("draining: what was accepted is delivered"))
		case <-watched.Done():
		}
	})
	return func() {
		cancel()
		busy.Wait()
	}
}

// runs notes what weft is while it runs.
func (m *manager) runs(srv *server.Server) {
	m.status = fmt.Sprintf("running: %d addresses", len(srv.Addresses()))
}

func (m *manager) reloading() { m.told(m.Reloading()) }

// reloaded tells how a reload has ended: weft runs in any case.
func (m *manager) reloaded(err error) {
	if err != nil {
		m.told(m.Ready(m.status + "; the configuration was refused and the old one is in force: see the log"))
		return
	}
	m.told(m.Ready(m.status))
}

func (m *manager) told(err error) {
	if err != nil {
		m.log.Warn("the service manager was not told", "error", err)
	}
}
