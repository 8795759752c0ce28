package main

import (
	"errors"
	"fmt"
	"io"
)

// The exit codes, by class. They are part of the interface: scripts read them.
const (
	exitOK      = 0
	exitRuntime = 1 // something went wrong while it ran
	exitUsage   = 2 // the command line
	exitConfig  = 3 // the configuration, or a plugin or frame that it names
	exitAPI     = 4 // the API does not answer
	exitFailed  = 5 // a test or a threshold
)

const exitCodes = `  0  done
  1  it went wrong while it ran
  2  the command line is wrong
  3  the configuration is wrong, or a plugin or frame that it names
  4  the API does not answer
  5  a test or a threshold failed
`

// failure is an error with its exit code and what to do about it.
type failure struct {
	code int
	err  error
	// fix is a sentence, or empty.
	fix string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errReported ends a command whose output has already said what is wrong.
var errReported = errors.New("reported")

func fail(code int, err error, fix string) error { return &failure{code, err, fix} }

func usageError(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// exitCode is the code for an error that a command returned.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitRuntime
}

// report prints an error: the cause, then the fix.
func report(w io.Writer, command string, err error) {
	if errors.Is(err, errReported) {
		return
	}
	fmt.Fprintf(w, "%s: %v\n", command, err)
	var f *failure
	if !errors.As(err, &f) {
		return
	}
	if f.fix != "" {
		fmt.Fprintf(w, "%s\n", f.fix)
	}
	if f.code == exitUsage {
		fmt.Fprintf(w, "%s --help shows examples\n", command)
	}
}
