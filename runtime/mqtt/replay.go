package mqtt

import "slices"

// Replay is what is left to send of the retained messages that a session's
// subscriptions match. It asks Retained for a page when the session has sent
// what it had, so that however many there are they never meet the bound of its
// queue, and live messages keep their room. It belongs to the session's loop; the
// zero value is empty.
type Replay struct {
	jobs []job
	at   int // the first that is not done
	page []*Message
	last job // whose page Next returned last
}

type job struct {
	filter string
	copy   Copy
	cursor Cursor
}

// PageLen is how many retained messages are taken at a time.
const PageLen = 32

// maxJobs is how many filters wait for their retained messages at most.
const maxJobs = 1024

// Takes tells whether Add would take the filter: it waits already, or not too many
// others do.
func (r *Replay) Takes(filter string) bool {
	return len(r.jobs)-r.at < maxJobs || r.find(filter) >= 0
}

func (r *Replay) find(filter string) int {
	for i := r.at; i < len(r.jobs); i++ {
		if r.jobs[i].filter == filter {
			return i
		}
	}
	return -1
}

// Add queues the retained messages that match the filter of a subscription. c
// says how they are delivered, at most with c.QoS; c.Identifiers is copied. A
// filter that waits already begins anew. false is that too many filters wait: a
// SUBACK with 0x97, quota exceeded.
func (r *Replay) Add(filter string, c Copy) bool {
	c.Retain = true
	c.Identifiers = append([]uint32(nil), c.Identifiers...)
	if i := r.find(filter); i >= 0 {
		r.jobs[i] = job{filter: filter, copy: c}
		return true
	}
	if len(r.jobs)-r.at >= maxJobs {
		return false
	}
	if r.at > 0 && len(r.jobs) == cap(r.jobs) {
		r.jobs = r.jobs[:copy(r.jobs, r.jobs[r.at:])]
		r.at = 0
	}
	r.jobs = append(r.jobs, job{filter: filter, copy: c})
	return true
}

// Remove forgets the filter: it was unsubscribed.
func (r *Replay) Remove(filter string) {
	if i := r.find(filter); i >= 0 {
		r.jobs = slices.Delete(r.jobs, i, i+1)
	}
}

// Pending tells whether anything is left.
func (r *Replay) Pending() bool { return r.at < len(r.jobs) }

// Ready tells whether a page can be taken now: something is left, and the
// session has a connection and nothing of its own to send.
func (r *Replay) Ready(s *Session) bool {
	return r.Pending() && s.online && s.queue.n == 0 && s.out.again == 0 && s.Room() > 0
}

// Next returns a page of messages for the session, and how they are delivered:
// the QoS of each is the smaller of the message's and the copy's. Offer them,
// then call the session's Next until it has nothing more. The page may be empty,
// as when the filter matches few of the topics that were looked at; it is valid
// until the next call. It is no larger than what the session has room for, in
// number and in bytes, so that Offer drops none of it but for the budget of all: see Back.
//
// Go on while Ready and while the connection takes bytes without pressure: no
// bound of the session's meets QoS 0 messages, but its connection's does. Go on
// later when acknowledgements have come, or the outbox is empty again.
func (r *Replay) Next(store *Retained, s *Session, now int64) ([]*Message, Copy) {
	if !r.Ready(s) {
		return nil, Copy{}
	}
	j := &r.jobs[r.at]
	r.last = *j
	clear(r.page)
	left := room{n: min(PageLen, s.Room()), bytes: s.maxBytes() - s.bytes, alone: s.out.n == 0}
	r.page, j.cursor = store.match(j.filter, j.cursor, left, now, r.page[:0])
	page, last := r.page, r.last
	for r.at < len(r.jobs) && r.jobs[r.at].cursor.Done {
		r.jobs[r.at] = job{}
		r.at++
	}
	if r.at == len(r.jobs) {
		*r = Replay{last: last}
	}
	return page, last.copy
}

// Back takes back a message of the page that Next returned last, and those
// behind it: the next page begins with it. It is for one that Offer has answered
// with DropBudget, which it takes out of the counts: retained messages can wait
// until others' are gone. Try again with the next tick.
func (r *Replay) Back(s *Session, m *Message) {
	s.store.counts.Outcomes[DropBudget]--
	r.Rewind(m)
}

// Rewind is Back for a message that was not offered: the connection takes no more
// for now.
func (r *Replay) Rewind(m *Message) {
	cursor := Cursor{after: keyOf(string(m.Topic)), again: true}
	if r.Pending() && r.jobs[r.at].filter == r.last.filter {
		r.jobs[r.at].cursor = cursor
		return
	}
	j := r.last
	j.cursor = cursor
	r.jobs = slices.Insert(r.jobs, r.at, j)
}
