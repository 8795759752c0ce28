// Command weft runs weft and talks to it: weft help lists what it can do.
package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/weftrun/weft/tools/load"
)

func main() {
	ctx, signals, release := catch(context.Background())
	code := run(ctx, system{
		args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Environ(), program: program(os.Args[0]),
		progress: load.Terminal(os.Stderr),
		compiler: compilerCommand(),
		signals:  signals,
	})
	release()
	os.Exit(code)
}

// system is what a command has of the world outside: tests hand in their own.
type system struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	// env is the environment in the form of os.Environ.
	env []string
	// program is how a person calls weft again from the same place.
	program string
	// progress tells whether a person looks at stderr.
	progress bool
	// compiler starts this program again as the process that compiles plugins; nil:
	// plugins are compiled in this process.
	compiler []string
	// signals are those that ask this process to end; nil: there are none.
	signals *interrupts
}

// getenv is the value of a variable, "" if there is none.
func (s system) getenv(name string) string {
	for _, entry := range s.env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// program is what to print for a command to paste. A binary that go run has made
// is gone when weft ends.
func program(arg0 string) string {
	if strings.Contains(filepath.ToSlash(arg0), "/go-build") {
		return "go run ./tools/weft"
	}
	if filepath.Base(arg0) == arg0 {
		return arg0
	}
	if found, err := filepath.Abs(arg0); err == nil {
		for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
			if filepath.Join(folder, filepath.Base(arg0)) == found {
				return filepath.Base(arg0)
			}
		}
	}
	return arg0
}
