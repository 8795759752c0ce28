// Command soak swaps a plugin of a running weft over and over while a load goes
// through it, and says what that cost: messages lost, delivered twice or out of
// order (none, or it fails), the latency with and without swaps, and the resident
// memory.
//
//	go run ./tools/soak                                  # 1,000 swaps, 100,000 messages a second
//	go run ./tools/soak --mode canary                    # each new generation serves 10% before it serves all
//	go run ./tools/soak --mode state                     # each takes over 1 MiB of state
//	go run ./tools/soak --swaps 10000 --rate 20000       # memory
//
// Rounds with and without swaps take turns, so that a slow minute of the machine
// hits both. Each generation is a module that has never been compiled before. weft
// is built from this tree and listens on 127.0.0.1 only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// Exit codes: 5 says that the run itself went through and its outcome is bad.
const (
	exitOK      = 0
	exitRuntime = 1
	exitUsage   = 2
	exitFailed  = 5
)

var modes = []string{"at-once", "canary", "state"}

// options are the command line.
type options struct {
	mode       string
	swaps      int
	rate       float64
	publishers int
	round      time.Duration
	pause      time.Duration
	weft       string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := mainCode(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func mainCode(ctx context.Context, args []string, out, words io.Writer) int {
	o, err := parse(args, words)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		say(words, "soak: %v", err)
		return exitUsage
	}
	r, err := soak(ctx, o, words)
	if err != nil {
		say(words, "soak: %v", err)
		return exitRuntime
	}
	r.print(out)
	if r.wrong() > 0 {
		say(words, "soak: messages were lost, doubled or out of order")
		return exitFailed
	}
	return exitOK
}

func parse(args []string, words io.Writer) (options, error) {
	o := options{}
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(words)
	f.StringVar(&o.mode, "mode", modes[0], "at-once, canary (10% first, then all), or state (1 MiB is handed over)")
	f.IntVar(&o.swaps, "swaps", 1000, "how many generations follow each other")
	f.Float64Var(&o.rate, "rate", 100_000, "messages a second, 128 bytes each")
	f.IntVar(&o.publishers, "publishers", 20, "publishing connections")
	f.DurationVar(&o.round, "round", 5*time.Second, "length of a round")
	f.DurationVar(&o.pause, "pause", 0, "between two swaps")
	f.StringVar(&o.weft, "weft", "", "weft's binary (default: built from ./tools/weft)")
	if err := f.Parse(args); err != nil {
		return o, err
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
	case o.round < time.Second || o.round > 10*time.Minute:
		return o, fmt.Errorf("--round %v: expected 1s to 10m", o.round)
	}
	return o, nil
}

func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...) // words to a person may be lost
}
