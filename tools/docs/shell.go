package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// terminals are the shells of one scene: one that takes a reader's commands one after
// the other and remembers variables and jobs, and as many more as a reader has windows
// open. Everything that they start is of their sessions, and ends with them.
type terminals struct {
	folder, logs string
	env          []string
	first        *exec.Cmd
	in           io.WriteCloser
	done         *bufio.Reader
	others       []*terminal
	outputs      []string // files, in the order in which they were begun
	gone         chan struct{}
}

// terminal is one more window, with one command in it.
type terminal struct {
	command command
	cmd     *exec.Cmd
	output  string
	ended   chan struct{}
	err     error // once ended is closed
}

// openTerminals starts the first terminal in a folder.
func openTerminals(folder, logs string, env []string) (*terminals, error) {
	t := &terminals{folder: folder, logs: logs, env: env, gone: make(chan struct{})}
	t.first = exec.Command("bash", "--noprofile", "--norc")
	t.first.Dir, t.first.Env = folder, env
	t.first.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := t.first.StdinPipe()
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	t.first.ExtraFiles = []*os.File{writer}
	t.first.Stderr = os.Stderr
	t.in, t.done = in, bufio.NewReader(reader)
	if err := t.first.Start(); err != nil {
		return nil, err
	}
	writer.Close()
	go func() { _ = t.first.Wait(); close(t.gone) }()
	// Jobs have numbers, as in a shell at which somebody sits.
	_, err = io.WriteString(t.in, "set -m\n")
	return t, err
}

// output begins a file for what a command prints.
func (t *terminals) output() string {
	name := filepath.Join(t.logs, fmt.Sprintf("%03d", len(t.outputs)))
	t.outputs = append(t.outputs, name)
	return name
}

// run runs a command in the first terminal until it ends, and returns its exit code and
// where it prints to. What it leaves in the background goes on printing there.
func (t *terminals) run(ctx context.Context, text string) (code int, output string, err error) {
	output = t.output()
	script := output + ".sh"
	if err := os.WriteFile(script, []byte(text+"\n"), 0o600); err != nil {
		return 0, output, err
	}
	// The descriptor by which it says that it is done stays out of what it starts.
	if _, err := fmt.Fprintf(t.in, ". %s >%s 2>&1 </dev/null 3>&-; echo $? >&3\n", script, output); err != nil {
		return 0, output, err
	}
	type answer struct {
		line string
		err  error
	}
	said := make(chan answer, 1)
	go func() {
		line, err := t.done.ReadString('\n')
		said <- answer{line, err}
	}()
	select {
	case a := <-said:
		if a.err != nil {
			return 0, output, fmt.Errorf("the shell has ended: %w", a.err)
		}
		code, err = strconv.Atoi(strings.TrimSpace(a.line))
		return code, output, err
	case <-ctx.Done():
		return 0, output, errors.New("it has not ended: it wants a terminal of its own, or # in a terminal of its own behind it")
	}
}

// start runs a command in one more terminal.
func (t *terminals) start(c command) (*terminal, error) {
	output := t.output()
	file, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	n := &terminal{command: c, output: output, ended: make(chan struct{})}
	n.cmd = exec.Command("bash", "--noprofile", "--norc", "-c", c.text)
	n.cmd.Dir, n.cmd.Env, n.cmd.Stdout, n.cmd.Stderr = t.folder, t.env, file, file
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { n.err = n.cmd.Wait(); close(n.ended) }()
	t.others = append(t.others, n)
	return n, nil
}

// printed is what everything has printed so far from the marks on; nil: from the start.
func (t *terminals) printed(marks map[string]int64) string {
	var all strings.Builder
	for _, name := range t.outputs {
		text, err := os.ReadFile(name)
		if err != nil || int64(len(text)) < marks[name] {
			continue
		}
		all.Write(text[marks[name]:])
		all.WriteByte('\n')
	}
	return all.String()
}

// marks are the lengths of all outputs now.
func (t *terminals) marks() map[string]int64 {
	marks := make(map[string]int64, len(t.outputs))
	for _, name := range t.outputs {
		if info, err := os.Stat(name); err == nil {
			marks[name] = info.Size()
		}
	}
	return marks
}

// close ends everything, as politely as it lets itself be ended, and says what did not
// end as it should: a weft that is told to stop ends with 0.
func (t *terminals) close(patience time.Duration) error {
	var problems []error
	sessions := []int{t.first.Process.Pid}
	for _, n := range t.others {
		sessions = append(sessions, n.cmd.Process.Pid)
	}
	t.in.Close() // the first shell ends, its jobs do not
	tell(sessions, syscall.SIGTERM)
	deadline := time.Now().Add(patience)
	for len(members(sessions)) > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	for _, pid := range members(sessions) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		problems = append(problems, fmt.Errorf("has to be killed: %s", strings.ReplaceAll(string(line), "\x00", " ")))
	}
	tell(sessions, syscall.SIGKILL)
	<-t.gone
	for _, n := range t.others {
		<-n.ended
		if runsWeft.MatchString(n.command.text) && n.err != nil {
			text, _ := os.ReadFile(n.output)
			problems = append(problems, fmt.Errorf("%s: ends with %w after SIGTERM:\n%s", n.command.text, n.err, tail(string(text))))
		}
	}
	return errors.Join(problems...)
}

func tell(sessions []int, s syscall.Signal) {
	for _, pid := range members(sessions) {
		_ = syscall.Kill(pid, s)
	}
}

// tail is the end of a text.
func tail(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
