package backbone

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// More of JetStream's codes, which only publishing gets.
const (
	codeAccountFull     jetstream.ErrorCode = 10002
	codeSameID          jetstream.ErrorCode = 10158 // a message with the same id is under way
	codeBatchIncomplete jetstream.ErrorCode = 10176
	codeBatchDuplicate  jetstream.ErrorCode = 10201
	codeBatchTooMany    jetstream.ErrorCode = 10210
)

var (
	errPlace      = errors.New("the node's newest record in the log is another one")
	errDuplicates = errors.New("some records are duplicates")
)

// pubAck is JetStream's answer to what was published.
type pubAck struct {
	Seq       uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
	Error     *jetstream.APIError `json:"error"`
}

// parseAck reads an answer. An error that does not wrap errUnknown is the
// backbone's word that nothing was stored.
func parseAck(b []byte) (pubAck, error) {
	var a pubAck
	if seq, ok := plainAck(b); ok {
		a.Seq = seq
		return a, nil
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("%w: %w", errUnknown, err)
	}
	if a.Error == nil {
		if a.Seq == 0 {
			return a, fmt.Errorf("%w: an answer without a sequence", errUnknown)
		}
		return a, nil
	}
	switch a.Error.ErrorCode {
	case codeAccountFull:
		return a, fmt.Errorf("%w: %w", ErrFull, a.Error)
	case codeWrongLast:
		return a, errPlace
	case codeWrongLastAny, codeSameID, codeBatchIncomplete, codeBatchTooMany, codeUnavailable:
		return a, fmt.Errorf("%w: %w", errUnknown, a.Error)
	case codeBatchDuplicate:
		return a, errDuplicates
	}
	return a, known(a.Error)
}

// plainAck reads the answer that most are: {"stream":"NAME","seq":NUMBER}.
func plainAck(b []byte) (seq uint64, ok bool) {
	at := bytes.LastIndex(b, []byte(`"seq":`))
	if at < 0 || len(b) == 0 || b[len(b)-1] != '}' || !bytes.HasPrefix(b, []byte(`{"stream":"`)) || bytes.Count(b, []byte(`"`)) != 6 {
		return 0, false
	}
	for _, c := range bytes.TrimLeft(b[at+len(`"seq":`):len(b)-1], " ") {
		if c < '0' || c > '9' || seq > 1<<60 {
			return 0, false
		}
		seq = 10*seq + uint64(c-'0')
	}
	return seq, seq > 0
}

// errUnknown: the records may or may not have been stored.
var errUnknown = errors.New("no answer from the backbone")

// position is the node's newest record in the log: its message's sequence in the
// stream, 0 if there is none, and how many records the node has written.
type position struct {
	seq  uint64
	next uint64
}

const (
	headerLast  = "Nats-Expected-Last-Subject-Sequence"
	answersIn   = 5 * time.Second
	retryFirst  = 10 * time.Millisecond
	retryMost   = time.Second
	givesUpIn   = 10 * time.Second
	batchHeader = "Nats-Batch-"
)

// answersIn is how long an answer may take. An external cluster has a place to go to
// instead.
func (b *Backbone) answersIn() time.Duration {
	if b.server == nil {
		return forwardAfter
	}
	return answersIn
}

// request publishes a message that must come directly behind the node's position. An
// empty id is none.
func (l *Log) request(ctx context.Context, data []byte, id string) (pubAck, error) {
	h := nats.Header{headerLast: {strconv.FormatUint(l.at.seq, 10)}}
	if id != "" {
		h[nats.MsgIdHdr] = []string{id}
	}
	return l.asker.ask(ctx, &nats.Msg{Subject: l.subject, Header: h, Data: data})
}

// ask publishes a message and waits for JetStream's answer.
func (b *Backbone) ask(ctx context.Context, m *nats.Msg) (pubAck, error) {
	if err := b.fault(); err != nil {
		return pubAck{}, fmt.Errorf("%w: %w", errUnknown, noSentinel{err})
	}
	ctx, cancel := context.WithTimeout(ctx, b.answersIn())
	defer cancel()
	answer, err := b.conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		return pubAck{}, fmt.Errorf("%w: %w", errUnknown, err)
	}
	return parseAck(answer.Data)
}

// write keeps a group, and answers its records. It returns when all have their
// answer.
//
// Exactly once: the node writes to a subject of its own, one group at a time, and
// only the log's goroutine does. Each message says behind which sequence of that
// subject it belongs, and JetStream stores it there or not at all. When an answer
// does not come, the newest message of the subject tells by the count that it
// carries whether the group is in the log. If it is not, it is sent again behind
// that message; the first copy, should it still be under way, then finds another
// message in its place and is refused. So whichever comes first is stored and the
// other is not, however long the outage was, and nothing behind the group can come
// before it. That holds as long as retention leaves the node's newest message
// alone: Release does, age does for longer than the log's bound would have kept the
// group itself. Only a log that drops its oldest records because it is full can
// lose it, with everything that is older; the group is then stored once more.
func (l *Log) write(ctx context.Context, g *group) {
	for i := 0; i < len(g.records); {
		if i = l.forward.take(ctx, g, i); i == len(g.records) {
			return
		}
		switch g.kind {
		case packed:
			i = l.writePacked(ctx, g)
		case singles:
			i = l.writeSingles(ctx, g, i)
		case delayed:
			i = l.writeDelayed(ctx, g, i)
		}
	}
}

// writePacked returns, like its siblings, the first record that has no answer: the
// backbone is away, and they go beside.
func (l *Log) writePacked(ctx context.Context, g *group) int {
	seq, err := l.insist(ctx, len(g.records), func() (pubAck, error) {
		setOrigin(g.data, l.writer, l.at.next)
		return l.request(ctx, g.data, "")
	})
	switch n := len(g.records); {
	case err == nil:
		g.placed(seq)
	case errors.Is(err, ErrFull) && !errors.Is(err, errFault) && n > 1:
		l.write(ctx, g.part(0, n/2))
		l.write(ctx, g.part(n/2, n))
	case l.goesBeside(err):
		return 0
	default:
		g.answer(0, n, Appended{Err: l.wrap(err)})
	}
	return len(g.records)
}

// goesBeside tells whether what failed goes to this node's own log instead.
func (l *Log) goesBeside(err error) bool {
	if !errors.Is(err, ErrAway) || l.forward == nil {
		return false
	}
	l.forward.begin()
	return true
}

func (l *Log) wrapIf(err error) error {
	if err == nil {
		return nil
	}
	return l.wrap(err)
}

func (l *Log) wrap(err error) error { return fmt.Errorf("log %s: %w", l.options.Name, err) }

// errPart: the server went down in the middle of a batch. The position tells how
// much of it is stored.
var errPart = errors.New("stored in part")

// errFault: the server in this process stores nothing at the moment.
var errFault = errors.New("the server stores nothing")

// insist sends count records until it is certain what became of them, and moves
// the position. It returns the sequence of the last one's message. send publishes
// them behind the position.
func (l *Log) insist(ctx context.Context, count int, send func() (pubAck, error)) (seq uint64, err error) {
	p := patience{wait: retryFirst, began: time.Now()}
	for !l.known {
		if err := l.locate(ctx); err != nil {
			if err := l.patient(ctx, &p, err); err != nil {
				return 0, err
			}
		}
	}
	before := l.at
	want := before.next + uint64(count)
	// Whatever is known of it by then: if it goes beside, it goes with its numbers.
	fail := func(err error) (uint64, error) {
		l.at, l.known = before, false
		return 0, err
	}
	// What is found without the server's word that it keeps it is not kept yet.
	found := func(seq uint64, verdict error) (uint64, error) {
		if err := l.confirm(ctx, &p, seq); err != nil {
			return fail(err)
		}
		return seq, verdict
	}
	for {
		ack, err := send()
		switch {
		case err == nil && ack.Duplicate:
			// It may be the record itself that was found.
			l.known = false
			return found(ack.Seq, nil)
		case err == nil:
			l.at, l.confirmed, l.fresh = position{seq: ack.Seq, next: want}, ack.Seq, true
			return ack.Seq, nil
		case !errors.Is(err, errUnknown) && !errors.Is(err, errPlace):
			return 0, err
		}
		l.fresh = false
		for l.known = false; !l.known; {
			if away := l.locate(ctx); away != nil {
				if err := l.patient(ctx, &p, err); err != nil {
					return fail(err)
				}
			}
		}
		switch {
		case l.at.next == want:
			return found(l.at.seq, nil)
		case l.at.next > before.next:
			return found(l.at.seq, errPart)
		}
		if !errors.Is(err, errPlace) {
			if err := l.patient(ctx, &p, err); err != nil {
				return fail(err)
			}
		}
	}
}

// patience is how long one thing was tried for.
type patience struct {
	began time.Time
	wait  time.Duration
}

// patient waits a little longer each time, until it is too long.
func (l *Log) patient(ctx context.Context, p *patience, err error) error {
	if l.b.conn.IsClosed() {
		return ErrClosed
	}
	if fault := l.b.fault(); fault != nil {
		return fmt.Errorf("%w: %w: %w", errFault, fault, err)
	}
	if time.Since(p.began) > l.patience {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	select {
	case <-ctx.Done():
		return ErrClosed
	case <-time.After(p.wait):
		p.wait = min(2*p.wait, retryMost)
		return nil
	}
}

// locate asks the stream's leader for the node's position.
func (l *Log) locate(ctx context.Context) error {
	last, err := l.b.lastOf(ctx, l.name, l.subject)
	if err != nil {
		return err
	}
	if last == nil {
		l.at.seq, l.known = 0, true
		return nil
	}
	d, err := decode(last.Data)
	if err != nil {
		// Somebody else's: what is behind it counts on from what is known.
		l.unreadable(last.Seq, err)
		l.at.seq, l.known, l.located = last.Seq, true, true
		return nil
	}
	l.at.seq, l.known = last.Seq, true
	if d.writer == l.writer {
		l.at.next = d.first + uint64(d.count)
	} else if l.located && d.writer != l.before {
		l.b.options.Logger.Error("another weft writes to the backbone with the same name: messages may be delivered twice", "log", l.options.Name, "name", l.b.options.Node, "fix", "give each its own backbone.name")
	}
	if !l.located {
		l.located, l.before = true, d.writer
	}
	return nil
}

// stored is a message as JetStream's API returns it.
type stored struct {
	Seq  uint64    `json:"seq"`
	Data []byte    `json:"data"`
	Time time.Time `json:"time"`
}

const codeNoMessage jetstream.ErrorCode = 10037

// lastOf asks a stream's leader, and not whichever server has a copy, for the
// newest message of a subject; nil if there is none.
func (b *Backbone) lastOf(ctx context.Context, stream, subject string) (*stored, error) {
	m, err := b.askLeader(ctx, stream, storedRequest{LastOf: subject})
	if err != nil {
		return nil, fmt.Errorf("the newest record: %w", err)
	}
	return m, nil
}

// nextOf is lastOf for the first message from a sequence on.
func (b *Backbone) nextOf(ctx context.Context, stream string, seq uint64, subject string) (*stored, error) {
	m, err := b.askLeader(ctx, stream, storedRequest{Seq: seq, NextOf: subject})
	if err != nil {
		return nil, fmt.Errorf("the next record: %w", err)
	}
	return m, nil
}

// storedRequest asks for a message, by JetStream's API.
type storedRequest struct {
	Seq    uint64 `json:"seq,omitempty"`
	NextOf string `json:"next_by_subj,omitempty"`
	LastOf string `json:"last_by_subj,omitempty"`
}

func (b *Backbone) askLeader(ctx context.Context, stream string, q storedRequest) (*stored, error) {
	ctx, cancel := context.WithTimeout(ctx, b.answersIn())
	defer cancel()
	request, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	answer, err := b.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, request)
	if err != nil {
		return nil, known(err)
	}
	var r struct {
		Message *stored             `json:"message"`
		Error   *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &r); err != nil {
		return nil, err
	}
	switch {
	case r.Error != nil && r.Error.ErrorCode == codeNoMessage:
		return nil, nil
	case r.Error != nil:
		return nil, known(r.Error)
	case r.Message == nil:
		return nil, fmt.Errorf("the answer %q", answer.Data)
	}
	return r.Message, nil
}
