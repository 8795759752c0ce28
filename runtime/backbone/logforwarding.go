package backbone

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// run sends what is kept here, whenever there is something.
func (f *forward) run() {
	defer close(f.ended)
	ctx, l := f.l.running, f.l
	to := &Log{b: l.b, options: l.options, name: l.name, stream: l.stream, subject: l.subject, subjects: l.subjects, writer: l.writer, patience: forwardAfter, batchID: l.batchID + "sent-", asker: asker{b: l.b}}
	defer to.asker.end()
	wait, some := retryFirst, 1
	for {
		f.mu.Lock()
		if !f.active {
			f.mu.Unlock()
			select {
			case <-ctx.Done():
				return
			case <-f.begun:
			}
			continue
		}
		// As long as the cluster takes what it is sent, appends wait their turn, one
		// group for as many messages as are sent at once: else they would come as fast
		// as others go.
		if some == 1 {
			f.mu.Unlock()
		}
		none, err := f.sendSome(ctx, to, some)
		if some == 1 {
			f.mu.Lock()
		}
		if none && err == nil {
			err = f.finish(ctx, to)
		}
		f.mu.Unlock()
		if err == nil {
			wait, some = retryFirst, forwardAtOnce
			continue
		}
		some = 1
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			wait = min(2*wait, retryMost)
		}
	}
}

// sendSome sends the oldest messages, and tells if there are none.
func (f *forward) sendSome(ctx context.Context, to *Log, some int) (none bool, err error) {
	if !to.b.conn.IsConnected() {
		return false, ErrAway
	}
	if _, err := to.stream.get(ctx); err != nil {
		return false, err
	}
	list, _, err := f.local.get(ctx, getRequest{Seq: f.sent + 1, Batch: some, MaxBytes: readBytes})
	if err != nil || len(list) == 0 {
		return err == nil, err
	}
	f.since.Store(list[0].time.UnixNano())
	to.known = false
	for most, alone := len(list), 0; len(list) > 0; {
		n, err := min(f.together(to, list), most), error(nil)
		if n < batchFromSynced || alone > 0 {
			n, alone = 1, max(alone-1, 0)
			err = f.send(ctx, to, list[0])
		} else {
			err = f.sendBatch(ctx, to, list[:n])
		}
		switch {
		case err == nil:
			most = min(2*most, forwardAtOnce)
		case errors.Is(err, errPart): // those are left out by their numbers
			continue
		case errors.Is(err, ErrAway), errors.Is(err, ErrClosed), errors.Is(err, errUnknown), ctx.Err() != nil, n == 1 && errors.Is(err, ErrFull):
			return false, errors.Join(err, f.drop(ctx))
		case n > 1: // for the sake of one of them: the log has it already, or no room
			if most = n / 2; most < batchFromSynced {
				most, alone = forwardAtOnce, n
			}
			continue
		default:
			f.refused.Add(1)
			f.l.b.options.Logger.Error("backbone refuses a message that waited for it: it is lost", "log", f.l.options.Name, "error", err)
		}
		for _, m := range list[:n] {
			d, _ := decode(m.data) // who sent it has
			f.count(-d.count, -len(m.data))
		}
		f.sent, list = list[n-1].seq, list[n:]
	}
	return false, f.drop(ctx)
}

// together is how many of the messages, from the first on, can be sent as one batch: they
// have numbers, one behind the other, and the cluster has none of them.
func (f *forward) together(to *Log, list []message) int {
	for i, next := 0, uint64(0); i < len(list); i++ {
		d, err := decode(list[i].data)
		if err != nil || list[i].header.Get(headerDue) != "" || !to.known || i == 0 && d.first < to.at.next || i > 0 && d.first != next {
			return i
		}
		next = d.first + uint64(d.count)
	}
	return len(list)
}

// sendBatch brings several messages to the cluster at once.
func (f *forward) sendBatch(ctx context.Context, to *Log, list []message) error {
	first, err := decode(list[0].data)
	if err != nil {
		return err
	}
	last, err := decode(list[len(list)-1].data)
	if err != nil {
		return err
	}
	to.at.next = first.first
	_, err = to.insist(ctx, int(last.first+uint64(last.count)-first.first), func() (pubAck, error) {
		return to.asker.batch(ctx, batch{
			id: to.nextBatch(), subject: to.subject, behind: strconv.FormatUint(to.at.seq, 10), size: len(list),
			message: func(i int, h nats.Header) []byte {
				if id := list[i].header.Get(headerID); id != "" {
					h[nats.MsgIdHdr] = []string{id}
				}
				return list[i].data
			},
		})
	})
	return err
}

// drop frees the room of what the cluster has.
func (f *forward) drop(ctx context.Context) error {
	return f.local.purge(ctx, f.sent+1, "")
}

// send brings one message to the cluster.
func (f *forward) send(ctx context.Context, to *Log, m message) error {
	d, err := decode(m.data)
	if err != nil {
		return err
	}
	id := m.header.Get(headerID)
	if due := m.header.Get(headerDue); due != "" {
		ns, err := strconv.ParseInt(due, 10, 64)
		if err != nil {
			return err
		}
		if err := f.l.delays.begin(ctx, true); err != nil {
			return err
		}
		_, err = f.l.delays.schedule(ctx, "f"+strconv.FormatUint(f.l.writer, 36)+"-"+strconv.FormatUint(m.seq, 36), id, time.Unix(0, ns), d.rest)
		return err
	}
	for !to.known {
		to.at.next = 0
		if err := to.locate(ctx); err != nil {
			return err
		}
	}
	if to.at.next > d.first {
		return to.confirm(ctx, &patience{wait: retryFirst, began: time.Now()}, to.at.seq)
	}
	to.at.next = d.first
	_, err = to.insist(ctx, d.count, func() (pubAck, error) { return to.request(ctx, m.data, id) })
	if errors.Is(err, errPart) {
		return nil // it has that and more
	}
	return err
}

// finish changes the way back to the cluster, if nothing came meanwhile. mu is held.
func (f *forward) finish(ctx context.Context, to *Log) error {
	if f.sent < f.last {
		return nil
	}
	to.known = false
	if err := to.locate(ctx); err != nil {
		return err
	}
	f.l.at, f.l.known = position{seq: to.at.seq, next: max(to.at.next, f.next)}, true
	f.active = false
	f.since.Store(0)
	f.away.Store(false) // last, as info asks for it first: where it is back, nothing waits
	f.l.b.options.Logger.Info("backbone is back: it has what waited", "log", f.l.options.Name, "refused", f.refused.Load())
	return nil
}
