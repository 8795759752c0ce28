// Command compare runs weft and the brokers that it finds on this machine under
// the same load and prints their figures side by side. The README's table comes
// from it.
//
//	go run ./tools/compare                               # everything, about 3 minutes
//	go run ./tools/compare --scenarios 1to1-128 --rounds 5 --seconds 3
//	go run ./tools/compare --peers weft,nats --json > compare.json
//	go run ./tools/compare --peers weft-mqtt,mosquitto --scenarios mqtt
//
// Every server gets the same driver (tools/load), the same messages and the same
// window; rounds are interleaved (A B C A B C ...), so that a slow minute of the
// machine hits all of them. weft has three plugins in the path, the others none, nor
// has weft-mqtt, which is weft with an MQTT listener.
// A peer that is not installed is named and left out. Everything listens on
// 127.0.0.1 on free ports; every child process is ended by its pid.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/weftrun/weft/tools/program"
)

// options are the command line.
type options struct {
	peers       []string
	scenarios   []string
	rounds      int
	seconds     float64
	window      int
	connections int
	weft        string
	json        bool
}

func main() { program.Main("compare", tool) }

// tool is the program.
func tool(ctx context.Context, args []string, out, words io.Writer) error {
	o, err := parse(args, words)
	if err != nil {
		return program.Usage(err)
	}
	return compare(ctx, o, out, words)
}

func parse(args []string, words io.Writer) (options, error) {
	o := options{}
	var peers, scenarios string
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(words)
	f.StringVar(&peers, "peers", strings.Join(peerNames(false), ","), "servers to run; ratios are to the first")
	f.StringVar(&scenarios, "scenarios", strings.Join(scenarioNames(false), ","), "what to run; mqtt: all of those for MQTT")
	f.IntVar(&o.rounds, "rounds", 3, "rounds of each scenario")
	f.Float64Var(&o.seconds, "seconds", 1.5, "seconds measured in each round, after half a second of warm-up")
	f.IntVar(&o.window, "window", 8192, "deliveries in flight at full load with 128 B; larger messages get fewer")
	f.IntVar(&o.connections, "connections", 10_000, "connections of the memory scenario")
	f.StringVar(&o.weft, "weft", "", "weft's binary (default: built from ./tools/weft)")
	f.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.peers = strings.Split(peers, ",")
	for _, name := range strings.Split(scenarios, ",") {
		if name == "mqtt" {
			for _, s := range mqttScenarios() {
				o.scenarios = append(o.scenarios, s.name)
			}
			continue
		}
		o.scenarios = append(o.scenarios, name)
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.rounds < 1 || o.rounds > 100:
		return o, fmt.Errorf("--rounds %d: expected 1 to 100", o.rounds)
	case o.seconds < 0.1 || o.seconds > 600:
		return o, fmt.Errorf("--seconds %g: expected 0.1 to 600", o.seconds)
	case o.window < 1:
		return o, fmt.Errorf("--window %d: expected at least 1", o.window)
	case o.connections < 1 || o.connections > maxConnections:
		return o, fmt.Errorf("--connections %d: expected 1 to %d", o.connections, maxConnections)
	}
	for _, name := range o.peers {
		if _, ok := peerCalled(name); !ok {
			return o, fmt.Errorf("--peers: unknown %q; expected some of %s", name, strings.Join(peerNames(true), ", "))
		}
	}
	for _, name := range o.scenarios {
		if _, ok := scenarioCalled(name); !ok {
			return o, fmt.Errorf("--scenarios: unknown %q; expected some of %s", name, strings.Join(scenarioNames(true), ", "))
		}
	}
	return o, nil
}

// compare runs everything and reports it.
func compare(ctx context.Context, o options, out, words io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "weft-compare-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	found, err := find(ctx, o, dir, words)
	if err != nil {
		return err
	}
	report := newReport(o, found)
	for _, name := range o.scenarios {
		s, _ := scenarioCalled(name)
		program.Say(words, "%s: %s", s.name, s.about)
		started := time.Now()
		rows, err := s.run(ctx, s, o, found, words)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		report.add(s, rows)
		program.Say(words, "%s: done in %.0f s", s.name, time.Since(started).Seconds())
	}
	if o.json {
		return report.writeJSON(out)
	}
	return report.writeTable(out)
}
