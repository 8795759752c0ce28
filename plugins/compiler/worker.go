package compiler

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// worker is one process that compiles, and the pipes to it.
type worker struct {
	cmd   *exec.Cmd
	in    *os.File // to it
	out   *os.File // from it
	words tail     // its standard error
	idle  bool     // takes only processors that nobody wants
	ended chan struct{}
}

// workerEnv is the environment of the process: one processor at a time is enough.
var workerEnv = []string{"GOMAXPROCS=1", "GOTRACEBACK=none"}

// endTime is how long the process may take to end once it has been told to.
const endTime = 5 * time.Second

// startWorker starts the process.
func startWorker(command, env []string) (*worker, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	defer theirOut.Close()
	w := &worker{cmd: exec.Command(command[0], command[1:]...), in: in, out: out, ended: make(chan struct{})}
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = theirIn, theirOut, &w.words
	w.cmd.Env = append(append([]string(nil), workerEnv...), env...)
	if command[0] == ownImage {
		w.cmd.Args[0] = os.Args[0] // so that ps says who it is
	}
	w.cmd.WaitDelay = time.Second
	w.cmd.SysProcAttr = attributes()
	started := make(chan error, 1)
	go w.attend(started)
	if err := <-started; err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	return w, nil
}

// attend starts the process and waits for its end, all on one thread: the system ends
// the process with the thread that started it.
func (w *worker) attend(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := w.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = w.cmd.Wait() // how it ended is in its state
	_ = w.in.Close()
	close(w.ended)
}

// greet tells the process how to work and waits until it is ready.
func (w *worker) greet(h hello, deadline time.Time) error {
	w.limit(deadline)
	if err := writeHello(w.in, h); err != nil {
		return err
	}
	answer, err := readFrame(w.out, maxWords)
	if err == nil && !bytes.Equal(answer, []byte(ready)) {
		err = errWire
	}
	return err
}

// ask has a module compiled.
func (w *worker) ask(r request, deadline time.Time) (outcome, string, error) {
	w.limit(deadline)
	if err := writeRequest(w.in, r); err != nil {
		return 0, "", err
	}
	return readOutcome(w.out)
}

func (w *worker) limit(deadline time.Time) {
	_ = w.in.SetDeadline(deadline) // where pipes have none, the context alone ends the waiting
	_ = w.out.SetDeadline(deadline)
}

// kill ends the process at once. It does not wait.
func (w *worker) kill() {
	_ = w.cmd.Process.Kill() // it may have ended by itself
}

// end lets the process end in order, then waits for it.
func (w *worker) end() {
	_ = w.in.Close()
	select {
	case <-w.ended:
	case <-time.After(endTime):
	}
	w.discard()
}

// discard ends the process at once and waits until it has ended.
func (w *worker) discard() {
	w.kill()
	<-w.ended
	_ = w.out.Close()
}

// gone reports whether the process has ended by itself.
func (w *worker) gone() bool {
	select {
	case <-w.ended:
		_ = w.out.Close()
		return true
	default:
		return false
	}
}

// What follows is for a process that has ended.

func (w *worker) code() int { return w.cmd.ProcessState.ExitCode() }

// how says how it ended.
func (w *worker) how() string {
	how := w.cmd.ProcessState.String()
	if line := w.words.first(); line != "" {
		how += ": " + line
	}
	return how
}

// outOfMemory tells by its last words whether it got no more memory.
func (w *worker) outOfMemory() bool {
	return bytes.Contains(w.words.b, []byte("out of memory")) || bytes.Contains(w.words.b, []byte("cannot allocate memory"))
}
