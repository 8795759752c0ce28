package backbone

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Delayed records wait in a stream of their own, as JetStream's message schedules:
// the server counts the time, whatever happens to the nodes, and there may be as
// many as the log may be large. (A message that a consumer holds back counts as
// pending: a thousand that are due tomorrow would stop one that is due now. And the
// log's stream itself cannot have schedules: they exclude refusing what does not
// fit.) When a record is due the server moves it to another subject of that stream,
// from where a node moves it to the log.
//
// Exactly once: all nodes move, in the order of the due subject, to one subject of
// the log which nothing else writes to. Each record carries its sequence in the
// stream it comes from, and is stored only behind the one that was moved before it.
// A server that dies between the two steps of a schedule starts it twice; both
// copies carry its name, and the log's window knows it.
type delays struct {
	l      *Log
	name   string // the stream's
	at     string // subjects of the schedules begin so
	due    string
	mu     sync.Mutex
	stream jetstream.Stream
	// bytes and records are what waits, as it was asked last, and what came since.
	bytes, records uint64
	asked          time.Time
	// confirmed is like Log.confirmed, of the stream of delayed records.
	confirmed uint64
	ended     bool
	moving    sync.WaitGroup
}

const (
	headerSchedule = "Nats-Schedule"
	headerTarget   = "Nats-Schedule-Target"
	headerSchedBy  = "Nats-Scheduler"
	// dueNode stands in the place of a node; no node's token is like it.
	dueNode  = "_due"
	askEvery = time.Second
	// awaitEvery is how late a node may move what others had delayed.
	awaitEvery = time.Minute
	codeDelay  = 2 // bytes of the id's length
)

func (l *Log) newDelays(prefix, name string) *delays {
	subject := prefix + ".delay." + name
	return &delays{l: l, name: prefix + "_delay_" + name, at: subject + ".at." + token(l.b.options.Node) + ".", due: subject + ".due"}
}

// begin opens the stream; create makes it if it is not there.
func (d *delays) begin(ctx context.Context, create bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stream != nil {
		return nil
	}
	if d.ended {
		return ErrClosed
	}
	s, err := d.l.b.js.Stream(ctx, d.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if !create {
			return nil
		}
		s, err = d.l.b.stream(ctx, jetstream.StreamConfig{
			Name: d.name, Subjects: []string{d.due[:len(d.due)-len("due")] + ">"}, AllowMsgSchedules: true, AllowRollup: true, AllowDirect: true,
			Duplicates: d.l.options.Window,
		})
	}
	if err != nil {
		return fmt.Errorf("delayed records: %w", known(err))
	}
	d.stream = s
	d.moving.Add(1)
	go d.move()
	return nil
}

// await looks from time to time whether another node has begun to delay records: what it
// leaves behind when it is gone is moved by who is there.
func (d *delays) await(ctx context.Context) {
	look := time.NewTicker(awaitEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if !d.l.b.conn.IsConnected() || d.begin(ctx, false) != nil {
			continue // the next time
		}
		d.mu.Lock()
		begun := d.stream != nil
		d.mu.Unlock()
		if begun {
			return
		}
	}
}

// end waits until nothing is moved any more; the log is closed.
func (d *delays) end() {
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
	d.moving.Wait()
}

// delayedMost is how many bytes of delayed records there may be where the log's size has
// no bound.
const delayedMost = 1 << 30

// full tells whether the log's bounds are reached by delayed records alone. It is
// asked every second: schedules know no bound of their own.
func (d *delays) full(ctx context.Context) error {
	most := uint64(d.l.options.Size)
	if most == 0 {
		most = delayedMost
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.asked) >= askEvery {
		i, err := d.stream.Info(ctx)
		if err != nil {
			return known(err)
		}
		d.bytes, d.records, d.asked = i.State.Bytes, i.State.Msgs, time.Now()
	}
	if d.bytes >= most {
		return fmt.Errorf("%w: delayed records take %d bytes of %d that they may (durable.size, or 1 GiB without one)", ErrFull, d.bytes, most)
	}
	if n := uint64(d.l.options.Messages); n > 0 && d.records >= n {
		return fmt.Errorf("%w: %d records are delayed, of %d that may be (durable.messages)", ErrFull, d.records, n)
	}
	return nil
}

// count returns how many records wait.
func (d *delays) count(ctx context.Context) (uint64, error) {
	d.mu.Lock()
	s := d.stream
	d.mu.Unlock()
	if s == nil {
		return 0, nil
	}
	i, err := s.Info(ctx)
	if err != nil {
		return 0, known(err)
	}
	return i.State.Msgs, nil
}

// writeDelayed keeps a group of delayed records, from record i on.
func (l *Log) writeDelayed(ctx context.Context, g *group, i int) int {
	err := l.delays.begin(ctx, true)
	if err == nil {
		err = l.delays.full(ctx)
	}
	ready := err
	for ; i < len(g.records); i++ {
		a, duplicate := &g.records[i], false
		if err = ready; err == nil {
			duplicate, err = l.delays.schedule(ctx, l.nextBatch(), a.id, a.due, g.message(i)[oneHead:])
		}
		switch {
		case l.goesBeside(err):
			return i
		case err != nil:
			a.done(Appended{Err: l.wrap(err)})
		default:
			a.done(Appended{Duplicate: duplicate})
		}
	}
	return i
}

// schedule stores a record until it is due. name is of this record alone.
func (d *delays) schedule(ctx context.Context, name, id string, due time.Time, record []byte) (duplicate bool, err error) {
	data := binary.LittleEndian.AppendUint16(make([]byte, 0, codeDelay+len(id)+len(record)), uint16(len(id)))
	data = append(append(data, id...), record...)
	m := &nats.Msg{Subject: d.at + name, Data: data, Header: nats.Header{
		headerSchedule: {"@at " + due.UTC().Format(time.RFC3339Nano)}, headerTarget: {d.due}, nats.MsgIdHdr: {d.at + name},
	}}
	if id != "" {
		m.Header[nats.MsgIdHdr][0] = id
	}
	d.mu.Lock()
	d.bytes += uint64(len(data))
	d.records++
	d.mu.Unlock()
	p := patience{wait: retryFirst, began: time.Now()}
	for again := false; ; again = true {
		ack, err := d.l.b.ask(ctx, m)
		if err == nil {
			err = d.confirm(ctx, ack)
		}
		if !errors.Is(err, errUnknown) {
			return ack.Duplicate && !again, err
		}
		if err := d.l.patient(ctx, &p, err); err != nil {
			return false, err
		}
	}
}

// confirm makes sure that a duplicate's first copy is kept: see Log.confirm.
func (d *delays) confirm(ctx context.Context, ack pubAck) error {
	d.mu.Lock()
	sure := !ack.Duplicate || ack.Seq <= d.confirmed
	if !ack.Duplicate {
		d.confirmed = max(d.confirmed, ack.Seq)
	}
	d.mu.Unlock()
	if sure {
		return nil
	}
	mark, err := d.l.b.ask(ctx, &nats.Msg{Subject: d.due[:len(d.due)-len("due")] + markNode, Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}}})
	if err != nil {
		return fmt.Errorf("%w: %w", errUnknown, noSentinel{err})
	}
	d.mu.Lock()
	d.confirmed = max(d.confirmed, mark.Seq)
	d.mu.Unlock()
	return nil
}

// move brings what is due to the log, until the log is closed.
func (d *delays) move() {
	defer d.moving.Done()
	l := d.l
	ctx := l.running
	to := &Log{b: l.b, options: l.options, name: l.name, stream: l.stream, subject: l.subjects[:len(l.subjects)-1] + dueNode, subjects: l.subjects, writer: dueWriter, patience: givesUpIn, asker: asker{b: l.b}}
	defer to.asker.end()
	for ctx.Err() == nil {
		err := d.moveAll(ctx, to)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if !errors.Is(err, ErrFull) && !errors.Is(err, ErrAway) {
			l.b.options.Logger.Warn("delayed records wait longer", "log", l.options.Name, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryMost):
		}
	}
}

// dueWriter is the writer of what was delayed; it counts by sequences.
const dueWriter = 0

// moveAll moves until something fails.
func (d *delays) moveAll(ctx context.Context, to *Log) error {
	c, err := d.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		FilterSubject: d.due, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: followGone,
	})
	if err != nil {
		return known(err)
	}
	it, err := c.Messages(jetstream.PullMaxBytes(followBytes+int(to.b.conn.MaxPayload())), jetstream.PullExpiry(10*followIdle), jetstream.PullHeartbeat(followIdle), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return known(err)
	}
	defer it.Stop()
	for delivered := uint64(1); ; delivered++ {
		m, err := nextDue(ctx, c, it, delivered)
		if err != nil {
			return known(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != delivered {
			return errLost
		}
		if err := d.moveOne(ctx, to, m, meta.Sequence.Stream); err != nil {
			return err
		}
		if meta.NumPending == 0 || delivered%100 == 0 {
			if err := d.stream.Purge(ctx, jetstream.WithPurgeSubject(d.due), jetstream.WithPurgeSequence(meta.Sequence.Stream+1)); err != nil {
				return known(err)
			}
		}
	}
}

// nextDue waits for a consumer's next message, as long as it is not lost.
func nextDue(ctx context.Context, c jetstream.Consumer, it jetstream.MessagesContext, next uint64) (jetstream.Msg, error) {
	var s silence
	for {
		waiting, cancel := context.WithTimeout(ctx, s.pause())
		m, err := it.Next(jetstream.NextContext(waiting))
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return m, err
		}
		info, err := c.Info(ctx)
		if err != nil {
			return nil, err
		}
		if _, lost := s.explained(info, next); lost {
			return nil, errLost
		}
	}
}

func (d *delays) moveOne(ctx context.Context, to *Log, m jetstream.Msg, seq uint64) error {
	data := m.Data()
	if len(data) < codeDelay || len(data) < codeDelay+int(binary.LittleEndian.Uint16(data)) {
		d.l.b.options.Logger.Error("a delayed record cannot be read, and is left out", "log", d.l.options.Name, "bytes", len(data))
		return nil
	}
	end := codeDelay + int(binary.LittleEndian.Uint16(data))
	id, record := string(data[codeDelay:end]), data[end:]
	if id == "" {
		id = m.Headers().Get(headerSchedBy)
	}
	var g group
	g.reset(singles)
	g.add(appending{}, record)
	to.known = false
	for !to.known {
		if err := to.locate(ctx); err != nil {
			return err
		}
	}
	if to.at.next > seq {
		return to.confirm(ctx, &patience{wait: retryFirst, began: time.Now()}, to.at.seq)
	}
	to.at.next = seq
	message := g.message(0)
	_, err := to.insist(ctx, 1, func() (pubAck, error) {
		setOrigin(message, dueWriter, seq)
		return to.request(ctx, message, id)
	})
	if errors.Is(err, errPart) {
		err = nil // another node has come further
	}
	return err
}
