package delivery

import "sync/atomic"

// Ledger counts a loop's messages so that nothing is lost without a trace. Each
// message that enters, by a frame, the API or a plugin, ends exactly once:
//
//	In + Emitted + Recalled = Delivered + Logged + Replied + Dead + Filtered() + Lost() + InFlight()
//
// A message that goes to several receivers is delivered if one of them took it;
// what became of its copies is counted apart. One that a durable route's log has
// acknowledged has ended there: what is taken out of the log enters again, and ends
// again, on each loop that has receivers for it and with each try. The owner raises the fields
// itself; no method may run beside another.
type Ledger struct {
	// In is the messages cut from frames and published through the API.
	In uint64
	// Emitted is the messages made by plugins and by weft, dead letters included.
	Emitted uint64
	// Recalled is the messages that were taken out of a log for receivers.
	Recalled uint64
	// Delivered is the messages that at least one receiver's outbox took.
	Delivered uint64
	// Logged is the messages that a log has acknowledged.
	Logged uint64
	// Replied is the messages that a plugin answered itself.
	Replied uint64
	// Dead is the messages that went on as dead letters.
	Dead uint64
	// Dropped is the messages that ended otherwise, by reason: filtered on
	// purpose (PluginDrop, PluginClose) or lost.
	Dropped [NumReasons]uint64

	// Copies is the copies that an outbox took: one for each receiver.
	Copies uint64
	// CopiesDropped is the copies that none took, by reason.
	CopiesDropped [NumReasons]uint64
}

// Drop counts a message that ended undelivered.
func (l *Ledger) Drop(r Reason) { l.Dropped[r]++ }

// DropCopy counts a receiver that did not get its copy.
func (l *Ledger) DropCopy(r Reason) { l.CopiesDropped[r]++ }

// Filtered is the messages that a plugin ended on purpose.
func (l *Ledger) Filtered() uint64 { return l.Dropped[PluginDrop] + l.Dropped[PluginClose] }

// Lost is the messages that were dropped and not filtered.
func (l *Ledger) Lost() uint64 {
	var sum uint64
	for _, n := range l.Dropped {
		sum += n
	}
	return sum - l.Filtered()
}

// Ended is the messages whose end is known.
func (l *Ledger) Ended() uint64 {
	return l.Delivered + l.Logged + l.Replied + l.Dead + l.Filtered() + l.Lost()
}

// InFlight is the messages that have entered and not ended yet. A negative
// number means that some ended twice.
func (l *Ledger) InFlight() int64 { return int64(l.In + l.Emitted + l.Recalled - l.Ended()) }

// Add adds the counts of another loop.
func (l *Ledger) Add(other Ledger) {
	a, b := l.fields(), other.fields()
	for i := range a {
		*a[i] += *b[i]
	}
	for i := range l.Dropped {
		l.Dropped[i] += other.Dropped[i]
		l.CopiesDropped[i] += other.CopiesDropped[i]
	}
}

// fields is every count that is not by reason, in a fixed order.
func (l *Ledger) fields() [ledgerFields]*uint64 {
	return [ledgerFields]*uint64{&l.In, &l.Emitted, &l.Recalled, &l.Delivered, &l.Logged, &l.Replied, &l.Dead, &l.Copies}
}

const ledgerFields = 8

// Published is a ledger that any goroutine may read. The loop writes it once a
// turn.
type Published struct {
	fields        [ledgerFields]atomic.Uint64
	dropped       [NumReasons]atomic.Uint64
	copiesDropped [NumReasons]atomic.Uint64
}

// Publish copies the ledger to p; only what has changed is stored. One goroutine
// may publish to one p.
func (l *Ledger) Publish(p *Published) {
	for i, n := range l.fields() {
		publish(&p.fields[i], *n)
	}
	for i := range l.Dropped {
		publish(&p.dropped[i], l.Dropped[i])
		publish(&p.copiesDropped[i], l.CopiesDropped[i])
	}
}

func publish(to *atomic.Uint64, n uint64) {
	if to.Load() != n {
		to.Store(n)
	}
}

// Snapshot reads the ledger. Counts of a turn that is being published may be
// there in part.
func (p *Published) Snapshot() Ledger {
	var l Ledger
	for i, n := range l.fields() {
		*n = p.fields[i].Load()
	}
	for i := range l.Dropped {
		l.Dropped[i] = p.dropped[i].Load()
		l.CopiesDropped[i] = p.copiesDropped[i].Load()
	}
	return l
}
