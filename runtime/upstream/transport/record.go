package transport

import (
	"context"
	"sync"
	"time"

	"github.com/weftrun/weft/runtime/upstream"
)

// Try is one call of a member with a message.
type Try struct {
	// Member is its address.
	Member     string
	Began, End time.Time
	// Status is HTTP's status code; 0: no answer came, or it has none.
	Status int
	// Err is why the member did not take the message; nil if it did.
	Err error
}

// recorder notes the tries of a job, in the order in which they ended. The nil one notes
// nothing.
type recorder struct {
	mu  sync.Mutex // two tries run at once where a pool hedges
	job *Job
}

func (r *recorder) send(ctx context.Context, t Transport, to *upstream.Member, m *Message) (Answer, error) {
	if r == nil {
		return t.Send(ctx, to, m)
	}
	began := time.Now()
	answer, err := t.Send(ctx, to, m)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.job.Tries = append(r.job.Tries, Try{Member: to.Address(), Began: began, End: time.Now(), Status: answer.Status, Err: err})
	return answer, err
}
