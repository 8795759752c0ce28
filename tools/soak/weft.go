package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// weft is a running weft and a client of its API.
type weft struct {
	cmd     *exec.Cmd
	ended   chan struct{}
	log     string
	address string // of the listener
	api     string // its URL
	plugins weftv1connect.PluginsClient
}

// subject is the plugin that is swapped.
const subject = "subject"

const weftConfig = `listeners:
  - name: load
    address: %s
    frame: mcp-seq
    chain: [auth, subject]
    topic: "bench"
plugins:
  auth:
    file: "std:jwt-auth"
    grants: {clock: {}, subscribe: {topics: ["#"]}}
    config: {algorithm: HS256, key: %q}
  subject:
    file: %q
    grants: {metrics: {}}
    config: {rules: [{when: {alarm: high}, topic: "alarm"}]}
    rollout: {rollback: {}}
api: {address: %s}
log: {level: warn}
`

// tokenKey signs the tokens of the run.
const tokenKey = "weft-soak-key-of-this-run-only----"

// start builds weft, if no binary is given, and runs it with the module as its
// subject.
func start(ctx context.Context, o options, dir, module string) (*weft, error) {
	path := o.weft
	if path == "" {
		path = filepath.Join(dir, "weft")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/weftrun/weft/tools/weft").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building weft: %w\n%s", err, out)
		}
	}
	listener, err := freeAddress()
	if err != nil {
		return nil, err
	}
	api, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "weft.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, weftConfig, listener, tokenKey, module, api), 0o600); err != nil {
		return nil, err
	}
	w := &weft{log: filepath.Join(dir, "weft.log"), ended: make(chan struct{}), address: listener, api: "http://" + api}
	w.plugins = weftv1connect.NewPluginsClient(http.DefaultClient, w.api)
	log, err := os.Create(w.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	w.cmd = exec.Command(path, "run", "-c", config)
	w.cmd.Stdout, w.cmd.Stderr = log, log
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = w.cmd.Wait() // how it ended is in its log
		close(w.ended)
	}()
	if err := w.ready(ctx); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// ready waits until weft says that it is.
func (w *weft) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api+"/readyz", nil)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-w.ended:
			return fmt.Errorf("weft ended at once:\n%s", w.tail())
		case <-ctx.Done():
			return fmt.Errorf("weft is not ready: %w:\n%s", ctx.Err(), w.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop drains weft, and kills it where that takes too long.
func (w *weft) stop() error {
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-w.ended:
		return nil
	case <-time.After(15 * time.Second):
	}
	err := w.cmd.Process.Kill()
	<-w.ended
	return errors.Join(err, errors.New("weft did not end in 15 s"))
}

// tail is the end of its log.
func (w *weft) tail() string {
	b, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}
