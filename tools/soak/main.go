// Command soak swaps a plugin of a running weft over and over while a load goes
// through it, and says what that cost: messages lost, delivered twice or out of
// order (none, or it fails), the latency with and without swaps, and the resident
// memory.
//
//	go run ./tools/soak                                  # 1,000 swaps, 100,000 messages a second
//	go run ./tools/soak --mode canary                    # each new generation serves 10% before it serves all
//	go run ./tools/soak --mode state                     # each takes over 1 MiB of state
//	go run ./tools/soak --mode reload --rate 50000       # the configuration changes: routes, chains, listeners, pools
//	go run ./tools/soak --swaps 10000 --rate 20000       # memory
//	go run ./tools/soak --mode reload --quick            # in CI: a few of them, as fast as the machine goes
//
// Ten milliseconds pass between two swaps (--pause): some 75 a second, as fast as nobody
// deploys. Without a pause a third of a processor is at work on swaps alone.
//
// Rounds with and without swaps take turns, so that a slow minute of the machine
// hits both. Each generation is a module that has never been compiled before, but with --versions. weft
// is built from this tree and listens on 127.0.0.1 only. The resident memory is that of
// weft itself: the process that compiles beside it has 35 to 80 MiB of its own while
// swaps follow each other, and is gone after ten seconds without one. What is judged is
// said in the end; latency and memory are shown, and judged by nobody.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/weftrun/weft/tools/program"
)

var modes = []string{"at-once", "canary", "state", reloadMode}

// options are the command line.
type options struct {
	mode       string
	swaps      int
	rate       float64
	publishers int
	round      time.Duration
	pause      time.Duration
	versions   int
	weft       string
	quick      bool
}

// Of a quick run: how many swaps, and how long a round is.
const (
	quickSwaps = 40
	quickRound = 2 * time.Second
)

func main() { program.Main("soak", tool) }

// tool is the program.
func tool(ctx context.Context, args []string, out, words io.Writer) error {
	o, err := parse(args, words)
	if err != nil {
		return program.Usage(err)
	}
	r, err := soak(ctx, o, words)
	if err != nil {
		return err
	}
	r.print(out)
	if r.wrong() > 0 {
		program.Say(words, "soak: messages were lost, doubled or out of order: see judged")
		return program.ErrFailed
	}
	return nil
}

func parse(args []string, words io.Writer) (options, error) {
	o := options{}
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(words)
	f.StringVar(&o.mode, "mode", modes[0], "at-once, canary (10% first, then all), state (1 MiB is handed over), or reload (the configuration changes in place of the plugin)")
	f.IntVar(&o.swaps, "swaps", 1000, "how many generations follow each other")
	f.Float64Var(&o.rate, "rate", 100_000, "messages a second, 128 bytes each")
	f.IntVar(&o.publishers, "publishers", 20, "publishing connections")
	f.DurationVar(&o.round, "round", 5*time.Second, "length of a round")
	f.DurationVar(&o.pause, "pause", 10*time.Millisecond, "between two swaps")
	f.IntVar(&o.versions, "versions", 0, "how many modules there are in turn; 0: each generation is one that was never compiled before")
	f.StringVar(&o.weft, "weft", "", "weft's binary (default: built from ./tools/weft)")
	f.BoolVar(&o.quick, "quick", false, "forty swaps under as much load as the machine bears, without rounds to compare with: says whether anything is lost, and nothing about time")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.swaps, o.round = quickSwaps, quickRound
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case !slices.Contains(modes, o.mode):
		return o, fmt.Errorf("--mode %q: expected one of %v", o.mode, modes)
	case o.swaps < 1 || o.swaps > 1_000_000:
		return o, fmt.Errorf("--swaps %d: expected 1 to 1000000", o.swaps)
	case o.rate < 1 || o.rate > 10_000_000:
		return o, fmt.Errorf("--rate %g: expected 1 to 10000000", o.rate)
	case o.publishers < 1 || o.publishers > 10_000:
		return o, fmt.Errorf("--publishers %d: expected 1 to 10000", o.publishers)
	case o.versions < 0 || o.versions == 1:
		return o, fmt.Errorf("--versions %d: expected 0, or 2 and more: a generation that runs already is not swapped in", o.versions)
	case o.round < time.Second || o.round > 10*time.Minute:
		return o, fmt.Errorf("--round %v: expected 1s to 10m", o.round)
	}
	return o, nil
}
