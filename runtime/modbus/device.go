package modbus

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/weftrun/weft/abi"
)

// Codec is what a Device needs of a frame format, the client's end of it: requests
// are appended, responses decoded. A message's payload is the PDU, its attribute
// "unit" the unit; its Seq is the transaction where the format has one.
type Codec interface {
	// Append appends a frame to dst.
	Append(dst []byte, m *abi.Message) ([]byte, error)
	// Decode cuts a frame off b: n > 0 and no error is a frame, n == 0 and no error
	// needs more, n > 0 and an error skips, n == 0 and an error ends the connection.
	Decode(b, scratch []byte, m *abi.Message) (n int, grown []byte, err error)
}

// Options is what a Device is made of.
type Options struct {
	// Name is for logs. Address is a host and a port.
	Name, Address string
	// Codec is required.
	Codec Codec
	// Serial: frames have no transaction, so one request is under way at a time, and
	// a request to unit 0 is a broadcast that nobody answers.
	Serial bool
	// Timeout bounds each try of a request, and making the connection; 1 s by
	// default.
	Timeout time.Duration
	// Retries is how often a request is tried again.
	Retries int
	// Pipeline is how many requests may be under way; 1 by default and if Serial.
	Pipeline int
	// Queue is how many may wait besides; 64 by default.
	Queue int
	// Reconnect is the longest wait between two tries to connect; 10 s by default.
	Reconnect time.Duration
	// Logger is required.
	Logger *slog.Logger
	// Dial makes connections; nil: over TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

func (o *Options) complete() {
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	if o.Pipeline <= 0 || o.Serial {
		o.Pipeline = 1
	}
	if o.Queue <= 0 {
		o.Queue = 64
	}
	if o.Reconnect <= 0 {
		o.Reconnect = 10 * time.Second
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
}

// Call is one request. It belongs to the device from Submit until Done is called.
type Call struct {
	Unit byte
	// PDU is the request, function code first.
	PDU []byte
	// Done is called once, on a goroutine that it must not hold up, with the PDU of
	// the response, an exception included, which is then the receiver's own; nil for
	// a broadcast. The error is ErrTimeout, ErrUnreachable or ErrStopped.
	Done func(response []byte, err error)

	tries       int
	transaction uint16
	begun       time.Time // of the request: for its latency
	due         time.Time // not answered by then: timed out
	after       time.Time // not to be sent before
	failure     error
}

// Device is one Modbus server that weft asks. Its methods may be called by any
// goroutine.
type Device struct {
	o     Options
	queue chan *Call
	stats stats

	mu    sync.RWMutex // Submit beside the end of Run
	ended bool
}

// New makes a device. Nothing happens before Run.
func New(o Options) *Device {
	o.complete()
	return &Device{o: o, queue: make(chan *Call, o.Queue)}
}

// Name is the device's name.
func (d *Device) Name() string { return d.o.Name }

// Submit hands over a request and never blocks. The error is ErrBusy or ErrStopped;
// Done is then not called.
func (d *Device) Submit(c *Call) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.ended {
		return ErrStopped
	}
	c.begun = time.Now()
	select {
	case d.queue <- c:
		d.stats.requests.Add(1)
		return nil
	default:
		d.stats.busy.Add(1)
		return ErrBusy
	}
}

// Do asks and waits for the answer, or until ctx ends. An exception is an error
// (Exception), as is everything that Call.Done and Submit tell.
func (d *Device) Do(ctx context.Context, unit byte, pdu []byte) (response []byte, err error) {
	type result struct {
		pdu []byte
		err error
	}
	done := make(chan result, 1)
	err = d.Submit(&Call{Unit: unit, PDU: pdu, Done: func(b []byte, err error) { done <- result{b, err} }})
	if err != nil {
		return nil, err
	}
	select {
	case r := <-done:
		if e, is := AsException(r.pdu); is && r.err == nil {
			return nil, e
		}
		return r.pdu, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Run serves the device until ctx ends. What is under way then, or waits, ends with
// ErrStopped. It is called once.
func (d *Device) Run(ctx context.Context) {
	r := &run{Device: d, ctx: ctx, timer: time.NewTimer(time.Hour)}
	defer r.timer.Stop()
	r.serve()
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
	r.lose(ErrStopped)
	for {
		select {
		case c := <-d.queue:
			d.finish(c, nil, ErrStopped)
		default:
			return
		}
	}
}

// finish answers a call.
func (d *Device) finish(c *Call, response []byte, err error) {
	if err == nil {
		d.stats.answered(response, time.Since(c.begun))
	} else if !errors.Is(err, ErrStopped) {
		d.stats.failed.Add(1)
	}
	c.Done(response, err)
}
