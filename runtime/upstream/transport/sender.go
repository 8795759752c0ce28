package transport

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/upstream"
)

// Job is one message on its way. It is given to Submit and comes back by Done.
type Job struct {
	Message Message
	// Done is called once, on any goroutine, when the message has ended; it must not
	// wait. Answer and Err are set before.
	Done func(*Job)
	// Answer is the member's, where Err is nil and the message was a request.
	Answer Answer
	// Err is why the message was not taken or not answered; nil if it was.
	Err error
	// Record has Tries filled in, before Done is called.
	Record bool
	Tries  []Try

	next  *Job // behind it in its row
	shard int
}

// SenderOptions describe a Sender. All but Hedged are required.
type SenderOptions struct {
	Pool      *upstream.Pool
	Transport Transport
	// InFlight is how many messages are under way at once, Queue how many more wait.
	InFlight, Queue int
	// Hedged: the pool hedges.
	Hedged bool
	Logger *slog.Logger
}

// Sender is a pool's queue and who works it off. Submit may be called by any
// goroutine; messages with one key that one goroutine submits stay in order.
type Sender struct {
	options SenderOptions
	limit   int64
	waiting atomic.Int64 // jobs that are not done
	refused atomic.Uint64
	failed  atomic.Uint64
	jobs    chan *Job // room for limit
	work    chan *Job
	rows    [rowCount]row
	seed    maphash.Seed

	ctx   context.Context // of the calls
	abort context.CancelFunc
	ended atomic.Bool   // nothing is submitted any more
	idle  chan struct{} // closed when it is ended and every job is done
	rest  sync.Once
}

// rowCount is how many rows there are: messages with keys of one row are sent one
// after the other.
const rowCount = 1024

// row is the messages that wait for one that is being sent.
type row struct {
	mu         sync.Mutex
	busy       bool
	head, last *Job
}

// NewSender makes a sender; nothing is sent before Run.
func NewSender(o SenderOptions) *Sender {
	s := &Sender{options: o, limit: int64(o.InFlight + o.Queue), seed: maphash.MakeSeed()}
	s.jobs, s.work, s.idle = make(chan *Job, s.limit), make(chan *Job), make(chan struct{})
	s.ctx, s.abort = context.WithCancel(context.Background())
	return s
}

// Pool is the sender's.
func (s *Sender) Pool() *upstream.Pool { return s.options.Pool }

// Submit queues a job. It takes no lock but the channel's, does not wait and does not
// allocate. ErrFull and ErrClosed
// mean that Done will not be called.
func (s *Sender) Submit(j *Job) error {
	n := s.waiting.Add(1) // before ended is read: Run reads them the other way round
	if s.ended.Load() {
		s.done()
		return ErrClosed
	}
	if n > s.limit {
		s.done()
		s.refused.Add(1)
		return ErrFull
	}
	j.Answer, j.Err, j.Tries, j.next, j.shard = Answer{}, nil, nil, nil, -1
	if len(j.Message.Key) > 0 {
		j.shard = int(maphash.Bytes(s.seed, j.Message.Key) % rowCount)
	}
	s.jobs <- j // has room for limit
	return nil
}

// Run sends until ctx ends; what was submitted before that is still sent, until grace
// has gone by: then it fails. When it returns every job is done, every connection
// closed and every goroutine has ended.
func (s *Sender) Run(ctx context.Context, grace time.Duration) {
	var workers, others sync.WaitGroup
	for range s.options.InFlight {
		workers.Go(func() {
			for j := range s.work {
				s.sendRow(j)
			}
		})
	}
	others.Go(s.dispatch)
	swept := make(chan struct{})
	others.Go(func() { s.sweep(swept) })
	poolCtx, stopPool := context.WithCancel(context.Background())
	others.Go(func() {
		if err := s.options.Pool.Run(poolCtx); err != nil {
			s.options.Logger.Error("the members of an upstream pool cannot be found any more: those that are known stay", "pool", s.options.Pool.Name(), "error", err)
		}
	})
	<-ctx.Done()
	s.ended.Store(true)
	timer := time.AfterFunc(grace, s.abort)
	if s.waiting.Load() == 0 {
		s.settle()
	}
	workers.Wait()
	timer.Stop()
	s.abort()
	stopPool()
	close(swept)
	others.Wait()
	s.options.Transport.Close()
}

// Abort ends what is under way now: it fails. Call it when Run's context has ended, or
// in place of the rest of its grace; it may be called twice.
func (s *Sender) Abort() { s.abort() }

// dispatch hands jobs to the workers, those with a key in rows. Only it sees them in
// the order in which they came.
func (s *Sender) dispatch() {
	defer close(s.work)
	for {
		select {
		case j := <-s.jobs:
			if j.shard < 0 || s.rows[j.shard].enter(j) {
				s.work <- j
			}
		case <-s.idle:
			return
		}
	}
}

// done takes one off what waits.
func (s *Sender) done() {
	if s.waiting.Add(-1) == 0 && s.ended.Load() {
		s.settle()
	}
}

func (s *Sender) settle() { s.rest.Do(func() { close(s.idle) }) }

// enter lets the job go if nothing of its row is under way, else it waits.
func (r *row) enter(j *Job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.busy {
		r.busy = true
		return true
	}
	if r.last == nil {
		r.head = j
	} else {
		r.last.next = j
	}
	r.last = j
	return false
}

// following is the next job of the row; nil if there is none.
func (r *row) following() *Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.head
	if j == nil {
		r.busy = false
		return nil
	}
	if r.head = j.next; r.head == nil {
		r.last = nil
	}
	j.next = nil
	return j
}

// sendRow sends a job, and those that have queued up behind it meanwhile.
func (s *Sender) sendRow(j *Job) {
	for shard := j.shard; j != nil; {
		s.send(j)
		if shard < 0 {
			return
		}
		j = s.rows[shard].following()
	}
}

// send takes one message to a member and tells of its end.
func (s *Sender) send(j *Job) {
	defer func() {
		if r := recover(); r != nil {
			j.Err = fmt.Errorf("panic: %v", r)
			s.options.Logger.Error("sending to an upstream pool panicked", "pool", s.options.Pool.Name(), "panic", r)
		}
		if j.Err != nil {
			s.failed.Add(1)
		}
		j.Done(j)
		s.done()
	}()
	ctx, cancel := s.ctx, context.CancelFunc(nil)
	if !j.Message.Deadline.IsZero() {
		ctx, cancel = context.WithDeadline(s.ctx, j.Message.Deadline)
		defer cancel()
	}
	m := &j.Message
	if s.options.Hedged { // the try that lost may still look at it
		m = m.clone()
	}
	var record *recorder
	if j.Record {
		record = &recorder{job: j}
	}
	var first atomic.Pointer[Answer]
	j.Err = s.options.Pool.Do(ctx, m.Key, func(ctx context.Context, to *upstream.Member) error {
		answer, err := record.send(ctx, s.options.Transport, to, m)
		if err == nil {
			first.CompareAndSwap(nil, &answer)
		}
		return err
	})
	if answer := first.Load(); j.Err == nil && answer != nil {
		j.Answer = *answer
	}
	if j.Err != nil && s.ctx.Err() != nil {
		j.Err = errors.Join(ErrClosed, j.Err)
	}
}

func (s *Sender) sweep(end <-chan struct{}) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			s.options.Transport.Sweep()
		case <-end:
			return
		}
	}
}

// SenderStats are a sender's counters.
type SenderStats struct {
	// Waiting is the jobs that are queued or under way, Limit how many there may be.
	Waiting, Limit int
	// Refused is those that found the queue full; Failed those that ended with an error.
	Refused, Failed uint64
	Transport       Stats
}

// Stats reads the counters.
func (s *Sender) Stats() SenderStats {
	return SenderStats{
		Waiting: int(s.waiting.Load()), Limit: int(s.limit), Refused: s.refused.Load(), Failed: s.failed.Load(),
		Transport: s.options.Transport.Stats(),
	}
}

// clone copies a message with all its bytes.
func (m *Message) clone() *Message {
	c := *m
	for _, part := range []*[]byte{&c.Topic, (*[]byte)(&c.Attrs), (*[]byte)(&c.Context), &c.Payload, &c.Frame, &c.ID, &c.Key, &c.Path, &c.Query} {
		if *part != nil {
			*part = append([]byte{}, *part...)
		}
	}
	return &c
}
