package compiler

import (
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// ownImage is the program that runs, whatever has become of its file.
const ownImage = "/proc/self/exe"

// giveWay lowers the priority of the calling thread. Where that is not allowed the
// thread competes as others do.
func giveWay() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10) }

// ours reports whether the file belongs to who runs this process.
func ours(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// attributes end the process with this one, and keep the terminal's signals from it.
// SIGTERM, so that it takes its folder along.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

// schedIdle is the policy of threads that run when no other wants to (sched(7)).
const schedIdle = 5

// niceHurry and niceMost are the priorities of a process that is waited for, and of
// one that is not.
const (
	niceHurry = 10
	niceMost  = 19
)

// giveWayAll lowers the priority of every thread, and of those that they start. If
// memory runs out, this is the process to end.
func giveWayAll(idle bool) {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	nice := niceHurry
	if idle {
		nice = niceMost
	}
	done := map[int]bool{}
	for before := -1; before < len(done); { // again until no thread is new
		before = len(done)
		threads, _ := os.ReadDir("/proc/self/task")
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil || done[id] {
				continue
			}
			done[id] = true
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, nice)
			if idle {
				var priority int32
				_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_SETSCHEDULER, uintptr(id), schedIdle, uintptr(unsafe.Pointer(&priority)))
			}
		}
	}
}

// rlimitData bounds what a process may write to, outside of its stack (getrlimit(2)):
// addresses that Go only reserves do not count.
const rlimitData = syscall.RLIMIT_DATA

// boundMemory bounds the memory of this process.
func boundMemory(bytes int64) error {
	if bytes <= 0 {
		return nil
	}
	return syscall.Setrlimit(rlimitData, &syscall.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)})
}

// processorTime is what this process has taken so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
