package load

import (
	"runtime"
	"syscall"
	"time"
)

// sleeper sleeps on a thread of its own with the finest timer of the kernel: the
// scheduler of Go rounds short sleeps up to a millisecond where nothing else runs.
type sleeper struct{}

const prSetTimerSlack = 29 // prctl(2)

func newSleeper() sleeper {
	runtime.LockOSThread()
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0) // coarser timers are no error
	return sleeper{}
}

// until sleeps for d, or less if a signal comes.
func (sleeper) until(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil)
}

// close gives the thread back with the slack that threads begin with.
func (sleeper) close() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 0, 0)
	runtime.UnlockOSThread()
}
