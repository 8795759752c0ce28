package consul

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"
)

// Registration is a service of weft's own, as others find it.
type Registration struct {
	// Name of the service; ID of this instance, unique on the agent. Both required.
	Name, ID string
	// Address and Port that others dial; an empty address is the agent's.
	Address string
	Port    int
	Tags    []string
	Meta    map[string]string
	// TTL is how long the instance passes without a word from weft, which comes three
	// times as often; 0 is 15 s. At least 1 s.
	TTL time.Duration
	// Forget is how long after the TTL Consul takes away an instance that says nothing
	// (at least 1 min, Consul's own bound); 0 is 10 min.
	Forget time.Duration
	// Report, if it is not nil, is told by Run after every word to the agent whether
	// the agent has the service, as far as is known, and what went wrong. It must not
	// wait.
	Report func(registered bool, err error)
}

// Register makes a [Registrar] and runs it.
func Register(ctx context.Context, r Registration, o Options, logger *slog.Logger) error {
	g, err := NewRegistrar(r, o, logger)
	if err != nil {
		return err
	}
	g.Run(ctx)
	return nil
}

// Registrar keeps one registration. It is run once.
type Registrar struct {
	*client
	Registration
	logger     *slog.Logger
	registered bool
	failed     int // in a row
}

// NewRegistrar checks everything that can be without asking the agent. Its errors wrap
// ErrOptions. The registration's tags and meta are copied.
func NewRegistrar(r Registration, o Options, logger *slog.Logger) (*Registrar, error) {
	if err := r.whole(); err != nil {
		return nil, err
	}
	c, err := connect(o)
	if err != nil {
		return nil, err
	}
	return &Registrar{client: c, Registration: r, logger: logger.With("service", r.Name, "id", r.ID)}, nil
}

// Run registers the service, keeps its check passing until the context ends, and then
// makes it critical and takes it away (within 5 s). It registers again when the agent
// has forgotten it, and waits for an agent that is not there, longer each time.
func (g *Registrar) Run(ctx context.Context) {
	defer g.transport.CloseIdleConnections()
	for {
		wait := g.beat(ctx)
		if sleep(ctx, wait) != nil {
			g.leave(ctx)
			return
		}
	}
}

func (r *Registration) whole() error {
	if r.TTL == 0 {
		r.TTL = 15 * time.Second
	}
	if r.Forget == 0 {
		r.Forget = 10 * time.Minute
	}
	switch {
	case r.Name == "" || r.ID == "":
		return fmt.Errorf("%w: a registration needs a name and an id", ErrOptions)
	case r.Port < 0 || r.Port > 65535:
		return fmt.Errorf("%w: the port of %s is %d; expected 0 to 65535", ErrOptions, r.Name, r.Port)
	case r.TTL < time.Second:
		return fmt.Errorf("%w: the TTL of %s is %v; expected at least 1s", ErrOptions, r.Name, r.TTL)
	case r.Forget < time.Minute:
		return fmt.Errorf("%w: %s is to be forgotten after %v; expected at least 1m", ErrOptions, r.Name, r.Forget)
	}
	r.Tags, r.Meta = slices.Clone(r.Tags), maps.Clone(r.Meta)
	return nil
}

// beat says that the service is well, or registers it, and tells when to come again.
// An agent that refuses the word has forgotten the service, most likely: it is
// registered again, which does no harm if not.
func (g *Registrar) beat(ctx context.Context) time.Duration {
	var err error
	if g.registered {
		if err = g.say(ctx, api.HealthPassing, ""); err == nil {
			g.report(nil)
			return g.TTL / 3
		}
		g.registered = false
	}
	if again := g.register(ctx); again == nil {
		g.logger.Info("registered in Consul", "failed", g.failed, "after", err)
		g.registered, g.failed = true, 0
		g.report(nil)
		return g.TTL / 3
	} else if ctx.Err() == nil {
		if g.failed == 0 {
			g.logger.Warn("not registered in Consul; it is tried again, less often each time", "error", again)
		}
		g.failed++
		g.report(again)
	}
	return backoff(max(0, g.failed-1))
}

// question bounds one question, which is short.
func (g *Registrar) question(ctx context.Context, ask func(*api.QueryOptions) error) error {
	q, err := g.query()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, min(g.TTL/3, answerWithin))
	defer cancel()
	// A service is registered with the agent: it has the agent's datacenter.
	q.Datacenter = ""
	return ask(q.WithContext(ctx))
}

func (g *Registrar) register(ctx context.Context) error {
	return g.question(ctx, func(q *api.QueryOptions) error {
		o := api.ServiceRegisterOpts{ReplaceExistingChecks: true, Token: q.Token}.WithContext(q.Context())
		return g.Agent().ServiceRegisterOpts(&api.AgentServiceRegistration{
			Name: g.Name, ID: g.ID, Address: g.Address, Port: g.Port, Tags: g.Tags, Meta: g.Meta,
			Check: &api.AgentServiceCheck{
				CheckID: g.check(), TTL: g.TTL.String(), Status: api.HealthPassing, DeregisterCriticalServiceAfter: g.Forget.String(),
			},
		}, o)
	})
}

func (g *Registrar) check() string { return "weft:" + g.ID }

// say tells how the service is, with a note for people.
func (g *Registrar) say(ctx context.Context, health, note string) error {
	return g.question(ctx, func(q *api.QueryOptions) error {
		return g.Agent().UpdateTTLOpts(g.check(), note, health, q)
	})
}

func (g *Registrar) report(err error) {
	if g.Report != nil {
		g.Report(g.registered, err)
	}
}

// leaveWithin is how long the end may take.
const leaveWithin = 5 * time.Second

// leave takes the service away, whether it is known to be there or not: an answer
// may have been lost. It is critical before, so that nobody is sent here even if the
// agent does not take it away.
func (g *Registrar) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	half, done := context.WithTimeout(ctx, leaveWithin/2)
	defer done()
	if err := g.say(half, api.HealthCritical, "weft is draining"); err != nil {
		g.logger.Debug("not made critical in Consul", "error", err)
	}
	err := g.question(ctx, func(q *api.QueryOptions) error { return g.Agent().ServiceDeregisterOpts(g.ID, q) })
	switch {
	case err == nil:
		g.registered = false
		g.logger.Info("deregistered from Consul")
		g.report(nil)
	case g.registered:
		g.logger.Warn("not deregistered from Consul; it will find out by the TTL", "error", err)
		g.report(err)
	}
}
