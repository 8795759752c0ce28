package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/weftrun/weft/tools/load"
	"github.com/weftrun/weft/tools/program"
)

// earlySwaps is after how many swaps the resident memory is taken for the first
// time.
const earlySwaps = 100

// result is what a run found.
type result struct {
	options
	swaps       int
	took        []time.Duration // each swap, as the caller of the API sees it
	quiet, busy []*load.Result  // rounds without and with swaps
	early, late int64           // resident bytes after earlySwaps, and in the end
}

func (r *result) add(one *load.Result, swapping bool) {
	if swapping {
		r.busy = append(r.busy, one)
	} else {
		r.quiet = append(r.quiet, one)
	}
}

// wrong counts messages that did not arrive once and in order.
func wrong(c load.Counts) uint64 { return c.Lost + c.Duplicates + c.OutOfOrder + c.Foreign + c.Unsent }

func (r *result) wrong() (n uint64) {
	for _, one := range slices.Concat(r.quiet, r.busy) {
		n += wrong(one.Counts)
	}
	return n
}

func (r *result) print(w io.Writer) {
	var c load.Counts
	for _, one := range slices.Concat(r.quiet, r.busy) {
		c.Add(one.Counts)
	}
	line := func(format string, args ...any) { program.Say(w, format, args...) }
	line("mode        %s", r.mode)
	line("swaps       %d, %v each in the median, %v at most", r.swaps, median(r.took).Round(10*time.Microsecond), slices.Max(r.took).Round(10*time.Microsecond))
	line("messages    %d sent by %d publishers, %d received", c.Sent, r.publishers, c.Received)
	line("judged      %d lost, %d doubled, %d out of order, %d nobody's, %d not sent in time; %d %s: %s", c.Lost, c.Duplicates, c.OutOfOrder, c.Foreign, c.Unsent, r.swaps, r.what(), verdict(r.wrong()))
	for _, p := range []struct {
		name string
		of   func(load.Latency) int64
	}{{"p50", func(l load.Latency) int64 { return l.P50 }}, {"p99", func(l load.Latency) int64 { return l.P99 }}, {"p99.9", func(l load.Latency) int64 { return l.P999 }}} {
		quiet, busy := over(r.quiet, p.of), over(r.busy, p.of)
		if len(r.quiet) == 0 {
			line("%-11s %v (median of %d rounds)", p.name, busy, len(r.busy))
			continue
		}
		line("%-11s %v without swaps, %v with: %+v (medians of %d and %d rounds)", p.name, quiet, busy, busy-quiet, len(r.quiet), len(r.busy))
	}
	if r.early > 0 {
		line("resident    %s after %d swaps, %s after %d: %+.1f%%", mebibytes(r.early), earlySwaps, mebibytes(r.late), r.swaps, 100*(float64(r.late)/float64(r.early)-1))
	}
}

// what is done over and over.
func (r *result) what() string {
	if r.mode == reloadMode {
		return "configurations applied, none refused"
	}
	return "generations live in their turn"
}

func verdict(wrong uint64) string {
	if wrong > 0 {
		return "FAILED"
	}
	return "each message came once, in its publisher's order"
}

func over(rounds []*load.Result, of func(load.Latency) int64) time.Duration {
	var all []time.Duration
	for _, one := range rounds {
		all = append(all, time.Duration(of(one.Latency)))
	}
	return median(all).Round(time.Microsecond)
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(d))[len(d)/2]
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
