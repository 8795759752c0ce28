package server

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// target is where a test's keys are written: it says how often each was.
type target struct {
	mu     sync.Mutex
	writes map[string]int
	under  map[string]bool // being written just now
	answer func(key string, n int) outcome
	gate   chan struct{} // each write takes one, if there is a gate
	twice  bool
}

func (w *target) write(ctx context.Context, key string) outcome {
	w.mu.Lock()
	w.twice = w.twice || w.under[key]
	w.under[key] = true
	w.mu.Unlock()
	if w.gate != nil {
		select {
		case <-w.gate:
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.under[key] = false
	w.writes[key]++
	if ctx.Err() != nil {
		return notYet
	}
	if w.answer == nil {
		return written
	}
	return w.answer(key, w.writes[key])
}

func newTarget() *target { return &target{writes: map[string]int{}, under: map[string]bool{}} }

// A key that changes while it waits is written once, one that changes while it is written
// once more, and never by two writers.
func TestBehindWritesWhatChangedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTarget()
		w.gate = make(chan struct{})
		b := newBehind(behindOptions[string]{Writers: 3, Write: w.write})
		for range 10 {
			b.changed("early") // before it writes
		}
		b.start(t.Context())
		synctest.Wait()
		for range 10 {
			b.changed("early") // it is being written
			b.changed("late")
		}
		synctest.Wait()
		if c := b.stats(); c.Pending != 2 {
			t.Errorf("%d keys wait, not 2", c.Pending)
		}
		close(w.gate)
		b.settle("early")
		b.settle("late")
		if w.writes["early"] != 2 || w.writes["late"] != 2 && w.writes["late"] != 1 || w.twice {
			t.Errorf("written: %v, by two at the same time: %v", w.writes, w.twice)
		}
		if left := b.close(time.Minute); left != 0 {
			t.Errorf("%d keys are left", left)
		}
		if b.changed("after") {
			t.Error("a change after the end was taken")
		}
		b.settle("after") // returns
	})
}

// What cannot be written now is tried again, what cannot be written at all is not.
func TestBehindTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTarget()
		w.answer = func(key string, n int) outcome {
			switch {
			case key == "never":
				return notWritten
			case n < 4:
				return notYet
			}
			return written
		}
		b := newBehind(behindOptions[string]{Writers: 2, Rest: time.Second, Write: w.write})
		b.start(t.Context())
		began := time.Now()
		b.changed("away")
		b.changed("never")
		b.settle("never")
		b.settle("away")
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("three rests of a second took %v", took)
		}
		if w.writes["away"] != 4 || w.writes["never"] != 1 {
			t.Errorf("written: %v", w.writes)
		}
		if c := b.stats(); c != (behindCounts{Written: 5, Failed: 4}) {
			t.Errorf("%+v", c)
		}
		b.close(time.Minute)
	})
}

// Keys that cannot be written now, however many, hold up no others, are tried so many a
// rest, and all of them at once when there is room; in the end once more.
func TestBehindWaitsForRoomAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTarget()
		full := true
		tries := 0
		w.answer = func(key string, _ int) outcome {
			if full && strings.HasPrefix(key, "large") {
				tries++
				return notYet
			}
			return written
		}
		const writers, keys = 4, 10_000
		b := newBehind(behindOptions[string]{Writers: writers, Rest: time.Second, Write: w.write})
		b.start(t.Context())
		for i := range keys {
			b.changed(fmt.Sprint("large", i))
		}
		time.Sleep(time.Minute)
		w.mu.Lock()
		if tries < keys+writers*50 || tries > keys+writers*61 {
			t.Errorf("%d tries of %d keys in a minute", tries, keys)
		}
		w.mu.Unlock()
		began := time.Now()
		b.changed("small")
		b.settle("small")
		if took := time.Since(began); took != 0 {
			t.Errorf("one for which there is room waited for %v", took)
		}
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) { // others do not keep them from their turn
			b.changed("small")
		}
		w.mu.Lock()
		before := tries
		if before < keys+writers*60 {
			t.Errorf("%d tries of %d keys beside others", before, keys)
		}
		full = false
		w.mu.Unlock()
		time.Sleep(2 * time.Second)
		if c := b.stats(); c.Pending != 0 {
			t.Errorf("%d keys wait although there is room", c.Pending)
		}
		w.mu.Lock()
		full = true
		w.mu.Unlock()
		for i := range keys {
			b.changed(fmt.Sprint("large", i))
		}
		time.Sleep(time.Minute)
		began = time.Now()
		if left := b.close(time.Minute); left != keys || time.Since(began) != 0 {
			t.Errorf("%d keys are left after %v", left, time.Since(began))
		}
	})
}

// So many keys wait at most; one that waits already needs no room.
func TestBehindIsBounded(t *testing.T) {
	w := newTarget()
	b := newBehind(behindOptions[string]{Writers: 1, Most: 2, Write: w.write})
	for i, step := range []struct {
		key  string
		want bool
	}{{"a", true}, {"b", true}, {"c", false}, {"a", true}, {"d", false}} {
		if b.changed(step.key) != step.want {
			t.Errorf("change %d of %s: %v", i, step.key, !step.want)
		}
	}
	if c := b.stats(); c.Refused != 2 || c.Pending != 2 {
		t.Errorf("%+v", c)
	}
	b.start(t.Context())
	b.settle("a")
	b.settle("b")
	if !b.changed("c") {
		t.Error("there is room again")
	}
	b.close(time.Minute)
	if w.writes["c"] != 1 {
		t.Errorf("written: %v", w.writes)
	}
}

// The end writes what is left, also what writes bring about, and gives up in time.
func TestBehindEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTarget()
		var b *behind[string]
		w.answer = func(key string, _ int) outcome {
			if key == "first" {
				b.changed("second")
			}
			return written
		}
		b = newBehind(behindOptions[string]{Writers: 2, Write: w.write})
		b.changed("first")
		b.start(t.Context())
		if left := b.close(time.Minute); left != 0 || w.writes["second"] != 1 {
			t.Errorf("%d are left; written: %v", left, w.writes)
		}

		w = newTarget()
		w.gate = make(chan struct{}) // for ever
		b = newBehind(behindOptions[string]{Writers: 2, Rest: time.Hour, Write: w.write})
		b.start(t.Context())
		for _, key := range []string{"a", "b", "c"} {
			b.changed(key)
		}
		began := time.Now()
		if left := b.close(5 * time.Second); left != 3 {
			t.Errorf("%d are left, not 3", left)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// Finish decides in the moment in which a key is let go of: nothing comes in between.
func TestBehindFinishes(t *testing.T) {
	w := newTarget()
	w.answer = func(_ string, n int) outcome {
		if n == 1 {
			return nothing
		}
		return written
	}
	var said []outcome
	b := newBehind(behindOptions[string]{Writers: 1, Write: w.write, Finish: func(_ string, _ bool, o outcome) bool {
		said = append(said, o)
		return len(said) < 3
	}})
	b.start(t.Context())
	b.changed("x")
	b.settle("x")
	b.close(time.Minute)
	if len(said) != 3 || said[0] != nothing || said[1] != written {
		t.Errorf("%v", said)
	}
	if c := b.stats(); c != (behindCounts{Written: 2}) {
		t.Errorf("%+v", c)
	}
}
