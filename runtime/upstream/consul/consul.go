// Package consul finds the members of upstream pools in Consul, and registers weft
// there, through Consul's official client.
package consul

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/weftrun/weft/runtime/upstream"
)

// Service discovers the instances of a service that pass all their checks: those
// that have all the tags. Weights are those of passing instances; what Consul knows
// besides is in labels ("node", "datacenter", "id", "tags", "meta.KEY"). That there
// are none is an answer, which leaves the pool without members; while the agent does
// not answer, the last answer stands. Its errors wrap ErrOptions.
func Service(name string, tags []string, o Options) (upstream.Discoverer, error) {
	if name == "" {
		return nil, fmt.Errorf("%w: the service has no name", ErrOptions)
	}
	c, err := connect(o)
	if err != nil {
		return nil, err
	}
	return &watch{client: c, name: name, tags: tags}, nil
}

type watch struct {
	*client
	name string
	tags []string
}

func (w *watch) String() string {
	if len(w.tags) == 0 {
		return "consul " + w.name
	}
	return "consul " + w.name + " (" + strings.Join(w.tags, ", ") + ")"
}

// Discover asks by blocking queries: each names the index of what is known, and is
// answered when there is something newer, or Options.Wait is over.
func (w *watch) Discover(ctx context.Context, logger *slog.Logger, found func(upstream.Found)) error {
	defer w.transport.CloseIdleConnections()
	var index uint64
	var failed int
	for {
		entries, next, err := w.ask(ctx, index)
		if ctx.Err() != nil {
			return nil
		}
		wait := w.options.Pause
		switch {
		case err != nil:
			if failed == 0 {
				logger.Warn("Consul does not tell the members; the last good answer stands", "discovery", w.String(), "error", err)
			}
			wait = backoff(failed)
			failed++
			index = 0 // whoever answers next is asked for all
			found(upstream.Found{Err: fmt.Errorf("%s: %w", w, err)})
		default:
			if failed > 0 {
				logger.Info("Consul answers again", "discovery", w.String(), "failed", failed)
			}
			if failed > 0 || next != index || index == 0 {
				found(upstream.Found{Endpoints: endpoints(entries)})
			}
			failed = 0
			// An index that goes back, or 0, begins from the start: Consul's servers
			// were restored, or the answer is of none of them.
			if next < index {
				next = 0
			}
			index = next
		}
		if sleep(ctx, wait) != nil {
			return nil
		}
	}
}

func (w *watch) ask(ctx context.Context, index uint64) ([]*api.ServiceEntry, uint64, error) {
	q, err := w.query()
	if err != nil {
		return nil, 0, err
	}
	q.WaitIndex, q.WaitTime = index, w.options.Wait
	// Consul answers up to a sixteenth later, so that not all ask at once.
	ctx, cancel := context.WithTimeout(ctx, w.options.Wait+w.options.Wait/16+answerWithin)
	defer cancel()
	entries, meta, err := w.Health().ServiceMultipleTags(w.name, w.tags, true, q.WithContext(ctx))
	if err != nil {
		return nil, 0, err
	}
	return entries, meta.LastIndex, nil
}

// answerWithin is how long an agent may take for what it has not to wait for.
const answerWithin = 10 * time.Second

func endpoints(entries []*api.ServiceEntry) []upstream.Endpoint {
	all := make([]upstream.Endpoint, 0, len(entries))
	for _, e := range entries {
		host := e.Service.Address
		if host == "" {
			host = e.Node.Address
		}
		labels := map[string]string{
			"node": e.Node.Node, "datacenter": e.Node.Datacenter, "id": e.Service.ID, "tags": strings.Join(e.Service.Tags, ","),
		}
		for key, value := range e.Service.Meta {
			labels["meta."+key] = value
		}
		all = append(all, upstream.Endpoint{
			Address: net.JoinHostPort(host, strconv.Itoa(e.Service.Port)), Weight: max(1, e.Service.Weights.Passing), Labels: labels,
		})
	}
	return all
}

// backoff is the pause after so many failures in a row: a second, doubled up to 32,
// a fifth more or less by chance.
func backoff(failed int) time.Duration {
	return time.Duration(float64(time.Second<<min(failed, 5)) * (0.8 + 0.4*rand.Float64()))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
