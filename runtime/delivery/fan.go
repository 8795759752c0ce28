package delivery

import "sync/atomic"

// Fan joins the requests of one message to several receivers: the first response
// counts, all others are Late, and the asker is told of a failure once, when the
// last receiver has failed and none has answered. It may be used by any number of
// goroutines.
type Fan struct {
	open     atomic.Int32 // receivers that can still answer, and the one who hands out
	answered atomic.Bool
}

// NewFan returns a fan for one message. Put it into the Request of each Begin,
// and call Release after the last.
func NewFan() *Fan {
	f := &Fan{}
	f.open.Store(1)
	return f
}

// Release says that no further receiver follows. It reports whether none of them
// has answered and none still can: then nobody else will tell the asker.
func (f *Fan) Release() (failed bool) { return f.fail() }

// answer reports whether this is the first response.
func (f *Fan) answer() bool {
	first := !f.answered.Swap(true)
	f.open.Add(-1)
	return first
}

// fail reports whether the last receiver has failed and none has answered.
func (f *Fan) fail() bool { return f.open.Add(-1) == 0 && !f.answered.Load() }
