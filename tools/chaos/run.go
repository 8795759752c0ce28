package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/weftrun/weft/tools/program"
)

// topicPrefix begins the topics of all messages.
const topicPrefix = "chaos"

// run is one scenario that runs.
type run struct {
	options
	scenario *scenario
	weft     string // binary
	dir      string
	words    io.Writer
	random   *rand.Rand // of the faults; publishers and subscribers have their own
	figures  map[string]float64
	notes    []string

	ledger *ledger
	pace   *pace
	closes []func() error // in their order; run backwards
}

// newRun is a run whose every choice follows from the seed and the scenario.
func newRun(o options, s *scenario, weft, dir string, words io.Writer) *run {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.name))
	r := &run{options: o, scenario: s, weft: weft, dir: filepath.Join(dir, s.name), words: words, figures: map[string]float64{}, pace: newPace()}
	r.random = rand.New(rand.NewPCG(o.seed, h.Sum64()))
	return r
}

// rounds is how many faults there are.
func (r *run) rounds() int {
	switch {
	case r.options.rounds > 0:
		return r.options.rounds
	case r.quick:
		return r.scenario.quick
	}
	return r.scenario.rounds
}

// between is a random time.
func (r *run) between(least, most time.Duration) time.Duration {
	return least + time.Duration(r.random.Int64N(int64(most-least)))
}

func (r *run) say(format string, args ...any) {
	program.Say(r.words, "  "+format, args...)
}

// note is something that the report should tell.
func (r *run) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// close is what ends when the run does.
func (r *run) close(f func() error) { r.closes = append(r.closes, f) }

func (r *run) end() (err error) {
	for i := len(r.closes) - 1; i >= 0; i-- {
		err = errors.Join(err, r.closes[i]())
	}
	r.closes = nil
	return err
}

// single starts the only weft of a scenario.
func (r *run) single(ctx context.Context, s settings) (*node, error) {
	n, err := r.newNode("one", "127.0.0.1", s)
	if err != nil {
		return nil, err
	}
	r.close(n.stop)
	return n, n.start(ctx)
}

// traffic is where the clients of a scenario go.
type traffic struct {
	mqtt []string // addresses for publishers
	to   []string // addresses for subscribers; empty: those for publishers
	apis []string // addresses for publishers by HTTP; empty: there are none
	rate float64  // messages a second of each publisher; 0 is as fast as they are acknowledged
	// absent is how long subscribers stay away at least when their connection ends.
	absent  time.Duration
	workers []worker // beside the subscribers
	// settle is how long nothing new may come, in the end, before what is missing counts as
	// lost; 0 is silence. Less is for faults that lose something.
	settle time.Duration
}

// silence is longer than weft takes for anything that it does by itself: what did not
// come by then does not come.
const silence = 60 * time.Second

// httpSources is how many sources publish by HTTP where there is an API.
const httpSources = 2

// under publishes and subscribes while fault runs, and then until everything is
// answered and delivered. The verdict is in the ledger.
func (r *run) under(ctx context.Context, t traffic, fault func(ctx context.Context) error) error {
	posters := 0
	if len(t.apis) > 0 {
		posters = httpSources
	}
	if len(t.to) == 0 {
		t.to = t.mqtt
	}
	if t.settle == 0 {
		t.settle = silence
	}
	r.ledger = newLedger(r.seed, r.clients+posters)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all, publishing sync.WaitGroup
	defer all.Wait()
	defer cancel(nil)
	start := func(group *sync.WaitGroup, work func() error) {
		all.Add(1)
		group.Add(1)
		go func() {
			defer all.Done()
			defer group.Done()
			if err := work(); err != nil {
				cancel(err)
			}
		}()
	}
	var subscribers []*subscriber
	for i, c := range []*consumer{r.ledger.consumer("counts", false), r.ledger.consumer("by-id", true)} {
		// The first address of each is another one.
		s := newSubscriber(append(append([]string(nil), t.to[i%len(t.to):]...), t.to[:i%len(t.to)]...), topicPrefix+"/#", c, rand.New(rand.NewPCG(r.seed, uint64(1000+i))))
		s.absent = t.absent
		subscribers = append(subscribers, s)
		start(&sync.WaitGroup{}, func() error { return s.run(ctx) })
	}
	if err := r.employ(ctx, t.workers, start); err != nil {
		return err
	}
	for _, s := range subscribers {
		select {
		case <-s.ready:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Second):
			return fmt.Errorf("%s could not subscribe: %v", s.consumer.name, s.last.Load())
		}
	}
	l := &crowd{addresses: t.mqtt, topic: topicPrefix, window: r.window, size: r.size, rate: t.rate, random: rand.New(rand.NewPCG(r.seed, 2)), pace: r.pace}
	produce, enough := context.WithCancel(ctx)
	defer enough()
	begun := time.Now()
	for i, s := range r.ledger.sources {
		if i < r.clients {
			p := l.publisher(s)
			start(&publishing, func() error { return p.run(ctx, produce) })
			continue
		}
		apis := make([]string, len(t.apis))
		for i, api := range t.apis {
			apis[i] = "http://" + api
		}
		p := l.poster(s, apis)
		start(&publishing, func() error { return p.run(ctx, produce) })
	}
	err := fault(ctx)
	enough()
	r.figures["seconds"] = time.Since(begun).Seconds()
	if err == nil {
		err = r.settle(ctx, &publishing, t.settle)
	}
	for _, s := range subscribers {
		r.figures["subscriber_connects"] += float64(s.connects.Load())
		r.figures["sessions_forgotten"] += float64(s.forgotten.Load())
	}
	if cause := context.Cause(ctx); cause != nil && err == nil {
		err = cause
	}
	return err
}

// employ starts the workers, one after the other.
func (r *run) employ(ctx context.Context, all []worker, start func(group *sync.WaitGroup, work func() error)) error {
	consumers := make([]*consumer, len(all))
	for i, w := range all { // all of them before anything is delivered
		consumers[i] = r.ledger.worker(w.name)
	}
	for i, w := range all {
		begun := make(chan struct{})
		var once sync.Once
		start(&sync.WaitGroup{}, func() error {
			if err := w.run(ctx, consumers[i], func() { once.Do(func() { close(begun) }) }); err != nil {
				return fmt.Errorf("worker %s: %w", w.name, err)
			}
			return nil
		})
		select {
		case <-begun:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Second):
			return fmt.Errorf("worker %s could not begin", w.name)
		}
	}
	return nil
}

// heal says that there will be no more faults, when all who subscribe are there again.
func (r *run) heal(ctx context.Context) error {
	begun := time.Now()
	wait(ctx, killUntil)
	for !r.ledger.heardSince(begun.Add(killUntil / 2)) {
		if time.Since(begun) > againWithin {
			return fmt.Errorf("after the last fault a subscriber was given nothing for %s", againWithin)
		}
		wait(ctx, 5*time.Millisecond)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	r.ledger.heal()
	return nil
}

// settle waits until the publishers have all answers, and then until the consumers
// have all messages, or nothing new comes any more.
func (r *run) settle(ctx context.Context, publishing *sync.WaitGroup, quiet time.Duration) error {
	answered := make(chan struct{})
	go func() {
		publishing.Wait()
		close(answered)
	}()
	select {
	case <-answered:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(60 * time.Second):
		return errors.New("publishers had no answer for 60 s after the last fault")
	}
	begun := time.Now()
	for {
		var missing uint64
		latest := begun
		for _, c := range r.ledger.consumers {
			n, last := c.missing()
			missing += n
			if last.After(latest) {
				latest = last
			}
		}
		silent := time.Since(latest)
		if missing == 0 || silent > silence || silent > quiet && r.ledger.missingHealed() == 0 {
			r.figures["settled_ms"] = milliseconds(time.Since(begun))
			// What comes twice comes late: a moment for it.
			wait(ctx, 300*time.Millisecond)
			return nil
		}
		wait(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// keepLogs names the folder of a run that failed, or removes it.
func (r *run) keepLogs(failed bool) error {
	if failed {
		r.say("configuration and logs: %s", r.dir)
		return nil
	}
	return os.RemoveAll(r.dir)
}
