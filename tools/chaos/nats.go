package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weftrun/weft/tools/process"
)

// natsPackage is the program, at the version of go.mod.
const natsPackage = "github.com/nats-io/nats-server/v2"

// natsServer is one nats-server process that is broken and started again.
type natsServer struct {
	name    string
	dir     string
	binary  string
	config  string   // file
	client  string   // address
	routes  string   // address for the other servers; empty: it is alone
	monitor string   // address
	wrap    []string // how to run it in a network of its own

	*process.Process
	starts int
}

// place is where a server listens: for clients and other servers, and for us.
type place struct {
	host, monitor string
	wrap          []string
}

// natsServers writes the configuration of servers that are one cluster, or of one
// that is alone.
func (r *run) natsServers(ctx context.Context, places []place) (all []*natsServer, err error) {
	binary, err := r.natsBinary(ctx)
	if err != nil {
		return nil, err
	}
	address := func(host string) string {
		port, failed := process.FreePort()
		err = errors.Join(err, failed)
		return net.JoinHostPort(host, fmt.Sprint(port))
	}
	var routes []string
	for i, p := range places {
		s := &natsServer{name: fmt.Sprintf("nats%d", i+1), binary: binary, wrap: p.wrap, client: address(p.host), monitor: address(p.monitor)}
		if len(places) > 1 {
			s.routes = address(p.host)
			routes = append(routes, "nats://"+s.routes)
		}
		s.dir = filepath.Join(r.dir, s.name)
		s.config = filepath.Join(s.dir, "nats.conf")
		all = append(all, s)
	}
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		text := fmt.Sprintf("server_name: %q\nlisten: %q\nhttp: %q\njetstream { store_dir: %q, sync_interval: always, max_file_store: 8GB, max_memory_store: 256MB }\n",
			s.name, s.client, s.monitor, filepath.Join(s.dir, "data"))
		if s.routes != "" {
			text += fmt.Sprintf("cluster { name: chaos, listen: %q, routes: [%s] }\n", s.routes, strings.Join(routes, ", "))
		}
		if err := errors.Join(os.MkdirAll(s.dir, 0o700), os.WriteFile(s.config, []byte(text), 0o600)); err != nil {
			return nil, err
		}
		r.close(s.stop)
		if err := s.start(ctx); err != nil {
			return nil, err
		}
	}
	for _, s := range all {
		if err := s.healthy(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// natsBinary builds nats-server where none is given, once for all scenarios.
func (r *run) natsBinary(ctx context.Context) (string, error) {
	if r.nats != "" {
		return r.nats, nil
	}
	dir := filepath.Dir(r.dir)
	path := filepath.Join(dir, "nats-server")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return process.Build(ctx, dir, "nats-server", natsPackage)
}

// start runs the server until it listens.
func (s *natsServer) start(ctx context.Context) (err error) {
	s.starts++
	s.Process, err = process.Start(ctx, process.Options{
		Name: s.name, Command: append(append([]string(nil), s.wrap...), s.binary, "-c", s.config),
		Log: filepath.Join(s.dir, fmt.Sprintf("start-%03d.log", s.starts)), Ready: process.Answers("http://" + s.monitor + "/varz"), Grace: 5 * time.Second,
	})
	return err
}

// stop ends the server in whatever state it is.
func (s *natsServer) stop() error {
	if s.Process == nil {
		return nil
	}
	_ = s.Signal(syscall.SIGCONT) // it may stand still
	if err := s.Stop(); !errors.Is(err, process.ErrKilled) {
		return err
	}
	return nil
}

// healthy waits until JetStream works and has caught up.
func (s *natsServer) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		err := process.Answers("http://" + s.monitor + "/healthz")(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s is not healthy: %w; its last words:\n%s", s.name, err, s.Tail())
		}
		wait(ctx, 50*time.Millisecond)
	}
}

// url is where weft finds it.
func (s *natsServer) url() string { return "nats://" + s.client }

// leaders are the servers that lead streams, by the stream's name.
func (s *natsServer) leaders(ctx context.Context) (map[string]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.monitor+"/jsz?streams=true&accounts=true", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var told struct {
		Accounts []struct {
			Streams []struct {
				Name    string `json:"name"`
				Cluster struct {
					Leader string `json:"leader"`
				} `json:"cluster"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&told); err != nil {
		return nil, err
	}
	leaders := map[string]string{}
	for _, a := range told.Accounts {
		for _, one := range a.Streams {
			leaders[one.Name] = one.Cluster.Leader
		}
	}
	return leaders, nil
}

// routeLeader is the server that leads the stream of the durable route, or, while
// there is none, that of any stream.
func routeLeader(ctx context.Context, all []*natsServer) (*natsServer, string, error) {
	for begun := time.Now(); time.Since(begun) < readyWithin && ctx.Err() == nil; wait(ctx, 100*time.Millisecond) { // one is chosen
		if s, stream := routeLeaderNow(ctx, all); s != nil {
			return s, stream, nil
		}
	}
	return nil, "", fmt.Errorf("no stream has had a leader for %s", readyWithin)
}

func routeLeaderNow(ctx context.Context, all []*natsServer) (*natsServer, string) {
	for _, asked := range all {
		leaders, err := asked.leaders(ctx)
		if err != nil {
			continue
		}
		var names []string
		for name := range leaders {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int { // the route's first
			return 2*(order(strings.Contains(b, topicPrefix))-order(strings.Contains(a, topicPrefix))) + strings.Compare(a, b)
		})
		for _, name := range names {
			for _, s := range all {
				if s.name == leaders[name] {
					return s, name
				}
			}
		}
	}
	return nil, ""
}

func order(first bool) int {
	if first {
		return 1
	}
	return 0
}
