// Package delivery holds what happens to messages at the end of their way: which
// response belongs to which request, why a message was dropped, the ledger in
// which every message ends exactly once, and the dead letter.
//
//	NewRequests(limits RequestLimits) *Requests                      // safe for all loops
//	(*Requests).Begin(q Request) (wireSeq uint64, err error)
//	(*Requests).Finish(destination, wireSeq uint64) (Origin, Match)   // Matched, Late or Unknown
//	(*Requests).Cancel(destination, wireSeq uint64)
//	(*Requests).Expire(now int64, dst []Pending) []Pending
//	(*Requests).Drop(destination uint64, dst []Pending) []Pending
//	NewFan() *Fan; (*Fan).Release() (failed bool)                     // one request to several receivers
//	(*Requests).Len() int
//
//	type Reason uint8; Reasons() iter.Seq[Reason]; (Reason).String() string
//	type Ledger struct{...}                                           // one per loop, plain
//	(*Ledger).Publish(p *Published); (*Published).Snapshot() Ledger; (*Ledger).Add(Ledger); Filtered, Lost, Ended() uint64; InFlight() int64
//
//	NewDeadLetters(topic string) (*DeadLetters, error)
//	(*DeadLetters).Build(scratch []byte, letter Letter, m *abi.Message) (grown []byte, ok bool)
//	NewDeadLetterStore(limits DeadLetterLimits) *DeadLetterStore      // keeps them; not for loops
//	NewHandover[T any](limits HandoverLimits) *Handover[T]            // from a loop to whoever collects, without a lock
//	PutLetter(h *Handover[DeadLetter], l *DeadLetter) bool
package delivery
