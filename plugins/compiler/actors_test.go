package compiler_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/plugins/compiler"
)

// actor names the environment variable that makes this program one of the processes
// of the tests.
const actor = "WEFT_COMPILER_TEST_ACTOR"

func TestMain(m *testing.M) {
	if part := os.Getenv(actor); part != "" {
		act(part)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// as is the environment in which this program acts a part.
func as(part string) []string { return []string{actor + "=" + part, "GORACE=atexit_sleep_ms=0"} }

// act plays a process that compiles: well, or not.
func act(part string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	part, file, _ := strings.Cut(part, ":")
	switch part {
	case "serves":
		serve(ctx, os.Stdin)
	case "dies":
		serve(ctx, &dying{r: os.Stdin})
	case "dies-once":
		if _, err := os.Stat(file); err == nil {
			serve(ctx, os.Stdin)
			return
		}
		_ = os.WriteFile(file, nil, 0o600)
		serve(ctx, &dying{r: os.Stdin})
	case "hangs":
		serve(ctx, &hanging{dying{r: os.Stdin}})
	case "hangs-once":
		if _, err := os.Stat(file); err == nil {
			serve(ctx, os.Stdin)
			return
		}
		_ = os.WriteFile(file, nil, 0o600)
		serve(ctx, &hanging{dying{r: os.Stdin}})
	case "garbles":
		fmt.Println("hello, here is somebody else")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "garbles-later":
		_, _ = os.Stdout.WriteString("weft\x00\x00\x00\x05readyweft\xff\xff\xff\xff")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "fails":
		fmt.Fprintln(os.Stderr, "it does not want to")
		os.Exit(3)
	case "lies":
		_, _ = os.Stdout.WriteString("weft\x00\x00\x00\x05readyweft\x00\x00\x00\x01\x00")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "weft":
		parent(file)
	}
}

func serve(ctx context.Context, in io.Reader) {
	if err := compiler.Serve(ctx, in, os.Stdout, os.Exit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// dying reads the greeting, and kills the process over the first module.
type dying struct {
	r     io.Reader
	reads int
}

func (d *dying) Read(b []byte) (int, error) {
	n, err := d.r.Read(b)
	if d.reads++; d.reads > 2 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return n, err
}

// hanging reads the greeting, and never the module.
type hanging struct{ dying }

func (h *hanging) Read(b []byte) (int, error) {
	if h.reads++; h.reads > 2 {
		time.Sleep(time.Hour) // until somebody ends it
	}
	return h.r.Read(b)
}

// parent is a weft that is killed while a plugin is compiled.
func parent(words string) {
	c, err := compiler.New(compiler.Config{Command: []string{os.Args[0]}, Env: as("hangs"), Memory: -1, Patience: time.Hour})
	if err != nil {
		panic(err)
	}
	rt := runtimeOf(c)
	fmt.Fprintln(os.Stderr, words)
	_, err = c.Compile(context.Background(), rt, module(1), compiler.Module{Pages: pages})
	panic(fmt.Sprint("compiled: ", err))
}
