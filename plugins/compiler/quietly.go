package compiler

import "runtime"

// quietly runs f on a thread of its own that gives way to the others: compiling
// keeps a processor busy for a tenth of a second and more, and the loops need it
// first.
func quietly(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		giveWay()
		f()
	}()
	<-done
}
