package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weftrun/weft/tools/load"
)

// errStopped ends a run that the driver gave up.
var errStopped = errors.New("the driver has given up the run")

// task is the run that a worker is at.
type task struct {
	job, driver string
	cancel      context.CancelCauseFunc
	start       chan struct{}
	started     bool
	heard       time.Time // of the driver
	done        chan struct{}
}

// work serves drivers until it is interrupted.
func (b *benching) work(cmd *cobra.Command, _ system) error {
	if err := b.crew.consistent(cmd.Flags().Changed); err != nil {
		return err
	}
	var wrong error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "worker", "once", "backbone", "backbone-credentials", "group", "silence", "ca", "cert", "cert-key":
		default:
			wrong = usageError("--%s means nothing to a worker: the driver says it", f.Name)
		}
	})
	if wrong != nil {
		return wrong
	}
	host, _ := os.Hostname()
	name := fmt.Sprintf("%s-%d-%s", strings.ReplaceAll(host, ".", "-"), os.Getpid(), strings.ToLower(rand.Text()[:4]))
	ctx := cmd.Context()
	m, err := b.crew.meet(ctx, "weft bench "+name)
	if err != nil {
		return err
	}
	defer m.close()
	for _, subject := range []string{"all", "to." + name} {
		if err := m.hear(ctx, subject); err != nil {
			return fail(exitRuntime, err, "")
		}
	}
	note(cmd, "worker %s waits for work in group %s", name, b.crew.group)
	w := &worker{meeting: m, name: name, host: host, silence: b.crew.silence, files: &b.secure, say: func(format string, args ...any) { note(cmd, format, args...) }}
	return w.serve(ctx, b.crew.once)
}

type worker struct {
	*meeting
	name, host string
	silence    time.Duration
	files      *secure
	say        func(format string, args ...any)
	at         *task
}

func (w *worker) serve(ctx context.Context, once bool) error {
	tick := time.NewTicker(crewBeat)
	defer tick.Stop()
	for {
		var done chan struct{}
		if w.at != nil {
			done = w.at.done
		}
		select {
		case <-ctx.Done():
			if w.at != nil {
				w.at.cancel(context.Cause(ctx))
				<-w.at.done
			}
			return nil
		case <-done:
			w.at = nil
			if once {
				flush, cancel := context.WithTimeout(ctx, crewFlush)
				defer cancel()
				return w.talk.Flush(flush)
			}
		case <-tick.C:
			if w.at == nil {
				continue
			}
			_ = w.send("to."+w.at.driver, &crewNote{Kind: crewAlive, From: w.name, Job: w.at.job}) // silence tells the driver
			if time.Since(w.at.heard) > w.silence && len(w.notes) == 0 {
				w.at.cancel(fmt.Errorf("nothing was heard of the driver for %s", w.silence))
			}
		case n := <-w.notes:
			w.take(ctx, &n)
		}
	}
}

// take does what a note asks for.
func (w *worker) take(ctx context.Context, n *crewNote) {
	if w.at != nil && n.From == w.at.driver {
		w.at.heard = time.Now()
		switch {
		case n.Kind == crewStop:
			w.at.cancel(errStopped)
		case n.Kind == crewStart && n.Job == w.at.job && !w.at.started:
			w.at.started = true
			close(w.at.start)
		}
	}
	switch {
	case n.Kind == crewAsk && w.at == nil:
		_ = w.send("to."+n.From, &crewNote{ // it asks again
			Kind: crewOffer, From: w.name, Host: w.host, CPUs: runtime.NumCPU(), Version: currentVersions().Version, Protocol: crewProtocol,
		})
	case n.Kind == crewJob && w.at != nil:
		_ = w.send("to."+n.From, &crewNote{Kind: crewFailed, Job: n.Job, From: w.name, Error: "it is busy"}) // or silence
	case n.Kind == crewJob && n.Plan != nil:
		w.begin(ctx, n)
	}
}

// begin makes a run in a goroutine of its own.
func (w *worker) begin(ctx context.Context, n *crewNote) {
	running, cancel := context.WithCancelCause(ctx)
	t := &task{job: n.Job, driver: n.From, cancel: cancel, start: make(chan struct{}), heard: time.Now(), done: make(chan struct{})}
	w.at = t
	w.say("run %s: %d publishers, %d subscribers to %s", t.job[:8], n.Plan.Publishers, n.Plan.Subscribers, n.Plan.To)
	go func() {
		defer close(t.done)
		defer cancel(nil)
		answer := &crewNote{Kind: crewDone, Job: t.job, From: w.name}
		result, err := w.run(running, t, n.Plan)
		if err != nil {
			answer.Kind, answer.Error = crewFailed, err.Error()
			w.say("run %s: %v", t.job[:8], err)
		} else {
			answer.Result = result
			w.say("run %s: done", t.job[:8])
		}
		if err := w.send("to."+t.driver, answer); err != nil {
			w.say("run %s: %v", t.job[:8], err)
			_ = w.send("to."+t.driver, &crewNote{Kind: crewFailed, Job: t.job, From: w.name, Error: err.Error()}) // or silence
		}
	}()
}

func (w *worker) run(ctx context.Context, t *task, plan *benchPlan) (*load.Result, error) {
	cfg, err := plan.config(w.files)
	if err != nil {
		return nil, err
	}
	cfg.Gate = func(ctx context.Context) error {
		if err := w.send("to."+t.driver, &crewNote{Kind: crewReady, Job: t.job, From: w.name}); err != nil {
			return err
		}
		select {
		case <-t.start:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return load.Run(ctx, cfg)
}
