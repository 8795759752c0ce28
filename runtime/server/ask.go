package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/router"
)

// askBit marks the id of a request of the API, which stands in for a session: what is
// sent to it is the answer.
const askBit = 1 << 54

func isAsk(id uint64) bool { return isAPI(id) && id&askBit != 0 }

// replyPrefix is where answers are published to: weft/reply/ID-SECRET, or
// weft/reply/NODE/ID-SECRET where there may be other nodes. Nobody
// subscribes there, so that requests leave no trace in the topics and their caches.
const replyPrefix = "weft/reply/"

// asks are the requests of the API that wait for their answers.
type asks struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*ask
}

// ask is one request that waits.
type ask struct {
	id       uint64
	topic    string // where an answer can be published to
	deadline int64
	answer   chan admin.Delivery // has room for the one
	lost     chan struct{}       // closed when everybody who was asked has gone
	answered atomic.Bool
	gone     atomic.Int32 // receivers that went away unanswered
	asked    atomic.Int32 // receivers that took the request; 0 while that is not known
	ended    sync.Once
}

func (a *asks) begin(node string, deadline int64) *ask {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	id := apiLoop<<56 | askBit | a.last&(askBit-1)
	q := &ask{
		id: id, topic: replyPrefix + node + strconv.FormatUint(a.last, 16) + "-" + rand.Text(), deadline: deadline,
		answer: make(chan admin.Delivery, 1), lost: make(chan struct{}),
	}
	if a.waiting == nil {
		a.waiting = map[uint64]*ask{}
	}
	a.waiting[id] = q
	return q
}

func (a *asks) end(q *ask) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, q.id)
}

// get finds a request that waits; nil if it does no more.
func (a *asks) get(id uint64) *ask {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waiting[id]
}

// byTopic finds the request that an answer's topic names; nil if there is none.
func (a *asks) byTopic(topic []byte) *ask {
	rest := topic[len(replyPrefix):]
	number, _, ok := bytes.Cut(rest[bytes.LastIndexByte(rest, '/')+1:], []byte{'-'})
	n, err := strconv.ParseUint(string(number), 16, 54)
	if !ok || err != nil {
		return nil
	}
	if q := a.get(apiLoop<<56 | askBit | n); q != nil && q.topic == string(topic) {
		return q
	}
	return nil
}

// take gives the request its answer; the first one counts.
func (q *ask) take(m *abi.Message, listener string) delivery.Reason {
	if q == nil || q.answered.Swap(true) {
		return delivery.LateResponse
	}
	q.answer <- admin.Delivery{Message: cloneMessage(m), Listener: listener}
	return taken
}

// left notes that one who was asked has gone.
func (q *ask) left(n int32) {
	if gone, asked := q.gone.Add(n), q.asked.Load(); asked > 0 && gone >= asked {
		q.ended.Do(func() { close(q.lost) })
	}
}

// Request implements admin.Bus.
func (b *bus) Request(ctx context.Context, m *abi.Message) (admin.Delivery, error) {
	if err := router.ValidateTopic(m.Topic); err != nil {
		return admin.Delivery{}, fmt.Errorf("%w: %w", admin.ErrInvalidMessage, err)
	}
	if err := honest(m); err != nil {
		return admin.Delivery{}, err
	}
	if state, _ := b.server.life.State(); state != life.Running {
		return admin.Delivery{}, fmt.Errorf("%w: weft is %s", admin.ErrDraining, state)
	}
	until, limited := ctx.Deadline()
	if !limited {
		return admin.Delivery{}, fmt.Errorf("%w: a request needs a deadline", admin.ErrInvalidMessage)
	}
	q := b.asks.begin(b.server.cluster.replyNode(), until.UnixNano())
	defer b.asks.end(q)
	m.Type, m.Session = abi.TypeRequest, q.id
	m.Attrs = m.Attrs.AppendString(admin.AttrResponseTopic, q.topic).AppendString(admin.AttrCorrelation, q.topic[len(replyPrefix):])
	if err := m.Attrs.Validate(abi.MaxAttrs); err != nil {
		return admin.Delivery{}, fmt.Errorf("%w: %w", admin.ErrInvalidMessage, err)
	}
	if m.Seq == 0 {
		m.Seq = q.id & 0xffff // whoever takes the message uses it, if it is free there
	}
	topic := string(m.Topic)
	receipt, err := b.hand(ctx, m)
	if err != nil {
		return admin.Delivery{}, err
	}
	if receipt.Dropped != "" {
		return admin.Delivery{}, unasked(topic, receipt.Dropped)
	}
	q.asked.Store(int32(receipt.Delivered))
	q.left(0)
	return q.wait(ctx)
}

func (q *ask) wait(ctx context.Context) (admin.Delivery, error) {
	select {
	case d := <-q.answer:
		return d, nil
	case <-ctx.Done():
		return admin.Delivery{}, ctx.Err()
	case <-q.lost:
	}
	select {
	case d := <-q.answer: // its last word
		return d, nil
	default:
		return admin.Delivery{}, fmt.Errorf("%w: its connection closed before it answered; try again", admin.ErrLost)
	}
}

// unasked is why nobody was asked.
func unasked(topic, reason string) error {
	switch reason {
	case delivery.NoSubscriber.String(), delivery.NoNode.String(), delivery.NoMember.String(), delivery.NoUpstream.String(),
		delivery.NoRoute.String(), delivery.Closed.String():
		return fmt.Errorf("%w: %.80q: %s", admin.ErrNobody, topic, reason)
	case delivery.OutboxFull.String(), delivery.LoopBusy.String(), delivery.RequestBusy.String(), delivery.HoldFull.String(), delivery.UpstreamFull.String():
		return fmt.Errorf("%w: who is to answer takes nothing now: %s; try again later", admin.ErrBusy, reason)
	}
	return fmt.Errorf("%w: %s", admin.ErrDropped, reason)
}

// abandoned tells the requests of the API among these that who was asked has gone.
func (b *bus) abandoned(list []delivery.Pending) {
	for i := range list {
		if id := list[i].Session; isAsk(id) {
			if q := b.asks.get(id); q != nil {
				q.left(1)
			}
		}
	}
}

// replied takes a message whose topic is that of an answer to who asked; false for
// any other.
func (p *path) replied(m *abi.Message) bool {
	if !bytes.HasPrefix(m.Topic, []byte(replyPrefix)) {
		return false
	}
	p.goPast()
	copies := 0
	if p.took(p.toAsker(m, m.Topic)) {
		copies = 1
	}
	p.settled(m, copies)
	return true
}

// toAsker takes an answer to the request whose topic that is.
func (p *path) toAsker(m *abi.Message, topic []byte) delivery.Reason {
	if _, slot, own := p.cutNode(topic[len(replyPrefix):]); !own {
		if slot < 0 || p.here {
			return delivery.LateResponse
		}
		own := m.Topic
		m.Topic = topic
		why := p.handOver(m, 1<<slot, &farRecord{kind: farReply})
		m.Topic = own
		return why
	}
	return p.server.bus.asks.byTopic(topic).take(m, p.setup.nameOf(m.Listener))
}

// tellsAnswers tells whether the receiver's format, which has no sequence ids, can bring
// an answer to a request of the API: it tells answers from other messages.
func tellsAnswers(to *listener) bool {
	f := to.format
	return f != nil && f.SeqBits() == 0 && f.NodeAttr() == "" && f.Carries()&abi.ChangedType != 0
}

// answerBy is when a request times out.
func (p *path) answerBy(m *abi.Message) int64 {
	if isAsk(m.Session) {
		if q := p.server.bus.asks.get(m.Session); q != nil {
			return q.deadline
		}
	}
	if isFar(m.Session) {
		return p.now + int64(p.far.head.wait)*int64(time.Millisecond)
	}
	return p.now + p.setup.timeout.Nanoseconds()
}
