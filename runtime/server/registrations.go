package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/upstream/consul"
)

// registrations are the services that this weft is an instance of: others find it in
// Consul while it is ready, as /readyz says it.
type registrations struct {
	list  []*registration
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// registration is one of them.
type registration struct {
	registrar  *consul.Registrar
	service    string
	address    string
	registered atomic.Bool
	failures   atomic.Uint64
}

// leaveWithin is how long a drain waits for the agent: without it, services are
// critical by their TTL.
const leaveWithin = 2 * time.Second

// newRegistrations makes those of the configuration, for listeners with these
// addresses, in order. No agent is asked. Its errors wrap consul.ErrOptions.
func newRegistrations(cfg *config.Config, listening []net.Addr, log *slog.Logger, trust *secretSet) (*registrations, error) {
	rs := &registrations{stop: func() {}}
	var faults []error
	for i := range cfg.Consul.Register {
		r, err := newRegistration(cfg, &cfg.Consul.Register[i], listening, log, trust)
		if err != nil {
			place := fmt.Sprintf("consul.register.%d", i)
			faults = append(faults, fmt.Errorf("%s (%s): %w", place, cfg.Place(place), err))
			continue
		}
		rs.list = append(rs.list, r)
	}
	return rs, errors.Join(faults...)
}

func newRegistration(cfg *config.Config, c *config.ConsulService, listening []net.Addr, log *slog.Logger, trust *secretSet) (*registration, error) {
	var at netip.AddrPort
	for i := range cfg.Listeners {
		if cfg.Listeners[i].Name != c.Listener {
			continue
		}
		var err error // the system may have chosen the port
		if at, err = netip.ParseAddrPort(listening[i].String()); err != nil {
			return nil, fmt.Errorf("listener %s: %w", c.Listener, err)
		}
	}
	host, port, err := c.Reached(at)
	if err != nil {
		return nil, err
	}
	// The same after a restart, so that a weft that was killed takes its own place.
	r := &registration{service: c.Name, address: net.JoinHostPort(host, strconv.Itoa(port))}
	r.registrar, err = consul.NewRegistrar(consul.Registration{
		Name: c.Name, ID: c.Name + "-" + host + "-" + strconv.Itoa(port), Address: host, Port: port, Tags: c.Tags, Meta: c.Meta,
		TTL: 3 * c.CheckEvery.Std(), Report: r.report,
	}, consulOptions(cfg.Consul.Address, cfg.Consul.TokenFile, cfg.Consul.Datacenter, cfg.Consul.TLS, trust.client(consulName)), log)
	return r, err
}

// consulOptions are what a configuration says of an agent.
func consulOptions(address, tokenFile, datacenter string, t *config.ClientTLS, secure func(host string) *tls.Config) consul.Options {
	return consul.Options{Address: address, TokenFile: tokenFile, Datacenter: datacenter, TLS: secure, Secure: t != nil && t.CAFile != ""}
}

func (r *registration) report(registered bool, err error) {
	r.registered.Store(registered)
	if err != nil {
		r.failures.Add(1)
	}
}

// start registers, and keeps registered until leave or close. An agent that is away
// keeps weft from nothing else.
func (rs *registrations) start(ctx context.Context) {
	ctx, rs.stop = context.WithCancel(ctx)
	for _, r := range rs.list {
		rs.ended.Go(func() { r.registrar.Run(ctx) })
	}
}

// leave takes the services away, and waits until nobody new is sent here: until the
// agent has said so, but not for long. It comes before the listeners close.
func (rs *registrations) leave(ctx context.Context) {
	rs.stop()
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	left := make(chan struct{})
	go func() {
		defer close(left)
		rs.ended.Wait()
	}()
	select {
	case <-left:
	case <-ctx.Done(): // close waits for what is left
	}
}

// close takes the services away where leave has not, and ends.
func (rs *registrations) close() {
	rs.stop()
	rs.ended.Wait()
}

// metrics tell whether the services are registered.
func (rs *registrations) metrics() []admin.Metric {
	if len(rs.list) == 0 {
		return nil
	}
	registered := newFamily("weft_consul_registered", "Whether Consul has this weft as an instance of the service, as far as is known.", admin.Gauge, "service", "address")
	failures := newFamily("weft_consul_registration_failures_total", "Words to Consul about the service that were not taken.", admin.Counter, "service", "address")
	for _, r := range rs.list {
		registered.add(uint64(flag(r.registered.Load())), r.service, r.address)
		failures.add(r.failures.Load(), r.service, r.address)
	}
	return []admin.Metric{registered.Metric, failures.Metric}
}
