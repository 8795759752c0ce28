package consul

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/weftrun/weft/runtime/upstream"
)

// realAgent is a Consul agent of the test's own. WEFT_TEST_CONSUL names its binary
// (agent.sh builds one); without it, one in PATH; without that, the test is skipped,
// and only what an agent once said is tested.
type realAgent struct {
	t       *testing.T
	binary  string
	dir     string
	address string
	cmd     *exec.Cmd
}

func startAgent(t *testing.T) *realAgent {
	binary := os.Getenv("WEFT_TEST_CONSUL")
	if binary == "" {
		found, err := exec.LookPath("consul")
		if err != nil {
			t.Skip("no Consul agent: WEFT_TEST_CONSUL names none, and none is in PATH")
		}
		binary = found
	}
	a := &realAgent{t: t, binary: binary, dir: t.TempDir()}
	// Consul takes no port 0: those that were free a moment ago.
	var ports [3]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	a.address = fmt.Sprint("127.0.0.1:", ports[0])
	config := fmt.Sprintf(`
bind_addr = "127.0.0.1"
disable_update_check = true
leave_on_terminate = false
ports { dns = -1  grpc = -1  grpc_tls = -1  serf_wan = -1  http = %d  server = %d  serf_lan = %d }
`, ports[0], ports[1], ports[2])
	if err := os.WriteFile(filepath.Join(a.dir, "agent.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *realAgent) start() {
	a.t.Helper()
	a.cmd = exec.Command(a.binary, "agent", "-dev", "-node", "real", "-config-file", filepath.Join(a.dir, "agent.hcl"))
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(filepath.Join(a.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		a.t.Fatal(err)
	}
	defer log.Close()
	a.cmd.Stdout, a.cmd.Stderr = log, log
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(a.stop)
	c := a.client()
	a.until("a leader", func() bool {
		leader, err := c.Status().Leader()
		return err == nil && leader != ""
	})
}

func (a *realAgent) stop() {
	if a.cmd != nil {
		a.cmd.Process.Kill()
		a.cmd.Wait()
		a.cmd = nil
	}
}

func (a *realAgent) client() *client {
	a.t.Helper()
	c, err := connect(Options{Address: a.address})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

// until asks until it is so: the agent is another process.
func (a *realAgent) until(what string, is func() bool) {
	a.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-deadline:
			log, _ := os.ReadFile(filepath.Join(a.dir, "log"))
			a.t.Fatalf("never %s; the agent's log:\n%s", what, log[max(0, len(log)-2000):])
		}
	}
}

// Discovery and registration together, on a real agent: what weft registers others
// find, it passes, it is there again after the agent has lost everything, and is away
// when weft ends.
func TestARealAgent(t *testing.T) {
	a := startAgent(t)
	a.start()
	c := a.client()
	o := Options{Address: a.address}
	found := discovered(t, service(t, "weft", []string{"edge"}, o))
	until(t, found, "nobody", members())

	other := &api.AgentServiceRegistration{Name: "weft", ID: "other", Address: "192.0.2.1", Port: 1, Tags: []string{"edge", "x"},
		Weights: &api.AgentWeights{Passing: 7, Warning: 1}, Check: &api.AgentServiceCheck{TTL: "10m", Status: api.HealthPassing}}
	if err := c.Agent().ServiceRegister(other); err != nil {
		t.Fatal(err)
	}
	f := until(t, found, "the other", members("192.0.2.1:1"))
	if e := f.Endpoints[0]; e.Weight != 7 || e.Labels["node"] != "real" || e.Labels["tags"] != "edge,x" {
		t.Errorf("%+v", e)
	}
	for id, tags := range map[string][]string{"untagged": nil, "tagged": {"edge"}} {
		r := &api.AgentServiceRegistration{Name: "weft", ID: id, Address: "192.0.2.2", Port: 2, Tags: tags,
			Check: &api.AgentServiceCheck{TTL: "10m", Status: map[string]string{"untagged": "passing", "tagged": "warning"}[id]}}
		if err := c.Agent().ServiceRegister(r); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Register(ctx, Registration{Name: "weft", ID: "n1", Address: "192.0.2.9", Port: 9, Tags: []string{"edge"}, TTL: time.Second}, o, discard)
	}()
	until(t, found, "weft too, and none without the tag or in warning", members("192.0.2.1:1", "192.0.2.9:9"))
	if err := c.Agent().UpdateTTL("service:other", "sick", api.HealthCritical); err != nil {
		t.Fatal(err)
	}
	until(t, found, "without the sick one", members("192.0.2.9:9"))

	// Longer than its TTL: it passes because weft says so.
	since := time.Now()
	a.until("passing for three times the TTL", func() bool {
		checks, err := c.Agent().Checks()
		if err != nil || checks["weft:n1"] == nil || checks["weft:n1"].Status != api.HealthPassing {
			t.Fatalf("after %v: %v, %+v", time.Since(since), err, checks["weft:n1"])
		}
		return time.Since(since) > 3*time.Second
	})

	a.stop()
	until(t, found, "an error", func(f upstream.Found) bool { return f.Err != nil })
	a.start() // of -dev: it knows nothing any more
	until(t, found, "weft again", members("192.0.2.9:9"))
	cancel()
	until(t, found, "nobody again", members())
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, _, err := c.Agent().Service("n1", nil); err == nil {
		t.Error("still registered")
	} else if e, ok := errors.AsType[api.StatusError](err); !ok || e.Code != 404 {
		t.Error(err)
	}
}
