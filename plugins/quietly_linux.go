package plugins

import "syscall"

// giveWay lowers the priority of the calling thread. Where that is not allowed the
// thread competes as others do.
func giveWay() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10) }
