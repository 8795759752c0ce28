// Command trees holds a million subscriptions in weft's trie and in those of mochi
// and NATS, one after another, and prints what they take and how fast they are:
//
//	cd tools/compare/trees && go run .
//
// It is a module of its own, so that what it compares with is not what weft needs.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"text/tabwriter"
	"time"
)

func main() {
	n := flag.Int("n", 1_000_000, "how many subscriptions each tree holds")
	each := flag.Duration("each", time.Second, "how long each figure is measured; its best 3 ms count")
	only := flag.String("only", "", "one tree: "+names())
	flag.Parse()
	if *n < 1000 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "trees: at least 1000 subscriptions, and no arguments but flags; see --help")
		os.Exit(2)
	}
	fmt.Printf("%d subscriptions, topics of six levels that about five of them match; %s %s/%s, %d cores\n",
		*n, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "tree\tB/subscription\tadd µs\tremove µs\tcome and go µs\tmatch, 1,000 topics ns\tmatch, any topic ns\tbeside a writer ns\tallocs/match\t")
	for _, c := range candidates {
		if *only != "" && *only != c.name {
			continue
		}
		r := measure(c, *n, *each)
		fmt.Fprintf(out, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", c.name, r.bytes, r.add, r.remove, r.comeAndGo, r.few, r.all, r.beside, r.allocs)
	}
	_ = out.Flush()
}
