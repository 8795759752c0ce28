// Package program is what the tools that measure weft and break it have in common as
// programs: how they begin, what they are told, and how they end.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	ExitOK      = 0
	ExitRuntime = 1
	ExitUsage   = 2
	ExitFailed  = 5
)

// ErrFailed is returned by a tool whose run went through with a bad outcome. What was bad
// it has said itself.
var ErrFailed = errors.New("the outcome is bad")

// errUsage is wrapped by the errors about a command line.
var errUsage = errors.New("usage")

// Usage marks an error as one about the command line; nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usage{err}
}

type usage struct{ error }

func (u usage) Unwrap() []error { return []error{u.error, errUsage} }

// Tool is what a program does with its arguments: data goes to out, words to words.
type Tool func(ctx context.Context, args []string, out, words io.Writer) error

// Main runs the tool with the arguments of the process until it ends or the process is
// asked to end, and exits.
func Main(name string, tool Tool) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Run(ctx, name, tool, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Run runs the tool, says the error that it returns, and gives the exit code for it.
func Run(ctx context.Context, name string, tool Tool, args []string, out, words io.Writer) int {
	err := tool(ctx, args, out, words)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return ExitOK
	case errors.Is(err, ErrFailed):
		return ExitFailed
	}
	Say(words, "%s: %v", name, err)
	if errors.Is(err, errUsage) {
		return ExitUsage
	}
	return ExitRuntime
}

// Say writes a line for a person; such may be lost.
func Say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}
