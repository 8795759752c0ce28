package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/tools/load"
)

// crewProtocol is raised when notes change their meaning.
const crewProtocol = 1

const (
	crewBeat  = 500 * time.Millisecond // how often everybody says that it is there
	crewFlush = 10 * time.Second       // how long the servers may take to take something
	crewGrace = 30 * time.Second       // what a run may take longer than its plan says
	crewMost  = 256                    // workers
)

// crew is the flags for load by several processes.
type crew struct {
	worker   bool
	once     bool
	workers  int
	backbone []string
	group    string
	creds    string
	silence  time.Duration
}

func (c *crew) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&c.workers, "workers", 0, "have the load made by so many workers, which wait at --backbone")
	f.BoolVar(&c.worker, "worker", false, "be one of them, until interrupted; of the other flags only --backbone, --group, --ca, --cert and --cert-key count")
	f.BoolVar(&c.once, "once", false, "with --worker: end after one run")
	f.StringSliceVar(&c.backbone, "backbone", nil, "`URL` of the NATS server where driver and workers meet (repeatable)")
	f.StringVar(&c.group, "group", "default", "`NAME` of the workers that belong together")
	f.DurationVar(&c.silence, "silence", 10*time.Second, "with --worker and --workers: after how long without a word the other side is taken for dead")
	f.StringVar(&c.creds, "backbone-credentials", "", "`FILE` with the credentials (.creds) for --backbone")
}

func (c *crew) consistent(given func(string) bool) error {
	switch {
	case (c.worker || c.workers > 0) && len(c.backbone) == 0:
		return usageError("--backbone is missing: at which NATS server do driver and workers meet?")
	case !c.worker && c.workers == 0 && (given("backbone") || given("group") || given("backbone-credentials") || given("silence")):
		return usageError("--backbone, --group and --silence are for --worker and --workers")
	case c.silence < time.Second:
		return usageError("--silence %s: expected 1s at least", c.silence)
	case c.once && !c.worker:
		return usageError("--once is for --worker")
	case c.workers < 0 || c.workers > crewMost || given("workers") && c.workers == 0:
		return usageError("--workers %d: expected 1 to %d", c.workers, crewMost)
	}
	return nil
}

// note kinds, in the order in which they are sent.
const (
	crewAsk    = "ask"    // driver to all: who is there?
	crewOffer  = "offer"  // worker: I am
	crewJob    = "job"    // driver to one: connect, and wait
	crewReady  = "ready"  // worker: everything is connected
	crewStart  = "start"  // driver to all: go
	crewAlive  = "alive"  // everybody, now and then
	crewDone   = "done"   // worker: what was measured
	crewFailed = "failed" // worker: what went wrong
	crewStop   = "stop"   // driver to all: it is over
)

// crewNote is what driver and workers tell each other.
type crewNote struct {
	Kind     string       `json:"kind"`
	Job      string       `json:"job"`
	From     string       `json:"from"`
	Host     string       `json:"host,omitempty"`
	CPUs     int          `json:"cpus,omitempty"`
	Version  string       `json:"version,omitempty"`
	Protocol int          `json:"protocol,omitempty"`
	Plan     *benchPlan   `json:"plan,omitempty"`
	Result   *load.Result `json:"result,omitempty"`
	Error    string       `json:"error,omitempty"`
}

// meeting is a connection to where driver and workers meet.
type meeting struct {
	talk  *backbone.Talk
	group string
	notes chan crewNote // heard
	end   chan struct{}
}

func (c *crew) meet(ctx context.Context, name string) (*meeting, error) {
	talk, err := backbone.OpenTalk(ctx, backbone.TalkOptions{
		URLs: c.backbone, Name: name, Access: backbone.Access{Credentials: c.creds}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fail(exitRuntime, fmt.Errorf("--backbone: %w", err), "")
	}
	return &meeting{talk: talk, group: "bench." + backbone.TalkToken(c.group) + ".", notes: make(chan crewNote, 1024), end: make(chan struct{})}, nil
}

func (m *meeting) close() {
	close(m.end)
	m.talk.Close()
}

// hear has the notes of a subject come.
func (m *meeting) hear(ctx context.Context, subject string) error {
	err := m.talk.Hear(m.group+subject, func(body []byte) {
		var n crewNote
		if json.Unmarshal(body, &n) != nil {
			return // somebody else's
		}
		select {
		case m.notes <- n:
		case <-m.end:
		}
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, crewFlush)
	defer cancel()
	return m.talk.Flush(ctx)
}

func (m *meeting) send(subject string, n *crewNote) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return m.talk.Send(m.group+subject, body)
}

// share is the part of a plan that worker i of n has.
func (p benchPlan) share(i, n int) benchPlan {
	part := func(total int) (base, size int) {
		base = total * i / n
		return base, total*(i+1)/n - base
	}
	whole := p.Publishers
	p.Of = whole
	p.Base, p.Publishers = part(whole)
	p.FirstSubscriber, p.Subscribers = part(p.Subscribers)
	portion := float64(p.Publishers) / float64(whole)
	p.Rate *= portion
	steps := make([]load.Step, len(p.Steps))
	for k, s := range p.Steps {
		steps[k] = load.Step{From: s.From * portion, To: s.To * portion, For: s.For}
	}
	p.Steps = steps
	if p.Window > 0 {
		p.Window = max(1, p.Window/n)
	}
	p.Count = p.Count*uint64(i+1)/uint64(n) - p.Count*uint64(i)/uint64(n)
	return p.inWorker(i)
}
