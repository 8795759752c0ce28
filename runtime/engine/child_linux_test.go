package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weftrun/weft/runtime/engine"
)

// child is an engine with an exchangeOffice in a process of its own, described by childEnv:
// driver, loops, most descriptors (0: as many as there are). It prints its address,
// and for each number of milliseconds on its input, after that time, the
// connections refused for want of descriptors, the CPU time used since its last
// word, and the memory of its heap and stacks.
func child() int {
	var driver string
	var loops, files int
	if _, err := fmt.Sscan(os.Getenv(childEnv), &driver, &loops, &files); err != nil {
		return 1
	}
	if files > 0 {
		limit := unix.Rlimit{Cur: uint64(files), Max: uint64(files)}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return 0
		}
	}
	office := &exchangeOffice{}
	e, err := engine.New(engine.Config{Loops: loops, Driver: driver, Logger: slog.New(slog.DiscardHandler)},
		[]engine.Listener{{Name: "child", Address: "127.0.0.1:0"}},
		func(l *engine.Loop) (engine.Handler, error) { return office.handler(l), nil })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	fmt.Println(e.Addrs()[0])
	var millis int
	for before := cpuTime(); ; before = cpuTime() {
		if _, err := fmt.Scan(&millis); err != nil {
			break
		}
		time.Sleep(time.Duration(millis) * time.Millisecond) // what is measured is that time
		fmt.Println(e.Stats().Listeners[0].Refused[engine.RefusedFiles], int64(cpuTime()-before), memory())
	}
	cancel()
	if err := <-done; err != nil {
		return 1
	}
	return 0
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
