package backbone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// MaxLinkNodes is how many other nodes a node knows at most. A node has a slot from 0
// to MaxLinkNodes-1, so that a set of them is the bits of an uint64.
const MaxLinkNodes = 64

// Errors of the link.
var (
	// ErrNodeTaken: another node of the cluster has the name.
	ErrNodeTaken = errors.New("another weft of the cluster has the name")
	// ErrNoNode: no node has the slot.
	ErrNoNode = errors.New("the node is gone")
)

// LinkHandler is told of other nodes. Joined, Changed and Left are called one at a time,
// in order, and must return soon. Received is called one at a time beside them.
type LinkHandler interface {
	// Joined tells of a node, before anything else of it.
	Joined(node LinkNode)
	// Changed tells what the node has receivers for now, and has not any more.
	Changed(slot int, added, removed []Interest)
	// Left tells that a node is gone, and why. What it had was removed before.
	Left(node LinkNode, why string)
	// Received has a batch that a node sent, in the order in which that sent them. It
	// may wait: the node's messages then wait too, within a bound. The bytes are valid
	// until it returns. slot is -1 where there is no room for the node.
	Received(slot int, batch []byte)
	// Withdrawn tells that the node, which is about to end, wants nothing new, after
	// Changed has removed all it had. The handler calls done, from any goroutine, when
	// everything that was meant for it was handed to Send.
	Withdrawn(node LinkNode, done func())
}

// LinkNode is another node of the cluster.
type LinkNode struct {
	// Slot is the node's number here, from 0; another node may have it later.
	Slot int
	// Name is unique in the cluster, Host where the node runs.
	Name, Host string
	// Life is when the node was started: it tells a node from the one of the same name
	// before it.
	Life time.Time
	// Joined is when it was first heard here, Heard when last.
	Joined, Heard time.Time
	// Interests is how many things it has receivers for, Synced whether all of them
	// are known here, Leaving whether it wants nothing new.
	Interests       int
	Synced, Leaving bool
}

// LinkOptions say what a link does. Zero values stand for the defaults.
type LinkOptions struct {
	// Handler is required.
	Handler LinkHandler
	// Interests is how many things of each kind others are told of; 16,384. Beyond
	// that they are told coarser ones.
	Interests int
	// Every is how often the node says that it is there; 1 s. Silence is after how
	// long others forget one that is not heard; 5 s.
	Every, Silence time.Duration
}

// LinkStats count a link's life.
type LinkStats struct {
	// Told are the things that others are told of, Untold those that they are not,
	// because there is no room, Coarse whether some are told coarser than they are.
	Told, Untold int
	Coarse       bool
	// Deltas and Snapshots are what was sent, Repairs how often something was asked
	// for again, Malformed what could not be read, Conflicts how often another node
	// with this one's name was heard, Refused how often a node found no slot.
	Deltas, Snapshots, Repairs, Malformed, Conflicts, Refused uint64
	// Overflowed are batches that came in faster than they were taken.
	Overflowed uint64
}

// Link connects this node with the others on the same backbone: who is there, what
// each has receivers for, and batches of messages from one to another, at most once.
type Link struct {
	b       *Backbone
	log     *slog.Logger
	o       LinkOptions
	handler LinkHandler
	name    string
	host    string
	life    uint64
	to      linkSubjects
	set     *interests
	woken   chan struct{} // the set has changed
	end     chan struct{}
	running sync.WaitGroup
	closed  sync.Once
	subs    []*nats.Subscription
	batches *nats.Subscription
	taken   chan note     // the name is another's
	echo    chan struct{} // this node's own hello has come back
	acks    chan string
	greeted atomic.Bool // see echo
	yielded atomic.Bool // see taken
	started atomic.Bool
	leaving atomic.Bool
	slots   [MaxLinkNodes]atomic.Pointer[peer]

	mu    sync.Mutex // peers, and calls of the handler but for Received
	peers map[string]*peer
	used  [MaxLinkNodes]string // the name that has or had the slot
	over  map[string]ending    // the lives that are known to have ended

	deltas, snapshots, repairs, malformed, conflicts, refused atomic.Uint64
}

// linkSubjects are the subjects of a link.
type linkSubjects struct{ all, batch, note, name string }

func (s linkSubjects) batchTo(node string) string { return s.batch + escapeToken(node) }
func (s linkSubjects) noteTo(node string) string  { return s.note + escapeToken(node) }
func (s linkSubjects) nameOf(node string) string  { return s.name + escapeToken(node) }

// escapeToken spells any text as one token of a subject.
func escapeToken(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if c <= ' ' || c == '.' || c == '*' || c == '>' || c == '%' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

const (
	defaultInterests = 16384
	defaultEvery     = time.Second
	defaultSilence   = 5 * time.Second
	// coalesce is how long changes of the set wait for others.
	coalesce = 2 * time.Millisecond
	// askFor is how long a node that starts waits for the answer of one that has its
	// name, asked again every askAgain, helloFor until its own hello has come back. settleFor, and settleBy times
	// what the hello took, is how long it then waits for a claim.
	askFor, askAgain = 5 * time.Second, 500 * time.Millisecond
	helloFor         = 10 * time.Second
	settleFor        = 150 * time.Millisecond
	settleBy         = 6
	// batchBytes may wait between NATS and the handler.
	batchBytes = 64 << 20
	batchCount = 64 << 10
)

// Link connects this node with the others. It returns ErrNodeTaken if one of them has
// this node's name. The caller closes the link before the backbone.
func (b *Backbone) Link(ctx context.Context, o LinkOptions) (*Link, error) {
	if o.Interests <= 0 {
		o.Interests = defaultInterests
	}
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	if o.Silence <= 0 {
		o.Silence = defaultSilence
	}
	if n := len(b.options.Node); n == 0 || n > 255 {
		return nil, fmt.Errorf("the node's name has %d bytes, 1 to 255 are allowed: set backbone.name", n)
	}
	host, _ := os.Hostname()
	prefix := b.options.Prefix + ".link."
	l := &Link{
		b: b, log: b.options.Logger, o: o, handler: o.Handler, name: b.options.Node, host: host[:min(len(host), 255)],
		life: uint64(time.Now().UnixNano()), set: newInterests(o.Interests),
		to:    linkSubjects{prefix + "all", prefix + "node.", prefix + "note.", prefix + "name."},
		woken: make(chan struct{}, 1), end: make(chan struct{}), taken: make(chan note, 1), echo: make(chan struct{}, 1), acks: make(chan string, MaxLinkNodes),
		peers: map[string]*peer{}, over: map[string]ending{},
	}
	b.measurePayload(b.conn)
	if err := l.open(ctx); err != nil {
		l.unsubscribe()
		return nil, err
	}
	l.started.Store(true)
	l.running.Go(l.run)
	return l, nil
}

// open asks for the name and joins the others.
//
// Of nodes that start at once under one name one stays. Mostly the later one listened, and
// then asked for the name, when the earlier one was there to answer, or it hears the
// earlier's hello before its own comes back. Where two hellos cross on their way through
// the servers, each finds nothing; then both claim the name when they hear the other's
// hello, and the one that was started later yields. It waits for such a claim several times
// as long as its own hello took: who reads late may expect others to. Should a claim come
// later than that, both say so again and again (see namesake).
func (l *Link) open(ctx context.Context) error {
	away := l.b.late && !l.b.conn.IsConnected() // the beats tell of it when it is there
	l.greeted.Store(away)
	var err error
	subscribe := func(subject string, read func(*nats.Msg)) *nats.Subscription {
		if err != nil {
			return nil
		}
		var s *nats.Subscription
		if s, err = l.b.conn.Subscribe(subject, read); err == nil {
			l.subs = append(l.subs, s)
		}
		return s
	}
	subscribe(l.to.all, l.heard)
	subscribe(l.to.noteTo(l.name), l.heard)
	if err == nil && !away {
		err = l.askName(ctx)
	}
	subscribe(l.to.nameOf(l.name), l.asked)
	if l.batches = subscribe(l.to.batchTo(l.name), l.received); err == nil {
		err = l.batches.SetPendingLimits(batchCount, batchBytes)
	}
	if err == nil && !away {
		err = l.sayHello(ctx)
	}
	if err != nil {
		return fmt.Errorf("the link to other nodes: %w", err)
	}
	return nil
}

// askName asks whether another node has the name. One that does not answer in time is
// as if it were not there: the servers notice late that a machine has gone. One that is
// about to end may not answer, and is gone when it is asked again. An answer to any of the
// questions counts, however late it is.
func (l *Link) askName(ctx context.Context) error {
	inbox := l.b.conn.NewInbox()
	answers, err := l.b.conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = answers.Unsubscribe() }()
	question := l.note(noteHello).append(nil)
	for begun := time.Now(); time.Since(begun) < askFor; {
		if err := l.b.conn.PublishRequest(l.to.nameOf(l.name), inbox, question); err != nil {
			return err
		}
		asking, cancel := context.WithTimeout(ctx, askAgain)
		answer, err := answers.NextMsgWithContext(asking)
		cancel()
		if err == nil {
			if n, wrong := parseNote(answer.Data); wrong == nil {
				return takenBy(l.name, &n)
			}
		}
		select {
		case n := <-l.taken:
			return takenBy(l.name, &n)
		default:
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return ctx.Err() // nobody is there who could answer, or the backbone is away
		}
	}
	return nil
}

// sayHello tells all others that this node is there, and waits until it has the name.
func (l *Link) sayHello(ctx context.Context) error {
	begun := time.Now()
	if err := l.send(l.to.all, l.note(noteHello)); err != nil {
		return err
	}
	wait := time.NewTimer(helloFor)
	defer wait.Stop()
	const (
		greeting = iota // until the hello has come back
		settling        // for a claim that comes behind it
		reading         // what has come meanwhile
	)
	for phase := greeting; ; {
		select {
		case n := <-l.taken:
			return takenBy(l.name, &n)
		case <-ctx.Done():
			return ctx.Err()
		case <-l.echo:
			// A claim that came before may still be unread.
			select {
			case n := <-l.taken:
				return takenBy(l.name, &n)
			default:
			}
			if phase == reading {
				return nil
			}
			phase = settling
			wait.Reset(settleFor + settleBy*time.Since(begun))
		case <-wait.C:
			if phase != settling {
				return fmt.Errorf("%w: the servers did not pass on a message within %s", ErrAway, helloFor)
			}
			// A hello among those of this name comes behind every claim that the servers have.
			if err := l.send(l.to.noteTo(l.name), l.note(noteHello)); err != nil {
				return err
			}
			phase = reading
			wait.Reset(helloFor)
		}
	}
}

func takenBy(name string, n *note) error {
	return fmt.Errorf("%w: %q, on host %s, since %s; give this one another backbone.name, or stop that one",
		ErrNodeTaken, name, n.host, lifeTime(n.life).Format(time.RFC3339))
}

func lifeTime(life uint64) time.Time { return time.Unix(0, int64(life)) }

// Name is what this node is called.
func (l *Link) Name() string { return l.name }

// Life is when the link was opened: see LinkNode.Life.
func (l *Link) Life() time.Time { return lifeTime(l.life) }

// Add notes one more receiver for something; as many Remove take it back. Others know
// a few milliseconds later. Any goroutine may call them; they do not wait.
func (l *Link) Add(i Interest) {
	if i.Kind.index() >= 0 && len(i.Text) <= maxText && l.set.add(i) {
		l.wake()
	}
}

// Remove takes back one Add.
func (l *Link) Remove(i Interest) {
	if i.Kind.index() >= 0 && len(i.Text) <= maxText && l.set.remove(i) {
		l.wake()
	}
}

func (l *Link) wake() {
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

// MaxBatch is how many bytes a batch may have. It does not wait: a loop may call it.
func (l *Link) MaxBatch() int { return int(l.b.payload()) - noteHead - 512 }

// BeginBatch appends what precedes a batch of the caller's, for Send. It allocates
// only to grow dst.
func (l *Link) BeginBatch(dst []byte) []byte {
	n := note{kind: noteBatch, life: l.life, node: l.name}
	return n.append(dst)
}

// Send hands a batch, which BeginBatch began, to the node in the slot. The bytes are
// copied. An error means that it was not sent: ErrNoNode, or why NATS takes nothing
// more. Any goroutine but a loop's may call it: it waits while NATS is slow.
func (l *Link) Send(slot int, batch []byte) error {
	p := l.slots[slot].Load()
	if p == nil {
		return ErrNoNode
	}
	return l.b.conn.Publish(p.batches, batch)
}

// Nodes are the other nodes, in no particular order.
func (l *Link) Nodes() []LinkNode {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]LinkNode, 0, len(l.peers))
	for _, p := range l.peers {
		list = append(list, p.view())
	}
	return list
}

// Stats counts the link's life so far.
func (l *Link) Stats() LinkStats {
	st := LinkStats{
		Deltas: l.deltas.Load(), Snapshots: l.snapshots.Load(), Repairs: l.repairs.Load(),
		Malformed: l.malformed.Load(), Conflicts: l.conflicts.Load(), Refused: l.refused.Load(),
	}
	for _, k := range l.set.counts() {
		st.Told += k.told
		st.Untold += k.untold
		st.Coarse = st.Coarse || k.coarse > 0
	}
	if n, err := l.batches.Dropped(); err == nil {
		st.Overflowed = uint64(n)
	}
	return st
}

// Withdraw tells the others to send nothing new, and waits until each has said that
// nothing more is on the way from it, or ctx ends. What arrives until then is handed
// to the handler as before.
func (l *Link) Withdraw(ctx context.Context) error {
	if l.leaving.Swap(true) {
		return nil
	}
	waiting := map[string]bool{}
	l.mu.Lock()
	for name := range l.peers {
		waiting[name] = true
	}
	err := l.send(l.to.all, l.note(noteBye))
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("the link to other nodes: %w", err)
	}
	for len(waiting) > 0 {
		select {
		case name := <-l.acks:
			delete(waiting, name)
		case <-ctx.Done():
			return fmt.Errorf("%d nodes did not say that they send no more: %w", len(waiting), ctx.Err())
		}
	}
	return nil
}

// Close tells the others that this node is gone, after everything that was handed to
// Send, and ends the link. No method of the handler runs once it has returned.
func (l *Link) Close(ctx context.Context) error {
	var err error
	l.closed.Do(func() {
		l.leaving.Store(true)
		close(l.end)
		l.running.Wait()
		l.unsubscribe()
		if l.b.conn.IsConnected() { // else nobody hears a node that is cut off
			err = l.send(l.to.all, l.note(noteGone))
			flushing, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			err = errors.Join(err, l.b.conn.FlushWithContext(flushing))
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, p := range l.peers {
			l.forget(p, "this node ends")
		}
	})
	return err
}

func (l *Link) unsubscribe() {
	for _, s := range l.subs {
		done := make(chan struct{})
		s.SetClosedHandler(func(string) { close(done) })
		if s.Unsubscribe() == nil {
			<-done // its callback has returned
		}
	}
}

// note is a note of this node.
func (l *Link) note(kind noteKind) *note {
	return &note{kind: kind, life: l.life, node: l.name, host: l.host}
}

func (l *Link) send(subject string, n *note) error {
	return l.b.conn.Publish(subject, n.append(nil))
}
