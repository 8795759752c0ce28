package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// cluster is three weft on a cluster of three nats-server.
type cluster struct {
	nats    []*natsServer
	nodes   []*node
	network *network // nil: all on loopback
}

const machines = 3

// cluster starts them all, each pair on a machine of its own if asked to.
func (r *run) cluster(ctx context.Context, apart bool) (*cluster, error) {
	c := &cluster{}
	places := make([]place, machines)
	hosts := make([]string, machines)
	for i := range places {
		places[i], hosts[i] = place{host: "127.0.0.1", monitor: "127.0.0.1"}, "127.0.0.1"
	}
	if apart {
		var err error
		c.network, err = newNetwork(machines)
		r.close(c.network.close)
		if err != nil {
			return nil, err
		}
		for i := range places {
			hosts[i] = c.network.inside(i).String()
			places[i] = place{host: c.network.host(i).String(), monitor: hosts[i], wrap: c.network.wrap(i)}
		}
	}
	var err error
	if c.nats, err = r.natsServers(ctx, places); err != nil {
		return nil, err
	}
	for i := range machines {
		urls := make([]string, machines) // its own server first
		for j := range urls {
			urls[j] = c.nats[(i+j)%machines].url()
		}
		n, err := r.newNode(fmt.Sprintf("weft%d", i+1), hosts[i], settings{durable: true, sync: "always", nats: urls})
		if err != nil {
			return nil, err
		}
		n.wrap = places[i].wrap
		r.close(n.stop)
		if err := n.start(ctx); err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, n)
	}
	return c, nil
}

// traffic goes to all nodes.
func (c *cluster) traffic() (t traffic) {
	for _, n := range c.nodes {
		t.mqtt = append(t.mqtt, n.mqtt)
		t.apis = append(t.apis, n.api)
	}
	return t
}

// well tells whether a node has ended by itself.
func (c *cluster) well() error {
	for _, n := range c.nodes {
		if err := n.died(); err != nil {
			return err
		}
	}
	return nil
}

// runLeader kills or stops the server that leads the route's stream.
func runLeader(ctx context.Context, r *run) error {
	c, err := r.cluster(ctx, false)
	if err != nil {
		return err
	}
	return r.under(ctx, c.traffic(), func(ctx context.Context) error {
		for range r.rounds() {
			wait(ctx, r.between(time.Second, 3*time.Second))
			s, stream, err := routeLeader(ctx, c.nats)
			if err != nil {
				return err
			}
			kill, away := r.random.IntN(3) > 0, r.between(500*time.Millisecond, 5*time.Second)
			r.figures["led_"+stream]++
			if kill {
				err = s.Kill()
			} else {
				err = s.Signal(syscall.SIGSTOP)
			}
			if err != nil {
				return err
			}
			wait(ctx, away)
			if kill {
				err = s.start(ctx)
			} else {
				err = s.Signal(syscall.SIGCONT)
			}
			if err != nil {
				return err
			}
			if err := r.back(ctx, c); err != nil {
				return err
			}
		}
		return c.well()
	})
}

// back waits until the cluster is whole again and acknowledges.
func (r *run) back(ctx context.Context, c *cluster) error {
	for _, s := range c.nats {
		if err := s.healthy(ctx); err != nil {
			return err
		}
	}
	took, err := r.acknowledgedAgain(ctx)
	if err != nil {
		return fmt.Errorf("after the fault was over: %w", err)
	}
	r.figures["acknowledged_again_ms_max"] = max(r.figures["acknowledged_again_ms_max"], milliseconds(took))
	return c.well()
}

// runRoll ends one weft after the other and starts it again. Its clients go to
// another one.
func runRoll(ctx context.Context, r *run) error {
	c, err := r.cluster(ctx, false)
	if err != nil {
		return err
	}
	var ends times
	return r.under(ctx, c.traffic(), func(ctx context.Context) error {
		for range r.rounds() {
			for _, n := range c.nodes {
				wait(ctx, r.between(500*time.Millisecond, 2*time.Second))
				begun := time.Now()
				if err := n.Stop(); err != nil {
					return fmt.Errorf("SIGTERM: %w; its last words:\n%s", err, n.Tail())
				}
				ends = append(ends, time.Since(begun))
				if err := n.start(ctx); err != nil {
					return err
				}
			}
		}
		wait(ctx, time.Second)
		r.figures["end_ms_median"], r.figures["end_ms_max"] = ends.median(), ends.most()
		return c.well()
	})
}

// judgeMoved is what the ledger finds, and whether sessions were there on the other
// node.
func judgeMoved(r *run, v *verdict) []string {
	faults := v.faults(true)
	if n := r.figures["sessions_forgotten"]; n > 0 {
		faults = append(faults, fmt.Sprintf("%.0f times a node did not know a session that came from another", n))
	}
	return faults
}

// runPartition cuts one machine, with its weft and its nats-server, off from the
// other two. Clients reach them all.
func runPartition(ctx context.Context, r *run) error {
	c, err := r.cluster(ctx, true)
	if err != nil {
		return err
	}
	return r.under(ctx, c.traffic(), func(ctx context.Context) error {
		for range r.rounds() {
			wait(ctx, r.between(time.Second, 3*time.Second))
			i := r.random.IntN(machines)
			if err := c.network.cut(i); err != nil {
				return err
			}
			wait(ctx, r.between(time.Second, 10*time.Second))
			if err := c.network.heal(i); err != nil {
				return err
			}
			if err := r.back(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// runForward takes the external NATS away for a while: weft goes on accepting, and
// forwards in order when it is back.
func runForward(ctx context.Context, r *run) error { return r.forward(ctx, false) }

// runForwardKill kills weft meanwhile, too: it starts without its backbone.
func runForwardKill(ctx context.Context, r *run) error { return r.forward(ctx, true) }

func (r *run) forward(ctx context.Context, kill bool) error {
	servers, err := r.natsServers(ctx, []place{{host: "127.0.0.1", monitor: "127.0.0.1"}})
	if err != nil {
		return err
	}
	s := servers[0]
	n, err := r.single(ctx, settings{durable: true, sync: "always", nats: []string{s.url()}})
	if err != nil {
		return err
	}
	t := traffic{mqtt: []string{n.mqtt}, apis: []string{n.api}, rate: 200}
	return r.under(ctx, t, func(ctx context.Context) error {
		for i := range r.rounds() {
			wait(ctx, r.between(time.Second, 3*time.Second))
			if err := s.Kill(); err != nil {
				return err
			}
			away := r.between(3*time.Second, 8*time.Second)
			wait(ctx, away/2)
			if kill {
				if err := n.Kill(); err != nil {
					return err
				}
				if err := n.start(ctx); err != nil {
					return fmt.Errorf("start while the backbone is away: %w", err)
				}
			}
			before := r.ledger.acknowledged()
			wait(ctx, away/2)
			if r.ledger.acknowledged() == before { // the backbone stays away until something is
				if _, err := r.acknowledgedAgain(ctx); err != nil {
					return fmt.Errorf("outage %d: while the backbone was away: %w", i+1, err)
				}
			}
			r.figures["acknowledged_while_away"] += float64(r.ledger.acknowledged() - before)
			if err := n.died(); err != nil {
				return err
			}
			if err := s.start(ctx); err != nil {
				return err
			}
		}
		wait(ctx, 2*time.Second)
		return n.died()
	})
}
