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

// child is an engine with few descriptors: it prints its address, and for each
// word on its input the connections refused and the CPU time used in one second.
func child() int {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 48, Max: 48}); err != nil {
		return 0
	}
	e, err := engine.New(engine.Config{Loops: 1, Driver: os.Getenv(childEnv), Logger: slog.New(slog.DiscardHandler)},
		[]engine.Listener{{Name: "child", Address: "127.0.0.1:0"}},
		func(l *engine.Loop) (engine.Handler, error) { return echo(l), nil })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	fmt.Println(e.Addrs()[0])
	var word string
	for {
		if _, err := fmt.Scan(&word); err != nil {
			break
		}
		before := cpuTime()
		time.Sleep(time.Second) // what is measured is a second
		fmt.Println(e.Stats().Listeners[0].Refused[engine.RefusedFiles], cpuTime()-before)
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
