package server

import (
	"crypto/tls"
	"fmt"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/tlsconf"
)

// clientSecret is the TLS by which weft connects to somebody.
type clientSecret struct {
	name   string           // the key in the configuration whose tls it is: upstreams.NAME, upstreams.NAME.consul, consul, tracing
	of     config.ClientTLS // what the configuration says of it
	client *tlsconf.Client
}

// consulName is the name of the agent that all share.
const consulName = "consul"

func poolName(pool string) string       { return "upstreams." + pool }
func poolConsulName(pool string) string { return poolName(pool) + ".consul" }

// addClients reads the files of pools and of Consul's agents. Pools that have the
// agent of the whole configuration have their own copy of its TLS.
func (s *secrets) addClients(cfg *config.Config, set, former *secretSet) (faults []error) {
	add := func(name string, t *config.ClientTLS) {
		if t == nil {
			return
		}
		for _, was := range former.clients {
			if was.name == name && was.of == *t {
				set.clients = append(set.clients, was)
				return
			}
		}
		c, err := tlsconf.NewClient(tlsconf.ClientConfig{CA: t.CAFile, Cert: t.CertFile, Key: t.KeyFile, ServerName: t.ServerName, Logger: s.log.With("of", name)})
		if err != nil {
			faults = append(faults, fmt.Errorf("%s.tls: %w (%s)", name, err, cfg.Place(name+".tls")))
			return
		}
		set.clients = append(set.clients, &clientSecret{name, *t, c})
	}
	for _, name := range sortedKeys(cfg.Upstreams) {
		u := cfg.Upstreams[name]
		add(poolName(name), u.TLS)
		if u.Consul != nil {
			add(poolConsulName(name), u.Consul.TLS)
		}
	}
	add(consulName, cfg.Consul.TLS)
	add(tracingName, cfg.Tracing.TLS)
	return faults
}

// client is the TLS of that name, to be asked for each connection; nil for none.
func (set *secretSet) client(name string) func(host string) *tls.Config {
	for _, at := range set.clients {
		if at.name == name {
			return at.client.For
		}
	}
	return nil
}

// clientMetrics are those of the files by which weft connects to others.
func (s *secrets) clientMetrics() []admin.Metric {
	if len(s.all.Load().clients) == 0 {
		return nil
	}
	reloads := newFamily("weft_tls_client_reloads_total", "Times that changed certificates, keys or CAs were read by which weft connects to others, by whether they are in use now.", admin.Counter, "of", "result")
	expiry := newFamily("weft_tls_client_certificate_expiry_seconds", "When weft's own certificate for others expires, in seconds since 1970.", admin.Gauge, "of")
	for _, at := range s.all.Load().clients {
		st := at.client.Stats()
		reloads.add(st.Reloads, at.name, "taken")
		reloads.add(st.Failures, at.name, "refused")
		if !st.NotAfter.IsZero() {
			expiry.add(uint64(max(st.NotAfter.Unix(), 0)), at.name)
		}
	}
	return []admin.Metric{reloads.Metric, expiry.Metric}
}
