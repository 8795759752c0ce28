package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
)

// What a durable route takes once to a destination, beside its subscribers: a queue
// group, a name, two pools and shared subscriptions, each with one worker.
const (
	workQueue  = "queue"
	workNode   = "node"
	workWeb    = "web"  // a pool of one HTTP server
	workWeft   = "weft" // a pool of another weft, whose log takes over
	workShared = "shared"
	workReal   = "mosquitto" // a shared subscription of somebody else's client
)

// places are where the workers of a node's route are, and where they come to.
type places struct {
	queue, node string // addresses of listeners
	web, weft   string // addresses of pools' members
}

// worker is a consumer that comes to weft by another way than the subscribers do.
type worker struct {
	name string
	// run works until ctx ends, and calls ready when it has begun; it may do so again.
	run func(ctx context.Context, c *consumer, ready func()) error
}

// runWork kills weft, and now and then the other weft that is its pool's member.
func runWork(ctx context.Context, r *run) error { return r.work(ctx, (*node).Kill) }

// runWorkTerm is runWork with SIGTERM.
func runWorkTerm(ctx context.Context, r *run) error { return r.work(ctx, (*node).Stop) }

func (r *run) work(ctx context.Context, end func(*node) error) error {
	second, err := r.newNode("two", "127.0.0.1", settings{durable: true, sync: "always", entrance: true})
	if err != nil {
		return err
	}
	r.close(second.stop)
	if err := second.start(ctx); err != nil {
		return err
	}
	web, err := newWebWorker()
	if err != nil {
		return err
	}
	r.close(web.Close)
	at := &places{web: web.address, weft: second.entrance}
	first, err := r.newNode("one", "127.0.0.1", settings{durable: true, sync: "always", work: at})
	if err != nil {
		return err
	}
	r.close(first.stop)
	if err := first.start(ctx); err != nil {
		return err
	}
	t := traffic{mqtt: []string{first.mqtt}, apis: []string{first.api}, rate: workRate}
	t.workers = r.workers(first, second, at, web)
	return r.under(ctx, t, func(ctx context.Context) error {
		for i := range r.rounds() {
			wait(ctx, r.between(killAfter, killUntil))
			n := first
			if r.random.IntN(4) == 0 {
				n = second
			}
			if err := r.nothingDead(ctx, first, second); err != nil {
				return err
			}
			if err := end(n); err != nil {
				return fmt.Errorf("end %d of %s: %w", i+1, n.name, err)
			}
			r.figures["ends_"+n.name]++
			if err := n.start(ctx); err != nil {
				return fmt.Errorf("start %d of %s: %w", i+1, n.name, err)
			}
		}
		r.recovery(first)
		wait(ctx, killUntil)
		return errors.Join(first.died(), second.died(), r.nothingDead(ctx, first, second))
	})
}

// workRate is how many messages a second each publisher sends: each is delivered eight
// times, on two cores with the clients.
const workRate = 100

// nothingDead looks that no message was given up, as often as weft forgets what it has
// counted.
func (r *run) nothingDead(ctx context.Context, nodes ...*node) error {
	for _, n := range nodes {
		counts, err := n.metrics(ctx, "weft_log_dead_total", "weft_log_redeliveries_total", "weft_dead_letters")
		if err != nil {
			return fmt.Errorf("metrics of %s: %w", n.name, errors.Join(err, n.died()))
		}
		for name, value := range counts {
			switch {
			case value == 0:
			case isDead(name):
				return fmt.Errorf("%s: %s is %v: a message was given up", n.name, name, value)
			default:
				r.figures["offered_again"] += value
			}
		}
	}
	return nil
}

// workers are those of the first weft's route.
func (r *run) workers(first, second *node, at *places, web *webWorker) []worker {
	random := rand.New(rand.NewPCG(r.seed, 3))
	all := []worker{
		{workQueue, (&frameWorker{address: at.queue, random: rand.New(rand.NewPCG(r.seed, 4))}).run},
		{workNode, (&frameWorker{address: at.node, random: rand.New(rand.NewPCG(r.seed, 5))}).run},
		{workWeb, web.run},
		{workWeft, subscribed([]string{second.mqtt}, topicPrefix+"/#", rand.New(rand.NewPCG(r.seed, 6)))},
		{workShared, subscribed([]string{first.mqtt}, "$share/own/"+topicPrefix+"/#", random)},
	}
	path, err := exec.LookPath("mosquitto_sub")
	lines, noLines := exec.LookPath("stdbuf")
	if err == nil && noLines == nil {
		all = append(all, worker{workReal, (&mosquitto{lines: lines, path: path, address: first.mqtt, filter: "$share/real/" + topicPrefix + "/#"}).run})
	} else {
		r.note("mosquitto_sub or stdbuf is not there: no shared subscription of somebody else's client")
	}
	return all
}

// subscribed is a worker that subscribes.
func subscribed(addresses []string, filter string, random *rand.Rand) func(context.Context, *consumer, func()) error {
	return func(ctx context.Context, c *consumer, ready func()) error {
		s := newSubscriber(addresses, filter, c, random)
		go func() {
			select {
			case <-s.ready:
				ready()
			case <-ctx.Done():
			}
		}()
		return s.run(ctx)
	}
}
