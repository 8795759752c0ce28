package load_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/ports"
	"github.com/weftrun/weft/tools/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func run(t *testing.T, c load.Config) *load.Result {
	t.Helper()
	if c.Protocol == nil {
		c.Protocol = &load.NATS{}
	}
	c.Timeout = 20 * time.Second
	res, err := load.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestClosedLoopLosesNothing(t *testing.T) {
	topics := load.Series("t.{n}", 5)
	for name, payload := range map[string]load.Payload{
		"opaque": {}, "template": {Size: 90, Template: `{"topic":"{topic}","s":"{stamp}","p":"{pad}"}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t)
			res := run(t, load.Config{
				Address: r.addr(), Publishers: 3, Subscribers: 4, Topics: topics, Subscribe: load.Partition(topics, 2),
				Window: 500, Count: 20_000, Payload: payload,
			})
			c := res.Counts
			if c.Sent != 20_000 || c.Expected != 40_000 || c.Received != 40_000 || !c.Clean() {
				t.Errorf("%+v", c)
			}
			if res.Latency.Samples == 0 || res.Measured.Received != 40_000 || res.Measured.Rate == 0 {
				t.Errorf("%+v, %+v", res.Measured, res.Latency)
			}
		})
	}
}

func TestWindowBoundsWhatIsInFlight(t *testing.T) {
	r := newRelay(t)
	r.copies = func(int, []byte) int { return 0 }
	res := run(t, load.Config{
		Address: r.addr(), Subscribers: 3, Window: 100, Duration: 2 * time.Second, Drain: 50 * time.Millisecond,
	})
	// A message has three deliveries; the last may begin when one place is free.
	if c := res.Counts; c.Sent != 34 || c.Lost != 102 {
		t.Errorf("%+v", c)
	}
	r = newRelay(t)
	res = run(t, load.Config{Address: r.addr(), Subscribers: 1, Window: 1, Count: 200})
	if c := res.Counts; !c.Clean() || c.Received != 200 {
		t.Errorf("%+v", c)
	}
}

func TestOpenLoopKeepsItsRate(t *testing.T) {
	r := newRelay(t)
	res := run(t, load.Config{
		Address: r.addr(), Mode: load.Open, Rate: 2000, Publishers: 2, Subscribers: 1,
		Warmup: 100 * time.Millisecond, Duration: 500 * time.Millisecond,
	})
	if c := res.Counts; !c.Clean() || c.Sent != 1200 || c.Received != 1200 {
		t.Errorf("%+v", c)
	}
	if n := res.Latency.Samples; n < 990 || n > 1010 {
		t.Errorf("%d latencies of 1000 messages after the warm-up", n)
	}
}

// TestStallShowsInTheLatencies: while the server stalls for 200 ms of a second,
// messages go on being due, so about a fifth of all latencies contain a wait.
func TestStallShowsInTheLatencies(t *testing.T) {
	const stall = 200 * time.Millisecond
	r := newRelay(t)
	var once sync.Once
	start := time.Now()
	r.stall = func(n int, _ []byte) (d time.Duration) {
		if time.Since(start) > 400*time.Millisecond && n > 100 {
			once.Do(func() { d = stall })
		}
		return d
	}
	res := run(t, load.Config{Address: r.addr(), Mode: load.Open, Rate: 1000, Subscribers: 1, Duration: time.Second})
	if c := res.Counts; !c.Clean() || c.Received != 1000 {
		t.Errorf("%+v", c)
	}
	l := res.Latency
	if max := time.Duration(l.Max); max < stall {
		t.Errorf("max %v is below the stall", max)
	}
	if p99 := time.Duration(l.P99); p99 < stall*3/4 {
		t.Errorf("p99 %v hides the stall of %v", p99, stall)
	}
	if p90 := time.Duration(l.P90); p90 < stall/4 {
		t.Errorf("p90 %v: only a few messages felt the stall", p90)
	}
}

// TestServerThatStopsReading: what was due but could not be sent is counted.
func TestServerThatStopsReading(t *testing.T) {
	r := newRelay(t)
	release := make(chan struct{})
	var taken atomic.Int64
	r.stall = func(int, []byte) time.Duration {
		if taken.Add(1) > 1000 {
			<-release
		}
		return 0
	}
	defer close(release)
	res := run(t, load.Config{
		Address: r.addr(), Mode: load.Open, Rate: 200_000, Subscribers: 1, Payload: load.Payload{Size: 8192},
		Duration: 500 * time.Millisecond, Drain: 100 * time.Millisecond,
	})
	c := res.Counts
	if c.Unsent == 0 || c.Lost == 0 || c.Sent+c.Unsent > 110_000 || c.Expected != c.Received+c.Lost {
		t.Errorf("%+v", c)
	}
}

func TestFaultsOfDeliveryAreCounted(t *testing.T) {
	for name, test := range map[string]struct {
		copies func(int, []byte) int
		hold   func(int, []byte) bool
		want   load.Counts
	}{
		"lost": {copies: func(n int, _ []byte) int {
			if n%100 == 50 {
				return 0
			}
			return 1
		}, want: load.Counts{Lost: 10}},
		"last ones lost": {copies: func(n int, _ []byte) int {
			if n >= 990 {
				return 0
			}
			return 1
		}, want: load.Counts{Lost: 10}},
		"duplicate": {copies: func(n int, _ []byte) int {
			if n%100 == 50 {
				return 3
			}
			return 1
		}, want: load.Counts{Duplicates: 20}},
		"out of order": {hold: func(n int, _ []byte) bool { return n%100 == 50 }, want: load.Counts{OutOfOrder: 10}},
		"foreign": {copies: func(n int, payload []byte) int {
			if n == 500 {
				clear(payload)
			}
			return 1
		}, want: load.Counts{Foreign: 1, Lost: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t)
			r.copies, r.hold = test.copies, test.hold
			got := run(t, load.Config{Address: r.addr(), Subscribers: 1, Count: 1000, Drain: time.Second}).Counts
			test.want.Sent, test.want.Expected = 1000, 1000
			test.want.Received = 1000 - test.want.Lost + test.want.Duplicates + test.want.Foreign
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// answering is a server that answers each line.
func answering(t *testing.T, answer func(line []byte) []byte) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				in := bufio.NewScanner(conn)
				for in.Scan() {
					a := answer(in.Bytes())
					if a == nil {
						return
					}
					if _, err := conn.Write(append(a, '\n')); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		group.Wait()
	})
	return ln.Addr().String()
}

func lines(t *testing.T) load.Protocol {
	t.Helper()
	format, ok := frame.Preset("line")
	if !ok {
		t.Fatal("no preset line")
	}
	return &load.Frames{Codec: format}
}

func TestRequests(t *testing.T) {
	address := answering(t, func(line []byte) []byte { return append([]byte("ACK: "), line...) })
	for name, c := range map[string]load.Config{
		"stamped":   {},
		"fixed":     {Payload: load.Payload{Template: "PING"}},
		"at a rate": {Rate: 2000},
	} {
		t.Run(name, func(t *testing.T) {
			c.Address, c.Protocol, c.Mode, c.Publishers, c.Count = address, lines(t), load.Request, 3, 500
			res := run(t, c)
			if !res.Counts.Clean() || res.Counts.Received != 500 || res.Latency.Samples != 500 {
				t.Errorf("%+v, %d latencies", res.Counts, res.Latency.Samples)
			}
			if c.Rate > 0 && res.Measured.Seconds < 0.2 {
				t.Errorf("500 requests at 2,000 a second took %.3f s", res.Measured.Seconds)
			}
		})
	}
}

func TestRequestsNotAnswered(t *testing.T) {
	var n atomic.Int64
	address := answering(t, func(line []byte) []byte {
		if n.Add(1) > 100 {
			return []byte("something else")
		}
		return line
	})
	res := run(t, load.Config{
		Address: address, Protocol: lines(t), Mode: load.Request, Duration: 2 * time.Second, Drain: 50 * time.Millisecond,
	})
	if c := res.Counts; c.Sent != 101 || c.Received != 101 || c.Lost != 1 || c.Foreign != 1 {
		t.Errorf("%+v", c)
	}
}

func TestServerThatHangsUpEndsTheRun(t *testing.T) {
	address := answering(t, func([]byte) []byte { return nil })
	_, err := load.Run(t.Context(), load.Config{Address: address, Protocol: lines(t), Mode: load.Request, Duration: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "publisher 0: the server closed the connection") {
		t.Errorf("got %v", err)
	}
}

// What was measured before the server went is not lost.
func TestServerThatHangsUpLeavesAResult(t *testing.T) {
	for _, mode := range []load.Mode{load.Request, load.Closed, load.Open} {
		r := newRelay(t)
		c := load.Config{Address: r.addr(), Protocol: &load.NATS{}, Mode: mode, Subscribers: 1, Duration: time.Minute}
		var n atomic.Int64
		switch mode {
		case load.Request:
			c.Subscribers, c.Protocol = 0, lines(t)
			c.Address = answering(t, func(line []byte) []byte {
				if n.Add(1) > 100 {
					return nil
				}
				return line
			})
		case load.Open, load.Closed:
			if c.Rate = 2000; mode == load.Closed {
				c.Rate, c.Window = 0, 10
			}
			r.copies = func(int, []byte) int {
				if n.Add(1) == 100 {
					r.ping()
				}
				return 1
			}
			r.pong = func() { go r.close() } // when something was received
		}
		result, err := load.Run(t.Context(), c)
		if err == nil || result == nil {
			t.Fatalf("%v: %v, %v", mode, result, err)
		}
		if result.CutOff != err.Error() || result.Measured.Received == 0 || result.Latency.Samples == 0 || result.Measured.Seconds <= 0 {
			t.Errorf("%v: %q, %+v, %+v", mode, result.CutOff, result.Measured, result.Latency)
		}
		var table strings.Builder
		if err := result.WriteTable(&table); err != nil || !strings.Contains(table.String(), "cut off") {
			t.Errorf("%v: %v:\n%s", mode, err, table.String())
		}
	}
}

func TestNobodySubscribed(t *testing.T) {
	r := newRelay(t)
	_, err := load.Run(t.Context(), load.Config{
		Address: r.addr(), Protocol: &load.NATS{}, Subscribers: 2, Subscribe: [][]string{{"bench"}, {"other"}},
		Duration: time.Second, Timeout: 2 * time.Second,
	})
	if err == nil || !strings.Contains(err.Error(), `subscriber 1 received nothing within 2s: does its subscription ["other"] match`) {
		t.Errorf("got %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	port, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	if _, err := load.Run(t.Context(), load.Config{Address: address, Protocol: lines(t), Duration: time.Second}); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	r := newRelay(t)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var once sync.Once
	r.stall = func(n int, _ []byte) time.Duration {
		if n > 1000 {
			once.Do(func() { cancel(why) })
		}
		return 0
	}
	if _, err := load.Run(ctx, load.Config{Address: r.addr(), Protocol: &load.NATS{}, Subscribers: 1, Duration: time.Minute}); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := load.Config{Address: "127.0.0.1:1", Protocol: lines(t), Duration: time.Second}
	for want, change := range map[string]func(*load.Config){
		"no address":         func(c *load.Config) { c.Address = "" },
		"no protocol":        func(c *load.Config) { c.Protocol = nil },
		"mode \"fast\"":      func(c *load.Config) { c.Mode = "fast" },
		"needs a rate":       func(c *load.Config) { c.Mode = load.Open },
		"belongs to open":    func(c *load.Config) { c.Rate = 5 },
		"when to stop":       func(c *load.Config) { c.Duration = 0 },
		"has no subscribers": func(c *load.Config) { c.Mode, c.Subscribers = load.Request, 1 },
		"20000 publishers":   func(c *load.Config) { c.Publishers = 20_000 },
		"20000 topics":       func(c *load.Config) { c.Topics = load.Series("{n}", 20_000) },
		"has no {stamp}":     func(c *load.Config) { c.Payload.Template = "x" },
		"a negative time":    func(c *load.Config) { c.Warmup = -1 },
		"must be at least 1": func(c *load.Config) { c.Window = -1 },
		"-1 subscribers":     func(c *load.Config) { c.Subscribers = -1 },
		"rate -1":            func(c *load.Config) { c.Mode, c.Rate = load.Open, -1 },
	} {
		c := good
		change(&c)
		if _, err := load.Run(t.Context(), c); !errors.Is(err, load.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	r := newRelay(t)
	for want, p := range map[string]load.Payload{
		"no room for the stamp":   {Size: 8},
		"template needs 43 bytes": {Size: 40, Template: "123456789{stamp}{pad}"},
	} {
		c := load.Config{Address: r.addr(), Protocol: &load.NATS{}, Duration: time.Second, Payload: p}
		if _, err := load.Run(t.Context(), c); !errors.Is(err, load.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestServerCPUAndProgress(t *testing.T) {
	r := newRelay(t)
	var progress bytes.Buffer
	res := run(t, load.Config{
		Address: r.addr(), Subscribers: 1, Duration: 2500 * time.Millisecond, ServerPID: os.Getpid(), Progress: &progress,
	})
	if res.Server == nil || res.Server.Seconds <= 0 || res.Server.PerMessage <= 0 {
		t.Errorf("%+v", res.Server)
	}
	if n := strings.Count(progress.String(), "\n"); n < 1 || !strings.Contains(progress.String(), "received") {
		t.Errorf("progress %q", progress.String())
	}
	if _, err := load.Run(t.Context(), load.Config{Address: r.addr(), Protocol: &load.NATS{}, Duration: time.Second, ServerPID: 1 << 30}); err == nil {
		t.Error("a process that is not there was measured")
	}
	if rss, err := load.ProcessMemory(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("resident memory %d, %v", rss, err)
	}
}

func ExamplePartition() {
	fmt.Println(load.Partition(load.Series("truck/{n}", 4), 2))
	// Output: [[truck/0 truck/2] [truck/1 truck/3]]
}
