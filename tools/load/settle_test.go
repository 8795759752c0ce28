package load_test

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/tools/load"
)

// stampOf reads whose a payload is, and which: of probes the round.
func stampOf(payload []byte) (publisher int, number uint64) {
	id := binary.BigEndian.Uint64(payload)
	return int(id >> 50), id & (1<<35 - 1)
}

// TestSettlingWaitsForEveryStream: the server stands still for one publisher while the
// probes of the other go round.
func TestSettlingWaitsForEveryStream(t *testing.T) {
	r := newRelay(t)
	third := make(chan struct{})
	release := sync.OnceFunc(func() { close(third) })
	t.Cleanup(release)
	r.probe = func(payload []byte) {
		switch publisher, round := stampOf(payload); {
		case publisher == 0:
			<-third
		case round == 3:
			release()
		}
	}
	r.stall = func(int, []byte) time.Duration {
		select {
		case <-third:
		default:
			t.Error("a message was sent before one of two streams had come")
			release()
		}
		return 0
	}
	res := run(t, load.Config{Address: r.addr(), Publishers: 2, Subscribers: 1, Streams: 2, Window: 10, Count: 1000})
	if c := res.Counts; c.Expected != 1000 || !c.Clean() {
		t.Errorf("%+v", c)
	}
}

func TestStreamsThatDoNotCome(t *testing.T) {
	r := newRelay(t)
	_, err := load.Run(t.Context(), load.Config{
		Address: r.addr(), Protocol: &load.NATS{}, Publishers: 2, Subscribers: 1, Streams: 3, Duration: time.Second, Timeout: 2 * time.Second,
	})
	if err == nil || !strings.Contains(err.Error(), "of 3 came within 2s") {
		t.Errorf("got %v", err)
	}
}

// TestDrainWaitsForStreamsThatCameLate: nobody knows of a publisher's stream when sending
// begins, and its messages are under way when those of the other have all come.
func TestDrainWaitsForStreamsThatCameLate(t *testing.T) {
	r := newRelay(t)
	begun, late, last := make(chan struct{}), make(chan struct{}), make(chan struct{})
	begin, isLate, end := sync.OnceFunc(func() { close(begun) }), sync.OnceFunc(func() { close(late) }), sync.OnceFunc(func() { close(last) })
	t.Cleanup(func() { begin(); isLate(); end() })
	r.probe = func(payload []byte) {
		switch publisher, round := stampOf(payload); {
		case publisher == 0 && round == 1:
			<-begun
		case publisher == 0 && round == 2: // the first is before what is delivered from now on
			isLate()
		case publisher == 1 && round == 10: // if they do not settle before
			begin()
		}
	}
	r.stall = func(n int, payload []byte) time.Duration {
		switch publisher, _ := stampOf(payload); {
		case publisher == 0 && n == 0:
			<-last
			return 100 * time.Millisecond // the run would be over
		case publisher == 1 && n == 0:
			begin()
		case publisher == 1 && n == 499:
			<-late
			end()
		}
		return 0
	}
	res := run(t, load.Config{Address: r.addr(), Publishers: 2, Subscribers: 1, Count: 1000})
	if c := res.Counts; c.Expected != 1000 || !c.Clean() {
		t.Errorf("%+v", c)
	}
}
