package clients

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long any step of a test may take.
const patience = time.Minute

// binary builds the weft command once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weft-clients-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "weft")
	build := exec.Command("go", "build", "-o", file, "./tools/weft")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building weft: %w\n%s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if file, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(code)
}

// need finds a program; without it the test is skipped, or fails where
// WEFT_REQUIRE_TOOLCHAINS is set, as in CI.
func need(t *testing.T, name string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err == nil {
		return file
	}
	if os.Getenv("WEFT_REQUIRE_TOOLCHAINS") != "" {
		t.Fatalf("%s is not here: .ci/setup installs it", name)
	}
	t.Skipf("%s is not here", name)
	return ""
}

// weft is a running weft command.
type weft struct {
	t         *testing.T
	cmd       *exec.Cmd
	addresses map[string]string
	log       *lines
}

// start runs weft with a configuration until the test ends.
func start(t *testing.T, config string) *weft {
	t.Helper()
	if os.Getenv("CLIENTS_PEER") != "" {
		return &weft{t: t}
	}
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &weft{t: t, addresses: map[string]string{}, log: newLines()}
	w.cmd = exec.Command(file, "run", "-c", path)
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEFT_") }) // they would be its configuration
	w.cmd.Env = append(own, "NO_COLOR=1", "XDG_CACHE_HOME="+filepath.Join(os.TempDir(), "weft-clients-cache"))
	out := pipe(t, w.cmd.StdoutPipe)
	go w.log.read(pipe(t, w.cmd.StderrPipe))
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.end)
	banner := newLines()
	go banner.read(out)
	banner.await(t, "Ctrl-C", func(line string) bool {
		if f := strings.Fields(line); len(f) == 3 && strings.Contains(f[1], ":") {
			w.addresses[f[0]] = f[1]
		}
		return strings.Contains(line, "Ctrl-C")
	})
	return w
}

// end stops weft and sees that it ends well.
func (w *weft) end() {
	if w.cmd.ProcessState != nil {
		return
	}
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(patience, func() { _ = w.cmd.Process.Kill() })
	defer kill.Stop()
	if err := w.cmd.Wait(); err != nil {
		w.t.Errorf("weft ended with %v", err)
	}
	if w.t.Failed() {
		w.t.Logf("weft said:\n%s", w.log.all())
	}
}

// address is where a listener listens.
func (w *weft) address(listener string) string {
	w.t.Helper()
	if peer := os.Getenv("CLIENTS_PEER"); peer != "" {
		return peer // another broker, to see what is wrong with a test itself
	}
	a, ok := w.addresses[listener]
	if !ok {
		w.t.Fatalf("weft has no listener %s: %v", listener, w.addresses)
	}
	return a
}

func pipe(t *testing.T, open func() (io.ReadCloser, error)) io.Reader {
	t.Helper()
	r, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lines is what a program says, line by line.
type lines struct {
	mu    sync.Mutex
	text  []string
	next  chan string
	ended chan struct{}
}

func newLines() *lines { return &lines{next: make(chan string, 1024), ended: make(chan struct{})} }

func (l *lines) read(r io.Reader) {
	defer close(l.ended)
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		l.mu.Lock()
		l.text = append(l.text, in.Text())
		l.mu.Unlock()
		select {
		case l.next <- in.Text():
		default: // nobody waits for so many
		}
	}
}

func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.text, "\n")
}

// await reads lines until one is what is looked for.
func (l *lines) await(t *testing.T, what string, is func(line string) bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		select {
		case line := <-l.next:
			if is(line) {
				return line
			}
			continue
		default:
		}
		select {
		case line := <-l.next:
			if is(line) {
				return line
			}
		case <-l.ended:
			if len(l.next) == 0 {
				t.Fatalf("it ended without %s:\n%s", what, l.all())
			}
		case <-ctx.Done():
			t.Fatalf("no %s came:\n%s", what, l.all())
		}
	}
}
