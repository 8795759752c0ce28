// Package natstest runs real nats-server processes for tests: one, or several as a
// cluster, that can be killed, stopped, paused and started again on their ports and
// data. The program is built from the module's own dependency.
package natstest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Options say what a server is like. The zero value has JetStream and lets everyone in.
type Options struct {
	// Name is the server's name; empty is chosen.
	Name string
	// Dir is where it keeps its data; empty is a folder of the test's.
	Dir string
	// Host is the address it listens on; empty is 127.0.0.1.
	Host string
	// NoJetStream leaves JetStream off.
	NoJetStream bool
	// User and Password, Token, or NKey (a public key) are who is let in.
	User, Password, Token, NKey string
	// Cert and Key are the files of its certificate: then it speaks TLS alone. With
	// CA it asks clients for a certificate which that one has signed.
	Cert, Key, CA string
	// Sync is JetStream's sync_interval; empty is always.
	Sync string
	// Config is more of the server's configuration, as nats-server reads it.
	Config string
	// Exec is put before the command, such as ip netns exec NAME.
	Exec []string
}

// Server is a nats-server process, or what is left of it. Its methods are for the
// test's own goroutine.
type Server struct {
	t       testing.TB
	options Options
	config  string // file
	log     string // file
	port    int
	routes  int // port, 0 outside of a cluster
	monitor int // port
	client  *http.Client

	process *exec.Cmd
	ended   chan struct{}
}

const (
	startWithin = 30 * time.Second
	pollEvery   = 20 * time.Millisecond
)

// Start runs one server, until the test ends, and returns when it is ready.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	list := group(t, []Options{o})
	list[0].Start()
	list[0].WaitReady()
	return list[0]
}

// Cluster runs n servers, three for example, that are one cluster with JetStream, and
// returns when it has a leader.
func Cluster(t testing.TB, n int) []*Server {
	t.Helper()
	return ClusterOf(t, make([]Options, n))
}

// ClusterOf runs one server for each of the options as one cluster.
func ClusterOf(t testing.TB, options []Options) []*Server {
	t.Helper()
	list := group(t, options)
	for _, s := range list {
		s.Start()
	}
	for _, s := range list {
		s.WaitReady()
	}
	return list
}

// URL is where clients connect, as nats://HOST:PORT or tls://HOST:PORT.
func (s *Server) URL() string {
	scheme := "nats://"
	if s.options.Cert != "" {
		scheme = "tls://"
	}
	return scheme + s.Addr()
}

// URLs are those of all of them.
func URLs(list []*Server) []string {
	urls := make([]string, len(list))
	for i, s := range list {
		urls[i] = s.URL()
	}
	return urls
}

// Addr is HOST:PORT.
func (s *Server) Addr() string { return net.JoinHostPort(s.options.Host, strconv.Itoa(s.port)) }

// Name is the server's name.
func (s *Server) Name() string { return s.options.Name }

// Dir is where it keeps its data.
func (s *Server) Dir() string { return s.options.Dir }

// Log is what it has written so far.
func (s *Server) Log() string {
	b, _ := os.ReadFile(s.log)
	return string(b)
}

// Pid is the process; 0 if it does not run.
func (s *Server) Pid() int {
	if s.process == nil {
		return 0
	}
	return s.process.Process.Pid
}

// Start runs the server, again if it has been killed or stopped, without waiting for
// it to be ready.
func (s *Server) Start() {
	s.t.Helper()
	if s.process != nil {
		s.t.Fatalf("nats-server %s runs already", s.Name())
	}
	line := append(append([]string(nil), s.options.Exec...), s.binary(), "-c", s.config)
	c := exec.Command(line[0], line[1:]...)
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		s.t.Fatalf("nats-server %s: %v", s.Name(), err)
	}
	s.process, s.ended = c, make(chan struct{})
	go func(ended chan struct{}) {
		_ = c.Wait()
		close(ended)
	}(s.ended)
}

// WaitReady waits until the server lets clients in and, with JetStream, has caught up.
func (s *Server) WaitReady() {
	s.t.Helper()
	err := poll(startWithin, func() error {
		select {
		case <-s.ended:
			return errEnded
		default:
		}
		_, err := s.get("/healthz")
		return err
	})
	if err != nil {
		s.t.Fatalf("nats-server %s is not ready: %v\n%s", s.Name(), err, s.Log())
	}
}

// Kill is kill -9: nothing more is written. It returns when the process is gone.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop lets the server end in order, and returns when it has.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Pause stops the process in its tracks (SIGSTOP), Resume lets it go on. When it comes back,
// the process does not run any more: a signal is only on its way when it has been sent.
func (s *Server) Pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	_, err := syscall.Wait4(s.process.Process.Pid, &status, syscall.WUNTRACED, nil)
	for errors.Is(err, syscall.EINTR) {
		_, err = syscall.Wait4(s.process.Process.Pid, &status, syscall.WUNTRACED, nil)
	}
	if err != nil || !status.Stopped() {
		s.t.Fatalf("nats-server %s does not stop: %v, %#x", s.Name(), err, status)
	}
}

// Resume is the end of Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.process == nil {
		s.t.Fatalf("nats-server %s does not run", s.Name())
	}
	if err := s.process.Process.Signal(sig); err != nil {
		s.t.Fatalf("nats-server %s: %v", s.Name(), err)
	}
}

func (s *Server) end(sig syscall.Signal) {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(sig) // it may have ended by itself
	select {
	case <-s.ended:
	case <-time.After(startWithin):
		s.t.Errorf("nats-server %s outlived %v", s.Name(), sig)
		_ = s.process.Process.Kill()
		<-s.ended
	}
	s.process = nil
}

var errEnded = errors.New("the process has ended")

// poll asks until it is answered without an error, or the process has ended.
func poll(within time.Duration, ask func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := ask()
		if err == nil || errors.Is(err, errEnded) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollEvery)
	}
}

// get asks the server's monitoring.
func (s *Server) get(path string) ([]byte, error) {
	answer, err := s.client.Get("http://" + net.JoinHostPort(s.options.Host, strconv.Itoa(s.monitor)) + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(body)))
	}
	return body, err
}

// built is the program, made once a process.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/nats-io/nats-server/v2").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	path := filepath.Join(dir, "weft-tests", "nats-server-"+strings.TrimSpace(string(version)))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	made := path + "." + strconv.Itoa(os.Getpid())
	build := exec.Command("go", "build", "-o", made, "github.com/nats-io/nats-server/v2")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w", out, err)
	}
	return path, os.Rename(made, path)
})

// Binary is the path of a nats-server program of the version that weft has in itself.
// The test is skipped where there is no Go to build it; with CI=true it fails.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("nats-server cannot be built: %v", err)
	}
	if err != nil {
		t.Skipf("nats-server cannot be built: %v", err)
	}
	return path
}

func (s *Server) binary() string {
	s.t.Helper()
	return Binary(s.t)
}
