// Command flood drives sources that may not speak to weft against a legitimate sender,
// with the kernel's filter and without it in one run, and says what each costs: the
// sender's latency and losses, weft's time on the processors, and the kernel's counters
// beside what was sent. Then weft is killed and started again, also with another
// configuration, under a flood of sources that pinned rules forbid: not one of their
// packets may pass.
//
//	sudo go run ./tools/flood             # about a minute and a half
//	sudo go run ./tools/flood --quick     # less than 20 seconds
//
// Everything happens in network namespaces of its own, which end with it: weft at one end
// of a cable (veth, XDP in the driver), sender and flood at the other. The flood and the
// kernel's work for it take one processor of this machine, so with two of them weft has
// the other alone: its time is exact (/proc/PID/stat), latencies are those of a machine
// that is busy.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/weftrun/weft/tools/program"
)

// options are the command line.
type options struct {
	rate      float64 // of the flood
	legit     float64 // of the legitimate sender
	phase     time.Duration
	quick     bool
	mustShare float64 // of weft's processor time without the kernel that it may take with it
	weft      string
}

func main() { program.Main("flood", tool) }

// tool is the program.
func tool(ctx context.Context, args []string, out, words io.Writer) error {
	o, err := parse(args, words)
	if err != nil {
		return program.Usage(err)
	}
	wrong, err := alone(ctx, o, args, out, words)
	if err == nil && wrong > 0 {
		err = program.ErrFailed
	}
	return err
}

func parse(args []string, words io.Writer) (options, error) {
	o := options{}
	f := flag.NewFlagSet("flood", flag.ContinueOnError)
	f.SetOutput(words)
	f.Float64Var(&o.rate, "rate", 300_000, "packets a second of the flood")
	f.Float64Var(&o.legit, "legit", 20, "messages a second of the legitimate sender")
	f.DurationVar(&o.phase, "phase", 6*time.Second, "length of a phase")
	f.BoolVar(&o.quick, "quick", false, "phases of little more than a second, and fewer of them")
	f.Float64Var(&o.mustShare, "share", 0.1, "fails if for each packet of the flood weft takes a larger share of the processor time that it takes without the kernel's filter")
	f.StringVar(&o.weft, "weft", "", "weft's binary (default: built from ./tools/weft)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.phase = 1200 * time.Millisecond
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.rate < 1000 || o.rate > 5_000_000:
		return o, fmt.Errorf("--rate %g: expected 1000 to 5000000", o.rate)
	case o.legit < 1 || o.legit > 40:
		return o, fmt.Errorf("--legit %g: expected 1 to 40, since sources have a rate", o.legit)
	case o.phase < time.Second || o.phase > 5*time.Minute:
		return o, fmt.Errorf("--phase %v: expected 1s to 5m", o.phase)
	case o.mustShare <= 0:
		return o, fmt.Errorf("--share %g: expected more than 0", o.mustShare)
	}
	return o, nil
}
