package server

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
)

// cluster is the other nodes, as far as this one delivers to them:
//
//	cluster.go          who is there and what each has receivers for
//	cluster_interest.go what others are told of this node's receivers
//	cluster_out.go      message -> the loop's hand-over, for so many nodes
//	cluster_send.go     hand-overs -> one batch a node
//	cluster_in.go       batch -> the loops -> receivers of this node alone
//	cluster_ask.go      requests and responses between nodes
//	cluster_confirm.go  what durable routes take to members on other nodes
//
// Another node's subscription stands in the trie beside this node's own, under an id
// that stands for the node: what nobody else wants finds none and costs nothing. A
// message that came from another node goes to none. Nothing of this is there with the
// backbone in the process.
type cluster struct {
	server *Server
	link   *backbone.Link // nil before start
	epoch  uint16         // tells this node from the one of its name before it
	// silence is after how long another node that is not heard is forgotten; 0 is what
	// the link has.
	silence time.Duration

	names, queues directory
	named         atomic.Uint64 // nodes with sessions that have names
	shared        sharedNumbers
	nodes         [backbone.MaxLinkNodes]farNode
	byName        atomic.Pointer[map[string]int] // slots

	boxes   []*farPath
	woken   chan struct{}
	rounds  chan chan struct{} // wanted: everything that is posted is sent
	end     chan struct{}
	running sync.WaitGroup
	calls   sync.WaitGroup // of Withdrawn
	groups  map[uint64]backbone.Interest
	filled  []int // slots whose batch is not empty

	malformed atomic.Uint64
}

// farNode is what is counted of one node, and the batch that is being filled for it.
type farNode struct {
	name  atomic.Pointer[string]
	batch []byte
	held  int // records in the batch
	begun int // bytes of the batch before the first record
	sent  farCounts
	got   farCounts
	lost  [numFarLosses]atomic.Uint64
	sizes [len(batchBounds) + 1]atomic.Uint64 // batches by how many records they have
}

type farCounts struct{ records, bytes, batches atomic.Uint64 }

// farLoss is why a record did not reach another node.
type farLoss int

const (
	lostGone   farLoss = iota // the node had left
	lostAway                  // NATS takes nothing more: not reached for too long
	lostUnread                // what came in could not be read
	lostEnding                // it came when the loops had ended
	numFarLosses
)

var farLossNames = [numFarLosses]string{"node_gone", "backbone_away", "malformed", "draining"}

// batchBounds are the bounds of the histogram of records in a batch.
var batchBounds = [...]float64{1, 4, 16, 64, 256, 1024}

// An id that stands for another node has farLoop where others have a loop; below are,
// for a request of that node, its epoch, its slot, and what the request was begun under.
const (
	farLoop       = 0xfd
	farEpochShift = 38
	farSlotShift  = 32
)

func farSession(slot int) uint64 {
	return farLoop<<stayLoopShift | uint64(slot)<<farSlotShift
}

func isFar(id uint64) bool      { return id>>stayLoopShift == farLoop }
func farSlot(id uint64) int     { return int(id>>farSlotShift) & (backbone.MaxLinkNodes - 1) }
func farEpoch(id uint64) uint16 { return uint16(id >> farEpochShift) }

// newCluster is nil where there can be no others.
func newCluster(s *Server, silence time.Duration) *cluster {
	if !s.cfg.Backbone.External() {
		return nil
	}
	c := &cluster{
		server: s, woken: make(chan struct{}, 1), rounds: make(chan chan struct{}), end: make(chan struct{}),
		groups: map[uint64]backbone.Interest{}, silence: silence,
	}
	c.names.init()
	c.queues.init()
	c.byName.Store(&map[string]int{})
	return c
}

// start joins the others. The error says why this node may not.
func (c *cluster) start(ctx context.Context) error {
	if c == nil {
		return nil
	}
	link, err := c.server.backbone.Link(ctx, backbone.LinkOptions{Handler: c, Silence: c.silence})
	if err != nil {
		return err
	}
	c.link = link
	c.epoch = uint16(mixed(uint64(link.Life().UnixNano())))
	c.running.Go(c.send)
	return nil
}

// withdraw tells the others to send nothing new, and waits until what they have sent is
// with the loops.
func (c *cluster) withdraw(ctx context.Context) {
	if c == nil || c.link == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, withdrawWithin)
	defer cancel()
	if err := c.link.Withdraw(ctx); err != nil {
		c.server.log.Warn("other nodes may still have messages under way for this one", "error", err)
	}
}

// withdrawWithin is how long a drain waits for other nodes, barrierWithin how long one
// of them waits for its own loops.
const (
	withdrawWithin = 2 * time.Second
	barrierWithin  = time.Second
)

// close sends what is left and leaves the others. The loops have ended.
func (c *cluster) close(ctx context.Context) error {
	if c == nil || c.link == nil {
		return nil
	}
	close(c.end)
	c.calls.Wait()
	c.running.Wait()
	for range 3 { // what is open, posted, and was open behind it
		for _, f := range c.boxes {
			f.box.Post()
		}
		c.collect()
	}
	return c.link.Close(ctx)
}

// Joined implements backbone.LinkHandler.
func (c *cluster) Joined(n backbone.LinkNode) {
	c.nodes[n.Slot].name.Store(&n.Name)
	c.rename(n.Name, n.Slot)
}

// Left implements backbone.LinkHandler.
func (c *cluster) Left(n backbone.LinkNode, _ string) { c.rename(n.Name, -1) }

// rename notes a node's slot; -1 for one that is gone.
func (c *cluster) rename(name string, slot int) {
	next := map[string]int{}
	for other, at := range *c.byName.Load() {
		if other != name {
			next[other] = at
		}
	}
	if slot >= 0 {
		next[name] = slot
	}
	c.byName.Store(&next)
}

// Changed implements backbone.LinkHandler: what is new is there before what is old goes,
// so that a coarser or finer pattern in the place of another leaves no gap.
func (c *cluster) Changed(slot int, added, removed []backbone.Interest) {
	bit := uint64(1) << slot
	c.names.change(backbone.InName, bit, added, removed)
	c.queues.change(backbone.InQueue, bit, added, removed)
	for _, i := range added {
		c.subscribe(slot, i, true)
	}
	for _, i := range removed {
		c.subscribe(slot, i, false)
	}
	if c.names.has(bit) {
		c.named.Or(bit)
	} else {
		c.named.And(^bit)
	}
}

// subscribe puts a pattern or a shared subscription of another node into the trie, or
// takes it out.
func (c *cluster) subscribe(slot int, i backbone.Interest, on bool) {
	pattern, by := i.Text, router.Subscriber{Session: farSession(slot)}
	switch i.Kind {
	case backbone.InPattern:
	case backbone.InShared:
		var ok bool
		if pattern, ok = filterOf(i.Text); !ok {
			return
		}
		by.Options = optionGroup
		by.Identifier = c.shared.number(i.Text, on)
	default:
		return
	}
	if !on {
		c.server.topics.Remove(pattern, by)
	} else if _, err := c.server.topics.Add(pattern, by); err != nil {
		c.malformed.Add(1)
	}
}

// Withdrawn implements backbone.LinkHandler.
func (c *cluster) Withdrawn(_ backbone.LinkNode, done func()) {
	c.calls.Go(func() {
		c.barrier()
		done()
	})
}

// barrier returns when what the loops have handed over so far was sent.
func (c *cluster) barrier() {
	limit := time.NewTimer(barrierWithin)
	defer limit.Stop()
	for waits := true; waits; {
		waits = false
		for _, f := range c.boxes {
			left := make(chan bool, 1)
			if err := c.server.engine.Do(f.index, func() { left <- f.post() }); err != nil {
				if errors.Is(err, engine.ErrStopped) {
					return
				}
				waits = true
				continue
			}
			select {
			case more := <-left:
				waits = waits || more
			case <-limit.C:
				return
			case <-c.end:
				return
			}
		}
		sent := make(chan struct{})
		select {
		case c.rounds <- sent:
			<-sent
		case <-limit.C:
			return
		case <-c.end:
			return
		}
	}
}

// eachSlot calls f for every bit of the set.
func eachSlot(nodes uint64, f func(slot int)) {
	for ; nodes != 0; nodes &= nodes - 1 {
		f(bits.TrailingZeros64(nodes))
	}
}

// farPath is what a further loop has of it; nil without others.
func (c *cluster) farPath(p *path) *farPath {
	if c == nil {
		return nil
	}
	f := &farPath{cluster: c, index: p.loop.Index(), box: delivery.NewHandover[farItem](delivery.HandoverLimits{}), slots: make(chan struct{}, farBatches)}
	f.repost = func() { f.post() }
	c.boxes = append(c.boxes, f)
	return f
}
