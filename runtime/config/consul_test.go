package config_test

import (
	"net/netip"
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

// TestPoolsInheritTheAgent: what a pool leaves out is as consul says, unless the pool
// asks another agent: that one gets no token and no certificate of this one.
func TestPoolsInheritTheAgent(t *testing.T) {
	c, err := config.Load(config.Options{File: "testdata/cases/consul.yaml", Presets: presets})
	if err != nil {
		t.Fatal(err)
	}
	const file, agent = "testdata/cases/present.wasm", "https://consul.example.org:8501"
	for name, want := range map[string]config.UpstreamConsul{
		"inherits":  {Address: agent, Datacenter: "dc1", TokenFile: file, TLS: c.Consul.TLS},
		"partly":    {Address: agent, Datacenter: "dc2", TokenFile: file, TLS: c.Consul.TLS},
		"elsewhere": {Address: "http://127.0.0.1:8500"},
	} {
		got := c.Upstreams[name].Consul
		if got.Address != want.Address || got.Datacenter != want.Datacenter || got.TokenFile != want.TokenFile || got.TLS != want.TLS {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if s := c.Upstreams["secure"].Consul; s.TLS == nil || s.TLS.CAFile != file || s.TLS.CertFile != "" || s.TokenFile != "" {
		t.Errorf("secure: %+v, %+v", s, s.TLS)
	}
	if a := config.Default().Consul.Address; a != "http://127.0.0.1:8500" {
		t.Error(a)
	}
	secure, err := config.Load(config.Options{File: "x.yaml", Data: []byte("consul: {tls: {server_name: x}}\n")})
	if err != nil || secure.Consul.Address != "https://127.0.0.1:8501" {
		t.Error(secure, err)
	}
}

func TestReached(t *testing.T) {
	for _, c := range []struct {
		s    config.ConsulService
		at   string
		host string
		port int
	}{
		{config.ConsulService{Listener: "l"}, "192.0.2.1:7", "192.0.2.1", 7},
		{config.ConsulService{Listener: "l"}, "[::ffff:192.0.2.1]:7", "192.0.2.1", 7},
		{config.ConsulService{Listener: "l", Address: "a.example.org"}, "0.0.0.0:7", "a.example.org", 7},
		{config.ConsulService{Listener: "l", Address: "a.example.org:8"}, "0.0.0.0:7", "a.example.org", 8},
		{config.ConsulService{Listener: "l", Address: "2001:db8::7"}, "[::]:7", "2001:db8::7", 7},
		{config.ConsulService{Listener: "l", Address: "[2001:db8::7]"}, "[::]:7", "2001:db8::7", 7},
		{config.ConsulService{Address: "[2001:db8::7]:9"}, "", "2001:db8::7", 9},
		{config.ConsulService{Address: "a.example.org"}, "", "", 0},
		{config.ConsulService{Address: "a:x"}, "", "", 0},
		{config.ConsulService{Address: "a:99999"}, "", "", 0},
		{config.ConsulService{Listener: "l", Address: "a b"}, "192.0.2.1:7", "", 0},
		{config.ConsulService{Listener: "l", Address: ":7"}, "192.0.2.1:7", "", 0},
	} {
		var at netip.AddrPort
		if c.at != "" {
			at = netip.MustParseAddrPort(c.at)
		}
		host, port, err := c.s.Reached(at)
		if host != c.host || port != c.port || (err == nil) != (c.host != "") {
			t.Errorf("%+v: %q, %d, %v", c.s, host, port, err)
		}
	}
}
