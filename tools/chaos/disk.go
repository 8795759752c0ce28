package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	fullDisk = 192 << 20
	// fullRate keeps what is published while the disk is there far below its size.
	fullRate = 100
)

// runDiskFull fills the disk that the data lies on, and frees it.
func runDiskFull(ctx context.Context, r *run) error {
	data := filepath.Join(r.dir, "full")
	if err := mountMemory(data, fullDisk); err != nil {
		return err
	}
	r.close(func() error { return unmount(data) })
	n, err := r.single(ctx, settings{durable: true, sync: "always", data: filepath.Join(data, "weft")})
	if err != nil {
		return err
	}
	ballast := filepath.Join(data, "ballast")
	var again times
	err = r.under(ctx, traffic{mqtt: []string{n.mqtt}, apis: []string{n.api}, rate: fullRate}, func(ctx context.Context) error {
		for range r.rounds() {
			wait(ctx, r.between(killAfter, killUntil))
			if err := fill(ballast); err != nil {
				return err
			}
			wait(ctx, r.between(500*time.Millisecond, 3*time.Second))
			if err := n.died(); err != nil {
				return fmt.Errorf("while the disk was full: %w", err)
			}
			if err := os.Remove(ballast); err != nil {
				return err
			}
			took, err := r.acknowledgedAgain(ctx)
			if err != nil {
				return fmt.Errorf("after the disk was free again: %w; weft's last words:\n%s", err, n.Tail())
			}
			again = append(again, took)
		}
		wait(ctx, time.Second)
		return n.died()
	})
	r.figures["acknowledged_again_ms_median"], r.figures["acknowledged_again_ms_max"] = again.median(), again.most()
	return err
}

// fill writes a file until there is no room.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for size := len(block); size > 0; {
		_, err := f.Write(block[:size])
		switch {
		case errors.Is(err, syscall.ENOSPC) || errors.Is(err, io.ErrShortWrite):
			size /= 2
		case err != nil:
			return err
		}
	}
	return nil
}

// againWithin is how long weft may take until it acknowledges again when a fault is
// over.
const againWithin = 30 * time.Second

// acknowledgedAgain waits until something is acknowledged that was not yet.
func (r *run) acknowledgedAgain(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	err := r.acknowledge(ctx, 1)
	return time.Since(begun), err
}

// acknowledge waits until so many more messages are acknowledged.
func (r *run) acknowledge(ctx context.Context, more uint64) error {
	last, since := r.ledger.acknowledged(), time.Now()
	for until := last + more; last < until; {
		if time.Since(since) > againWithin {
			return fmt.Errorf("nothing was acknowledged for %s", againWithin)
		}
		wait(ctx, 5*time.Millisecond)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if now := r.ledger.acknowledged(); now > last {
			last, since = now, time.Now()
		}
	}
	return nil
}

const (
	powerDisk = 2 << 30
	// cutAfter is how many messages are acknowledged at least before the disk is cut off:
	// there is something to lose.
	cutAfter = 1000
)

// runPowerAlways loses the page cache of weft's disk, where acknowledged means on
// disk.
func runPowerAlways(ctx context.Context, r *run) error {
	return r.powerCuts(ctx, settings{durable: true, sync: "always"}, traffic{}, false)
}

// runPowerInterval is the same where weft writes to the disk now and then: proof
// that the page cache is lost indeed.
func runPowerInterval(ctx context.Context, r *run) error {
	return r.powerCuts(ctx, settings{durable: true, sync: "interval", every: 10 * time.Second}, traffic{settle: 3 * time.Second}, false)
}

func judgePowerInterval(_ *run, v *verdict) []string {
	if n := v.lostHealed(); n > 0 {
		return []string{fmt.Sprintf("%d lost that came long after the last fault", n)}
	}
	if v.lost() == 0 {
		return []string{"nothing was lost although the disk is written to only now and then: the page cache was not lost, and the other verdict is worth nothing"}
	}
	return nil
}

// runDiskError is a disk that fails under a weft that goes on: it answers with
// errors until weft is started again.
func runDiskError(ctx context.Context, r *run) error {
	return r.powerCuts(ctx, settings{durable: true, sync: "always"}, traffic{}, true)
}

// powerCuts stops weft at random moments, cuts its disk off, lets weft go on for a
// while or not, kills it, and starts it again on what is left.
func (r *run) powerCuts(ctx context.Context, s settings, t traffic, goesOn bool) error {
	s.data = filepath.Join(r.dir, "disk")
	d, err := newDisk(filepath.Join(r.dir, "disk.image"), s.data, powerDisk)
	if err != nil {
		return err
	}
	r.close(d.unmount)
	s.data = filepath.Join(s.data, "weft")
	n, err := r.single(ctx, s)
	if err != nil {
		return err
	}
	t.mqtt, t.apis = []string{n.mqtt}, []string{n.api}
	r.note("the page cache is lost by ext4's shutdown without a journal flush, on a loop device")
	return r.under(ctx, t, func(ctx context.Context) error {
		for i := range r.rounds() {
			wait(ctx, r.between(killAfter, killUntil))
			if err := r.acknowledge(ctx, cutAfter); err != nil {
				return errors.Join(err, n.died())
			}
			if err := n.died(); err != nil {
				return err
			}
			// A sync that runs while ext4 is shut down may say that it went well: no
			// disk does so, and weft must not be blamed for it.
			if err := n.still(ctx); err != nil {
				return err
			}
			if err := d.cut(); err != nil {
				return err
			}
			if goesOn {
				if err := n.Signal(syscall.SIGCONT); err != nil {
					return err
				}
				wait(ctx, r.between(10*time.Millisecond, 7*time.Second)) // longer than it waits for an answer
			}
			if err := errors.Join(n.Kill(), d.unmount(), d.mount()); err != nil {
				return err
			}
			if err := n.start(ctx); err != nil {
				return fmt.Errorf("start after cut %d: %w", i+1, err)
			}
		}
		if err := r.heal(ctx); err != nil {
			return err
		}
		wait(ctx, time.Second)
		r.recovery(n)
		return n.died()
	})
}
