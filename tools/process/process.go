// Package process runs servers beside a tool that measures or breaks them: started
// with a log of their own, waited for until they serve, ended for certain.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weftrun/weft/runtime/ports"
)

// Options say what to run.
type Options struct {
	// Name is what errors call it.
	Name string
	// Command is the program and its arguments.
	Command []string
	// Log is the file that takes its output; it is written anew.
	Log string
	// Ready tells whether it serves: nil once it does. It is asked again and again.
	Ready func(context.Context) error
	// Within is how long that may take (0 is 60 s), Grace how long it may take to end
	// when it is asked to (0 is 15 s).
	Within, Grace time.Duration
	// Files gives it as many open files as are allowed.
	Files bool
}

// Process is a server that runs. Stop it.
type Process struct {
	options Options
	cmd     *exec.Cmd
	ended   chan struct{}
}

const (
	usualStart = 60 * time.Second
	usualEnd   = 15 * time.Second
	pause      = 20 * time.Millisecond
	tail       = 4000 // bytes
)

// Start runs the server and waits until it serves. On an error nothing is left.
func Start(ctx context.Context, o Options) (*Process, error) {
	if o.Within == 0 {
		o.Within = usualStart
	}
	if o.Grace == 0 {
		o.Grace = usualEnd
	}
	if o.Files { // a shell raises the limit and then becomes the server: the pid is the same
		o.Command = append([]string{"/bin/sh", "-c", `ulimit -n "$(ulimit -Hn)"; exec "$@"`, "sh"}, o.Command...)
	}
	log, err := os.Create(o.Log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &Process{options: o, cmd: exec.Command(o.Command[0], o.Command[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// Settings of weft in this environment are not meant for the one that is started.
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEFT_") })
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", o.Name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	if err := p.ready(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.options.Within)
	defer cancel()
	for {
		err := p.options.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended at once; its last words:\n%s", p.options.Name, p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w, %w; its last words:\n%s", p.options.Name, ctx.Err(), err, p.Tail())
		case <-time.After(pause):
		}
	}
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Signal sends a signal; to a process that has ended it does nothing.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s to %s: %w", s, p.options.Name, err)
	}
	return nil
}

// Kill ends the process by SIGKILL and waits for its end.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	if err == nil {
		<-p.ended
	}
	return err
}

// ErrKilled is the error where the process did not end in its grace time and was killed.
var ErrKilled = errors.New("did not end when it was asked to, and was killed")

// Stop ends the process by SIGTERM, and by SIGKILL after the grace time, which is an
// error that wraps ErrKilled. It may be called again.
func (p *Process) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(p.options.Grace):
	}
	select {
	case <-p.ended: // both may be there when this process runs again
		return nil
	default:
	}
	return errors.Join(p.Kill(), fmt.Errorf("%s %w", p.options.Name, ErrKilled))
}

// Tail is the end of the log; of a program that panicked, the beginning of what it
// said then.
func (p *Process) Tail() string {
	b, err := os.ReadFile(p.options.Log)
	if err != nil {
		return err.Error()
	}
	for _, word := range []string{"\npanic: ", "\nfatal error: "} {
		if _, after, ok := bytes.Cut(append([]byte{'\n'}, b...), []byte(word)); ok {
			return word[1:] + string(after[:min(len(after), tail/2)])
		}
	}
	return string(b[max(0, len(b)-tail):])
}

// Listens is an Options.Ready: a connection to the address is accepted.
func Listens(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// Answers is an Options.Ready: the URL is answered by 200.
func Answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if err := answer.Body.Close(); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, answer.Status)
		}
		return nil
	}
}

// FreePort is a TCP port of loopback that is this process's until its end: servers can
// be started and started again on it, and nobody else gets it meanwhile.
func FreePort() (int, error) {
	port, _, err := ports.Reserve()
	return port, err
}

// Build builds a program of Go into a file of the folder and returns its path.
func Build(ctx context.Context, dir, name, pkg string) (string, error) {
	path := filepath.Join(dir, name)
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}
