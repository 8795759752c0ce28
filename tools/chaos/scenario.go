package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
)

// scenario is one fault, again and again under load.
type scenario struct {
	name  string
	about string
	// rounds is how many faults there are, quick how many with --quick; quick 0
	// leaves the scenario out there.
	rounds, quick int
	root          bool // it needs Linux and root
	run           func(ctx context.Context, r *run) error
	// judge tells what is wrong; nil: what the ledger finds, another order of one
	// source's messages included.
	judge func(r *run, v *verdict) []string
}

// errLeftOut is wrapped where a scenario cannot run on this machine.
var errLeftOut = errors.New("left out")

// scenarios are all of them, in the order in which they run.
func scenarios() []*scenario {
	return []*scenario{
		{name: "memory", about: "kill -9, without a log: the checker must find losses", rounds: 5, quick: 2, run: runMemory, judge: judgeMemory},
		{name: "kill", about: "kill -9 at random moments, some of them while weft starts", rounds: 50, quick: 6, run: runKill},
		{name: "kill-interval", about: "the same; sync: interval, which a killed process does not notice", rounds: 10, run: runKillInterval},
		{name: "pause", about: "SIGSTOP and SIGCONT", rounds: 20, quick: 2, run: runPause},
		{name: "term", about: "SIGTERM, and a new start", rounds: 10, quick: 2, run: runTerm},
		{name: "work", about: "kill -9 of weft, or of the weft behind its pool: queue, node, pools and shared subscriptions, one worker each", rounds: 20, quick: 2, run: runWork},
		{name: "work-term", about: "the same; SIGTERM", rounds: 10, quick: 1, run: runWorkTerm},
		{name: "network", about: "latency, resets, cut and sliced streams between weft and its clients; a round is a second", rounds: 30, quick: 4, run: runNetwork},
		{name: "slow-drop", about: "one subscriber reads a byte a second beside 1,000; drop-oldest", rounds: 5, quick: 1, run: runSlow("drop-oldest", 0), judge: judgeSlow(false)},
		{name: "slow-disconnect", about: "the same; disconnect", rounds: 5, run: runSlow("disconnect", 0), judge: judgeSlow(false)},
		{name: "slow-pause", about: "the same; pause, where publishers wait for it", rounds: 5, run: runSlow("pause", 0), judge: judgeSlow(true)},
		{name: "slow-queue", about: "the same at QoS 1; its queue is full", rounds: 5, run: runSlow("drop-oldest", 1), judge: judgeSlow(false)},
		{name: "disk-full", about: "no room for the data, and room again", rounds: 5, quick: 1, root: true, run: runDiskFull, judge: judgeUnordered},
		{name: "disk-error", about: "the disk fails under weft, which is started again", rounds: 10, root: true, run: runDiskError, judge: judgeUnordered},
		{name: "power-always", about: "the page cache is lost; sync: always", rounds: 20, quick: 2, root: true, run: runPowerAlways},
		{name: "power-interval", about: "the page cache is lost; sync: interval: there must be losses", rounds: 3, quick: 1, root: true, run: runPowerInterval, judge: judgePowerInterval},
		{name: "forward", about: "the external NATS is away for a while: weft goes on accepting", rounds: 5, quick: 1, run: runForward},
		{name: "forward-kill", about: "the same, and weft is killed and started meanwhile", rounds: 3, run: runForwardKill},
		{name: "leader", about: "three weft on three nats-server, of which the stream's leader is killed or stopped", rounds: 10, run: runLeader, judge: judgeUnordered},
		{name: "roll", about: "three weft on three nats-server, ended and started one after the other; a round is all three", rounds: 3, run: runRoll, judge: judgeMoved},
		{name: "partition", about: "three weft on three nats-server, one machine of which is cut off from the others", rounds: 5, root: true, run: runPartition, judge: judgeUnordered},
	}
}

func scenarioCalled(name string) *scenario {
	for _, s := range scenarios() {
		if s.name == name {
			return s
		}
	}
	return nil
}

// can tells whether the scenario can run on this machine.
func (s *scenario) can() error {
	if s.root && (runtime.GOOS != "linux" || os.Geteuid() != 0) {
		return fmt.Errorf("%w: needs Linux and root", errLeftOut)
	}
	return nil
}

// judged is what the scenario finds wrong.
func (s *scenario) judged(r *run, v *verdict) []string {
	if s.judge != nil {
		return s.judge(r, v)
	}
	return v.faults(true)
}

// judgeUnordered is for faults under which weft may refuse messages, so that their
// publishers send them again behind others.
func judgeUnordered(_ *run, v *verdict) []string { return v.faults(false) }
