package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/tools/program"
)

// restarts floods from sources that are denied or blocked, while weft is killed, started
// again, started with another configuration, and ended. None of their packets may pass.
func (r *run) restarts(ctx context.Context, out io.Writer) (err error) {
	seen, err := watch(denied, blocked)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, seen.close()) }()
	w, err := r.start(ctx, variant{kernel: true})
	if err != nil {
		return err
	}
	defer func() {
		if stopped := w.Stop(); err != nil || stopped != nil {
			err = errors.Join(err, stopped, fmt.Errorf("weft's last words:\n%s", w.Tail()))
		}
	}()
	// What passes is seen: a packet of a source that is not blocked yet.
	if err := r.pass(blocked, &seen.seen); err != nil {
		return err
	}
	before, err := w.settled(ctx, func(now counts) bool { return now[[3]string{"packets", "pass", "engine"}] > 0 }) // it is not met later
	if err != nil {
		return err
	}
	if err := w.block(ctx, blocked); err != nil {
		return err
	}
	base := seen.seen.Load()
	// As many of the one as of the other, in turn.
	var frames [][]byte
	one, other := r.network.datagrams(denied, 1024, "\x00\x00\x00\x01\x00\x01\x00\x00"), r.network.datagrams(blocked, 1024, "\x00\x00\x00\x01\x00\x01\x00\x00")
	for i := range one {
		frames = append(frames, one[i], other[i])
	}
	f, err := r.network.pour(min(r.rate, 50_000), slices.Clip(frames))
	if err != nil {
		return err
	}
	upset := r.upset(ctx, &w)
	sent, err := f.end()
	if err = errors.Join(upset, err); err != nil {
		return err
	}
	// One packet more, which may pass: when it is seen, all before it have been judged.
	if err := r.pass(others, &seen.others); err != nil {
		return err
	}
	var d, b uint64
	after, err := w.settled(ctx, func(now counts) bool {
		d, b = now.since(before, "packets", "denied", "kernel"), now.since(before, "packets", "blocked", "kernel")
		return d+b == sent
	})
	if err != nil {
		return err
	}
	r.none(after, "at last")
	passed := seen.seen.Load() - base
	program.Say(out, "weft killed three times, ended once and started with another configuration under a flood of %d forbidden packets: %d denied + %d blocked in the kernel, %d passed", sent, d, b, passed)
	if d+b != sent || passed != 0 {
		r.bad("the restarts: %d packets were sent, %d + %d dropped, %d passed", sent, d, b, passed)
	}
	return nil
}

// pass sends a packet of a source that may send, and waits until the witness counts it.
func (r *run) pass(source netip.Prefix, seen *atomic.Uint64) error {
	before := seen.Load()
	if err := r.network.send(r.network.datagrams(source, 1, "\x00\x00\x00\x01\x00\x03\x00\x00")[0]); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); seen.Load() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("the packet socket at the near end sees nothing")
		}
	}
	return nil
}

// upset kills and ends weft, and starts it again; w is the one that runs.
func (r *run) upset(ctx context.Context, w **weft) error {
	pause := func() { time.Sleep(300 * time.Millisecond) } // for the flood
	for _, next := range []struct {
		variant
		end string
	}{
		{variant{kernel: true}, "killed"},
		{variant{kernel: true, changed: true}, "killed"},
		{variant{kernel: true, changed: true}, "ended"},
		{variant{kernel: true}, "killed"},
	} {
		pause()
		had, err := (*w).counts(ctx)
		if err != nil {
			return err
		}
		r.none(had, "before it was "+next.end)
		end := (*w).Kill
		if next.end == "ended" {
			end = (*w).Stop
		}
		if err := end(); err != nil {
			return err
		}
		pause()
		started, err := r.start(ctx, next.variant)
		if err != nil {
			return err
		}
		*w = started
	}
	pause()
	return nil
}

// none says if weft itself has met what the kernel was to drop.
func (r *run) none(c counts, when string) {
	for _, reason := range []string{"denied", "blocked"} {
		if n := c[[3]string{"packets", reason, "engine"}]; n > 0 {
			r.bad("the restarts: %s weft itself had met %d packets that are %s", when, n, reason)
		}
	}
}
