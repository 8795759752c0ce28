// Command chaos breaks a running weft, again and again under load, and checks that
// what weft acknowledged is delivered.
//
//	go run ./tools/chaos                               # every scenario that this machine can
//	go run ./tools/chaos --list
//	go run ./tools/chaos --scenarios kill --rounds 50
//	go run ./tools/chaos --quick --json > chaos.json
//
// Every payload carries its source, sequence, seed and time. A message counts as
// acknowledged when its publisher has got PUBACK (MQTT 5, QoS 1) or HTTP's
// accepted: true; until then the publisher sends it again, in order, with the same
// message id and with DUP. Two subscribers have sessions that outlive their
// connections: one counts, the other drops what bears an id that it knows. Whatever
// is acknowledged and missing in the end, delivered under a second id, behind a
// later message of its source, or sent by nobody, is a fault.
//
// One line a scenario says what came of it, the lines below give the figures, and
// of a failure the command that repeats it: faults come at moments that follow from
// the seed. Exit codes: 0 all passed, 5 a scenario failed, 2 usage, 1 anything else.
//
// weft and nats-server are built from this tree, run as processes of their own on
// loopback or in network namespaces that the tool makes and removes, and have their
// data in a temporary folder, which stays if a scenario fails.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weftrun/weft/tools/process"
	"github.com/weftrun/weft/tools/program"
)

// options are the command line.
type options struct {
	scenarios []*scenario
	named     bool // the scenarios were asked for by name
	seed      uint64
	rounds    int
	clients   int
	window    int
	size      int
	weft      string
	nats      string
	json      bool
	quick     bool
	list      bool
	keep      bool
}

func main() { program.Main("chaos", tool) }

// tool is the program.
func tool(ctx context.Context, args []string, out, words io.Writer) error {
	o, err := parse(args, words)
	switch {
	case err != nil:
		return program.Usage(err)
	case o.list:
		for _, s := range scenarios() {
			program.Say(out, "%-18s %s%s", s.name, s.about, map[bool]string{true: " (root)"}[s.root])
		}
		return nil
	}
	all, err := chaos(ctx, o, out, words)
	if o.json && len(all) > 0 {
		err = errors.Join(err, writeJSON(out, all))
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(p *report) bool { return !p.Passed && p.LeftOut == "" }) {
		return program.ErrFailed
	}
	return nil
}

func parse(args []string, words io.Writer) (options, error) {
	o := options{}
	names := ""
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(words)
	f.StringVar(&names, "scenarios", "", "what to run, by comma (default: all that this machine can; --list tells them)")
	f.Uint64Var(&o.seed, "seed", 0, "of all that is random; 0 draws one and prints it")
	f.IntVar(&o.rounds, "rounds", 0, "faults of each scenario; 0 is the scenario's own number")
	f.IntVar(&o.clients, "clients", 20, "publishers by MQTT; two by HTTP come on top")
	f.IntVar(&o.window, "window", 32, "messages of one publisher without an answer")
	f.IntVar(&o.size, "size", 128, "bytes of a payload, at least 32")
	f.StringVar(&o.weft, "weft", "", "weft's binary (default: built from ./tools/weft)")
	f.StringVar(&o.nats, "nats", "", "nats-server's binary (default: built at the version of go.mod)")
	f.BoolVar(&o.json, "json", false, "print JSON; the summary goes to standard error")
	f.BoolVar(&o.quick, "quick", false, "few rounds, and only what takes little time")
	f.BoolVar(&o.list, "list", false, "tell the scenarios and end")
	f.BoolVar(&o.keep, "keep", false, "keep the folder of a scenario that passes, too")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.rounds < 0 || o.rounds > 100_000:
		return o, fmt.Errorf("--rounds %d: expected 0 to 100000", o.rounds)
	case o.clients < 1 || o.clients > 5000:
		return o, fmt.Errorf("--clients %d: expected 1 to 5000", o.clients)
	case o.window < 1 || o.window > 1000:
		return o, fmt.Errorf("--window %d: expected 1 to 1000", o.window)
	case o.size < stampSize || o.size > 1<<20:
		return o, fmt.Errorf("--size %d: expected %d to %d", o.size, stampSize, 1<<20)
	}
	if o.seed == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return o, err
		}
		o.seed = binary.BigEndian.Uint64(b[:]) >> 16 // easier to copy
	}
	o.named = names != ""
	if !o.named {
		for _, s := range scenarios() {
			if !o.quick || s.quick > 0 {
				o.scenarios = append(o.scenarios, s)
			}
		}
		return o, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		s := scenarioCalled(name)
		if s == nil {
			return o, fmt.Errorf("--scenarios: unknown %q; --list tells them", name)
		}
		o.scenarios = append(o.scenarios, s)
	}
	return o, nil
}

// chaos runs the scenarios one after the other.
func chaos(ctx context.Context, o options, out, words io.Writer) (all []*report, err error) {
	dir, err := os.MkdirTemp("", "weft-chaos-")
	if err != nil {
		return nil, err
	}
	weft := o.weft
	if weft == "" {
		if weft, err = process.Build(ctx, dir, "weft", "github.com/weftrun/weft/tools/weft"); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	summary := out
	if o.json {
		summary = words
	}
	program.Say(summary, "seed %d", o.seed)
	failed := false
	for _, s := range o.scenarios {
		p, err := one(ctx, o, s, weft, dir, words)
		if err != nil {
			return all, err
		}
		failed = failed || !p.Passed && p.LeftOut == ""
		p.line(summary)
		all = append(all, p)
	}
	if failed || o.keep {
		return all, nil
	}
	return all, os.RemoveAll(dir)
}

// one runs one scenario. An error means that there is no sense in going on.
func one(ctx context.Context, o options, s *scenario, weft, dir string, words io.Writer) (*report, error) {
	r := newRun(o, s, weft, dir, words)
	if err := s.can(); err != nil {
		return &report{Scenario: s.name, Seed: o.seed, LeftOut: err.Error()}, nil
	}
	program.Say(words, "%s: %s", s.name, s.about)
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, err
	}
	begun := time.Now()
	err := s.run(ctx, r)
	if left := r.end(); left != nil {
		err = errors.Join(err, left)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if errors.Is(err, errLeftOut) {
		return &report{Scenario: s.name, Seed: o.seed, LeftOut: err.Error()}, nil
	}
	p := r.finish(err)
	p.Seconds = time.Since(begun).Seconds()
	return p, r.keepLogs(!p.Passed || o.keep)
}
