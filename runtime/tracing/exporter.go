package tracing

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
)

// The protocols of an exporter.
const (
	// HTTP is OTLP over HTTP, protobuf in a POST.
	HTTP = "http"
	// GRPC is OTLP over gRPC.
	GRPC = "grpc"
)

// Options describe an exporter. 0 and nil are the defaults.
type Options struct {
	// Endpoint is a URL. Over HTTP, /v1/traces is the path where it has none; over gRPC
	// only scheme and host count.
	Endpoint string
	// Protocol is HTTP or GRPC; empty is HTTP.
	Protocol string
	// Headers go with each request. What they hold is secret and appears in no error.
	Headers http.Header
	// TLS is for https; nil: as the system trusts. It is asked for each connection.
	TLS func(host string) *tls.Config
	// Timeout bounds one try; 0 is 10 s.
	Timeout time.Duration
	// Delay is for how long spans wait for others; 0 is 1 s.
	Delay time.Duration
	// Queue is how many spans may wait, sent ones included until they are answered for;
	// 0 is 8192. A message whose spans find no room is dropped as a whole.
	Queue int
	// Batch is how many spans a request has, about; 0 is 512.
	Batch int
	// Tries is how often a batch is sent that could be taken later; 0 is 5.
	Tries int
	// Service, Version and Instance say whose spans these are, Attributes what there is
	// to say besides.
	Service, Version, Instance string
	Attributes                 map[string]string
	// Logger is required.
	Logger *slog.Logger
}

// Stats is what an exporter has counted, in spans.
type Stats struct {
	// Sent were taken.
	Sent uint64
	// NoRoom found the queue full, Refused were not taken, Failed could not be brought
	// there in all tries, Ended were still there when the exporter was closed.
	NoRoom, Refused, Failed, Ended uint64
	// Waiting are those in the queue now.
	Waiting int64
	// Requests are tries, Retries those after the first.
	Requests, Retries uint64
}

// Exporter sends messages' spans from a goroutine of its own.
type Exporter struct {
	o       Options
	encoder *encoder
	send    sender
	log     *slog.Logger

	ctx     context.Context // of tries
	abort   context.CancelFunc
	queue   chan []*Message
	waiting atomic.Int64
	ending  chan struct{}
	once    sync.Once
	done    chan struct{}
	failing bool

	sent, noRoom, refused, failed, ended atomic.Uint64
	requests, retries                    atomic.Uint64
}

// sender brings one request there.
type sender interface {
	send(ctx context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error)
	close()
}

// ErrEndpoint is wrapped by the error about an endpoint that cannot be one.
var ErrEndpoint = errors.New("not an endpoint")

// maxLists bounds the queue in what is offered at once: a list a turn of a loop.
const maxLists = 4096

// New makes an exporter and starts it.
func New(o Options) (*Exporter, error) {
	orElse := func(d *time.Duration, or time.Duration) {
		if *d <= 0 {
			*d = or
		}
	}
	orElse(&o.Timeout, 10*time.Second)
	orElse(&o.Delay, time.Second)
	for _, n := range []struct {
		at *int
		or int
	}{{&o.Queue, 8192}, {&o.Batch, 512}, {&o.Tries, 5}} {
		if *n.at <= 0 {
			*n.at = n.or
		}
	}
	o.Batch = min(o.Batch, o.Queue)
	e := &Exporter{
		o: o, encoder: newEncoder(&o), log: o.Logger,
		queue: make(chan []*Message, min(maxLists, o.Queue)), ending: make(chan struct{}), done: make(chan struct{}),
	}
	e.ctx, e.abort = context.WithCancel(context.Background())
	var err error
	if e.send, err = newSender(&e.o); err != nil {
		return nil, err
	}
	go e.run()
	return e, nil
}

// Offer hands over messages, and never waits: what finds no room is dropped and
// counted. The list and what is in it are the exporter's from then on.
func (e *Exporter) Offer(list []*Message) {
	spans := spansOf(list)
	if spans == 0 {
		return
	}
	if e.waiting.Add(int64(spans)) <= int64(e.o.Queue) {
		select {
		case e.queue <- list:
			return
		default:
		}
	}
	e.waiting.Add(-int64(spans))
	e.noRoom.Add(uint64(spans))
}

func spansOf(list []*Message) int {
	n := 0
	for _, m := range list {
		n += m.Spans()
	}
	return n
}

// run sends until the exporter is closed, then what is left.
func (e *Exporter) run() {
	defer close(e.done)
	defer e.send.close()
	var batch []*Message
	spans := 0
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	flush := func() {
		if len(batch) > 0 {
			e.deliver(batch, spans)
			e.waiting.Add(-int64(spans))
		}
		batch, spans = nil, 0
	}
	take := func(list []*Message) {
		for _, m := range list {
			batch = append(batch, m)
			if spans += m.Spans(); spans >= e.o.Batch {
				flush()
			}
		}
	}
	for {
		select {
		case list := <-e.queue:
			if len(batch) == 0 {
				timer.Reset(e.o.Delay)
			}
			take(list)
		case <-timer.C:
			flush()
		case <-e.ending:
			for {
				select {
				case list := <-e.queue:
					take(list)
					continue
				default:
				}
				break
			}
			flush()
			return
		}
	}
}

// deliver sends one batch, and again while it may be taken later.
func (e *Exporter) deliver(batch []*Message, spans int) {
	request := e.encoder.request(batch)
	var err error
	for try := range e.o.Tries {
		if try > 0 {
			e.retries.Add(1)
			if !e.pause(try, err) {
				e.ended.Add(uint64(spans))
				return
			}
		}
		e.requests.Add(1)
		ctx, cancel := context.WithTimeout(e.ctx, e.o.Timeout)
		var answer *collector.ExportTraceServiceResponse
		answer, err = e.send.send(ctx, request)
		cancel()
		if err == nil {
			e.took(answer, spans)
			return
		}
		if later := (*laterError)(nil); !errors.As(err, &later) {
			e.refused.Add(uint64(spans))
			e.fails(err, spans)
			return
		}
	}
	e.failed.Add(uint64(spans))
	e.fails(err, spans)
}

// pause waits before another try; false if the exporter is being closed.
func (e *Exporter) pause(try int, err error) bool {
	wait := min(e.o.Delay<<(try-1), 30*time.Second)
	wait += time.Duration(rand.Int64N(int64(wait)/2 + 1))
	if later := (*laterError)(nil); errors.As(err, &later) && later.after > 0 {
		wait = min(later.after, time.Minute)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.ending:
		return false
	}
}

// took counts what the receiver has taken, and says once what it has not.
func (e *Exporter) took(answer *collector.ExportTraceServiceResponse, spans int) {
	rejected := min(max(answer.GetPartialSuccess().GetRejectedSpans(), 0), int64(spans))
	e.refused.Add(uint64(rejected))
	e.sent.Add(uint64(int64(spans) - rejected))
	switch {
	case rejected > 0:
		e.fails(fmt.Errorf("the receiver refused some: %.200q", answer.GetPartialSuccess().GetErrorMessage()), int(rejected))
	case e.failing:
		e.failing = false
		e.log.Info("spans are exported again", "endpoint", e.o.Endpoint)
	}
}

// fails logs that spans are lost, once until some are taken again.
func (e *Exporter) fails(err error, spans int) {
	if !e.failing {
		e.failing = true
		e.log.Warn("spans could not be exported; further ones are only counted until it works again", "endpoint", e.o.Endpoint, "spans", spans, "error", err)
	}
}

// Stats is what has been counted so far.
func (e *Exporter) Stats() Stats {
	return Stats{
		Sent: e.sent.Load(), NoRoom: e.noRoom.Load(), Refused: e.refused.Load(), Failed: e.failed.Load(), Ended: e.ended.Load(),
		Waiting: e.waiting.Load(), Requests: e.requests.Load(), Retries: e.retries.Load(),
	}
}

// lastTries is how long may be sent while the exporter is being closed.
const lastTries = 2 * time.Second

// Close sends what waits, each batch once and all for a short time, and ends the
// exporter. It may be called more than once.
func (e *Exporter) Close() {
	e.once.Do(func() {
		close(e.ending)
		timer := time.AfterFunc(lastTries, e.abort)
		<-e.done
		timer.Stop()
		e.abort()
	})
	<-e.done
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
