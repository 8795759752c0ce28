package natstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/ports"
)

// Leader is the server that leads a JetStream stream by its full name, such as
// KV_weft_sessions; with no name, the one that leads JetStream itself. It waits for
// one to be chosen.
func Leader(t testing.TB, list []*Server, stream string) *Server {
	t.Helper()
	var leader *Server
	err := poll(startWithin, func() error {
		for _, s := range list {
			if s.process == nil {
				continue
			}
			name, err := s.leader(stream)
			if err != nil {
				continue
			}
			for _, other := range list {
				if other.Name() == name && other.process != nil {
					leader = other
					return nil
				}
			}
		}
		return errors.New("nobody leads")
	})
	if err != nil {
		t.Fatalf("leader of %q: %v", stream, err)
	}
	return leader
}

func (s *Server) leader(stream string) (string, error) {
	body, err := s.get("/jsz?streams=true&accounts=true")
	if err != nil {
		return "", err
	}
	type cluster struct {
		Leader string `json:"leader"`
	}
	var info struct {
		Meta     cluster `json:"meta_cluster"`
		Accounts []struct {
			Streams []struct {
				Name    string  `json:"name"`
				Cluster cluster `json:"cluster"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return "", err
	}
	if stream == "" {
		return info.Meta.Leader, nil
	}
	for _, a := range info.Accounts {
		for _, one := range a.Streams {
			if one.Name == stream {
				return one.Cluster.Leader, nil
			}
		}
	}
	return "", fmt.Errorf("%s has no stream %q", s.Name(), stream)
}

// group writes the configuration of servers that belong together, on free ports.
func group(t testing.TB, options []Options) []*Server {
	t.Helper()
	list := make([]*Server, len(options))
	var routes []string
	for i, o := range options {
		if o.Name == "" {
			o.Name = "nats" + strconv.Itoa(i+1)
		}
		if o.Host == "" {
			o.Host = "127.0.0.1"
		}
		home := t.TempDir()
		if o.Dir == "" {
			o.Dir = filepath.Join(home, "data")
		}
		s := &Server{t: t, options: o, config: filepath.Join(home, "nats.conf"), log: filepath.Join(home, "nats.log")}
		s.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: startWithin / 10}
		if len(o.Exec) > 0 {
			// Elsewhere all ports are free, and loopback is another one.
			s.port, s.monitor, s.routes = 4222, 8222, 6222
		} else {
			free := reserve(t, 3)
			s.port, s.monitor, s.routes = free[0], free[1], free[2]
		}
		if len(options) == 1 {
			s.routes = 0
		}
		routes = append(routes, fmt.Sprintf("nats://%s", net.JoinHostPort(o.Host, strconv.Itoa(s.routes))))
		list[i] = s
		t.Cleanup(s.Kill)
	}
	for _, s := range list {
		if err := os.WriteFile(s.config, []byte(s.configuration(routes)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// reserve returns ports that are the test's until it ends: a server that is started
// again must have the one it had.
func reserve(t testing.TB, n int) []int {
	t.Helper()
	list := make([]int, n)
	for i := range list {
		port, release, err := ports.Reserve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		list[i] = port
	}
	return list
}

func (s *Server) configuration(routes []string) string {
	o := s.options
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("server_name: %q\nlisten: %q\nhttp: %q", o.Name, s.Addr(), net.JoinHostPort(o.Host, strconv.Itoa(s.monitor)))
	if !o.NoJetStream {
		sync := o.Sync
		if sync == "" {
			sync = "always"
		}
		line("jetstream { store_dir: %q, sync_interval: %q, max_file_store: 4GB, max_memory_store: 256MB }", o.Dir, sync)
	}
	switch {
	case o.User != "":
		line("authorization { user: %q, password: %q }", o.User, o.Password)
	case o.Token != "":
		line("authorization { token: %q }", o.Token)
	case o.NKey != "":
		line("authorization { users: [ { nkey: %q } ] }", o.NKey)
	}
	if o.Cert != "" {
		line("tls { cert_file: %q, key_file: %q", o.Cert, o.Key)
		if o.CA != "" {
			line("ca_file: %q, verify: true", o.CA)
		}
		line("}")
	}
	if s.routes != 0 {
		line("cluster { name: test, listen: %q, routes: [%s] }", net.JoinHostPort(o.Host, strconv.Itoa(s.routes)), strings.Join(routes, ", "))
	}
	line("%s", o.Config)
	return b.String()
}
