package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/weftrun/weft/tools/load"
	"github.com/weftrun/weft/tools/program"
)

// maxConnections keeps the driver below the limit of 20,000 open files that a
// process commonly has.
const maxConnections = 19_000

// settleTime is how long a server gets to give memory back before it is measured.
const settleTime = 2 * time.Second

// memory measures each server once, in a fresh process: the resident memory with
// the connections less that without, divided by their number.
func memory(ctx context.Context, _ scenario, o options, servers []server, words io.Writer) ([]row, error) {
	var rows []row
	for _, s := range servers {
		bytes, err := idle(ctx, s, o.connections)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		program.Say(words, "  %-10s %.0f bytes a connection (%d connections)", s.name, bytes, o.connections)
		rows = append(rows, row{server: s, bytes: []float64{bytes}})
	}
	return rows, nil
}

// idle is how many bytes each of n connections takes after one exchange.
func idle(ctx context.Context, s server, n int) (bytes float64, err error) {
	running, stop, err := startAll(ctx, []server{s})
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return 0, err
	}
	p := running[0]
	if err := pause(ctx, settleTime/4); err != nil {
		return 0, err
	}
	empty, err := load.ProcessMemory(p.PID())
	if err != nil {
		return 0, err
	}
	conns, err := exchange(ctx, p, n)
	defer func() {
		for _, c := range conns {
			_ = c.Close() // the server is about to end
		}
	}()
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, settleTime); err != nil {
		return 0, err
	}
	full, err := load.ProcessMemory(p.PID())
	if err != nil {
		return 0, err
	}
	return float64(full-empty) / float64(n), nil
}

// exchange opens n connections, some at a time, each with one exchange: the
// handshake's, or a message whose acknowledgement comes back.
func exchange(ctx context.Context, p *running, n int) ([]net.Conn, error) {
	protocol, err := p.protocol()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 60*time.Second, errors.New("opening the connections takes more than 60 s"))
	defer cancel()
	const hands = 16
	parts := make([][]net.Conn, hands)
	errs := make([]error, hands)
	var group sync.WaitGroup
	for hand := range hands {
		group.Go(func() {
			for i := hand; i < n && errs[hand] == nil; i += hands {
				conn, err := one(ctx, p.address, protocol, i)
				if conn != nil {
					parts[hand] = append(parts[hand], conn)
				}
				errs[hand] = err
			}
		})
	}
	group.Wait()
	var conns []net.Conn
	for _, part := range parts {
		conns = append(conns, part...)
	}
	return conns, errors.Join(errs...)
}

func one(ctx context.Context, address string, protocol load.Protocol, i int) (net.Conn, error) {
	conn, _, err := load.Dial(ctx, address, protocol, load.Peer{Role: load.RolePublisher, Index: i}, 10*time.Second)
	if err != nil {
		return nil, err
	}
	if protocol.Name() != "redis" {
		return conn, nil
	}
	// Redis has no handshake: one PUBLISH and its answer.
	message, err := protocol.Append(nil, load.Publication{Topic: "truck/bench/telemetry", Payload: make([]byte, 128)})
	if err == nil {
		_, err = conn.Write(message)
	}
	if err == nil {
		err = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	}
	if err == nil {
		_, err = conn.Read(make([]byte, 64))
	}
	return conn, err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
