package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/server"
	"github.com/weftrun/weft/runtime/tlsconf"
)

// agent plays the endpoints of a Consul agent that registrations need, as documented.
type agent struct {
	*httptest.Server
	mu       sync.Mutex
	services map[string]agentService // by id
	heads    []http.Header
	refuses  bool                          // everything
	hears    func() func(id, event string) // comes as a request does, and goes before its answer: register, passing, critical, deregister
}

// agentService is what is registered, and how it is.
type agentService struct {
	ID, Name, Address string
	Port              int
	Tags              []string
	Meta              map[string]string
	Check             struct{ TTL, Status string }
}

func startAgent(t *testing.T) *agent {
	a := &agent{services: map[string]agentService{}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *agent) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	heard := func(string, string) {}
	if a.hears != nil {
		heard = a.hears()
	}
	event, known := a.take(q)
	heard(path.Base(q.URL.Path), event)
	if !known {
		http.Error(w, "Unknown check ID", http.StatusNotFound)
	}
}

func (a *agent) take(q *http.Request) (event string, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heads = append(a.heads, q.Header)
	if a.refuses || q.Method != http.MethodPut {
		return "refused", false
	}
	var body struct {
		agentService
		Status string
	}
	text, _ := io.ReadAll(q.Body)
	if len(text) > 0 && json.Unmarshal(text, &body) != nil {
		return "malformed", false
	}
	path := strings.TrimPrefix(q.URL.Path, "/v1/agent/")
	switch id := path[strings.LastIndexByte(path, '/')+1:]; {
	case path == "service/register":
		a.services[body.ID] = body.agentService
		return "register", true
	case strings.HasPrefix(path, "check/update/"):
		s, known := a.services[strings.TrimPrefix(id, "weft:")]
		if s.Check.Status = body.Status; known {
			a.services[s.ID] = s
		}
		return body.Status, known
	case strings.HasPrefix(path, "service/deregister/"):
		_, known := a.services[id]
		delete(a.services, id)
		return "deregister", known
	}
	return "unknown", false
}

// list is the services by address, each with its health.
func (a *agent) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []string
	for _, s := range a.services {
		list = append(list, fmt.Sprintf("%s %s:%d %s", s.Name, s.Address, s.Port, s.Check.Status))
	}
	slices.Sort(list)
	return list
}

func (a *agent) refuse(all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuses = all
}

// eventually asks until it is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("never ", what)
		}
	}
}

// scraped is what /metrics says.
func scraped(t *testing.T, f *fixture) string {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	answer, err := http.Get(apiURL(t, f) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRegisteredWhileReady: what others find is the listener's real port, passing; a
// drain makes it critical and takes it away while the listener still accepts.
func TestRegisteredWhileReady(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			a := startAgent(t)
			srv := build(t, driver, "listeners: [{name: a, address: 127.0.0.1:0, frame: line}, {name: b, address: 0.0.0.0:0, frame: line}]\napi: {address: 127.0.0.1:0}\n"+
				"consul:\n  address: "+a.URL+"\n  register:\n"+
				"    - {name: edge, listener: a, tags: [line, x], check_every: 1s, meta: {site: berlin}}\n"+
				"    - {name: other, listener: b, check_every: 1s, address: weft.example.org}\n")
			if got := a.list(); got != nil {
				t.Fatalf("before it runs: %q", got)
			}
			first, second := srv.Addresses()[0].Addr.(*net.TCPAddr), srv.Addresses()[1].Addr.(*net.TCPAddr)
			var mu sync.Mutex
			var events []string
			passing, critical := map[string]bool{}, map[string]bool{} // services
			a.hears = func() func(id, event string) {
				state := srv.State()
				return func(id, event string) {
					conn, err := net.Dial("tcp", first.String())
					if err == nil {
						_ = conn.Close()
					}
					mu.Lock()
					defer mu.Unlock()
					switch {
					case event == "critical":
						critical[id] = true
					case event == "passing" && critical[id]:
						event = "passing after critical"
					case event == "passing":
						passing[id] = true
						if state == life.Draining { // said as the drain began
							return
						}
					}
					events = append(events, fmt.Sprint(event, " ", state, " ", err))
				}
			}
			f := run(t, srv)
			want := []string{fmt.Sprintf("edge 127.0.0.1:%d passing", first.Port), fmt.Sprintf("other weft.example.org:%d passing", second.Port)}
			eventually(t, "registered", func() bool { return slices.Equal(a.list(), want) })
			a.mu.Lock()
			edge := a.services[fmt.Sprintf("edge-127.0.0.1-%d", first.Port)]
			a.mu.Unlock()
			if !slices.Equal(edge.Tags, []string{"line", "x"}) || edge.Meta["site"] != "berlin" || edge.Check.TTL != "3s" {
				t.Errorf("%+v", edge)
			}
			metric := fmt.Sprintf("\nweft_consul_registered{address=\"%s\",service=\"edge\"} 1\n", first)
			eventually(t, "shown"+metric, func() bool { return strings.Contains(scraped(t, f), metric) })
			mu.Lock()
			clear(passing)
			mu.Unlock()
			eventually(t, "kept passing", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(passing) == 2
			})
			f.end()
			if got := a.list(); got != nil {
				t.Errorf("after the end: %q", got)
			}
			slices.Sort(events)
			events = slices.Compact(events)
			if want := []string{"critical draining <nil>", "deregister draining <nil>", "passing running <nil>", "register running <nil>"}; !slices.Equal(events, want) {
				t.Errorf("%q, want %q", events, want)
			}
		})
	}
}

// TestAnAgentThatIsAway keeps weft from nothing: it runs, tells that it is not
// registered, is registered when the agent is back, and ends without it.
func TestAnAgentThatIsAway(t *testing.T) {
	a := startAgent(t)
	a.refuse(true)
	f := start(t, "auto", "listeners: [{name: a, address: 127.0.0.1:0, frame: line}]\napi: {address: 127.0.0.1:0}\n"+
		"consul: {address: \""+a.URL+"\", register: [{name: edge, listener: a, check_every: 1s}]}\n")
	labels := "{address=\"" + f.Addresses()[0].Addr.String() + "\",service=\"edge\"} "
	eventually(t, "counted", func() bool {
		text := scraped(t, f)
		return strings.Contains(text, "\nweft_consul_registered"+labels+"0\n") && strings.Contains(text, "\nweft_consul_registration_failures_total"+labels) &&
			!strings.Contains(text, "\nweft_consul_registration_failures_total"+labels+"0\n")
	})
	a.refuse(false)
	eventually(t, "registered", func() bool { return len(a.list()) == 1 })
	a.refuse(true)
	f.end()
	if f.State() != life.Stopped {
		t.Error(f.State())
	}
}

// TestAnAgentThatHangs: a drain waits for it a little, then goes on.
func TestAnAgentThatHangs(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-release:
		case <-q.Context().Done():
		}
	}))
	defer s.Close()
	defer close(release)
	f := start(t, "auto", "listeners: [{name: a, address: 127.0.0.1:0, frame: line}]\n"+
		"consul: {address: \""+s.URL+"\", register: [{name: edge, listener: a, check_every: 30s}]}\n")
	<-asked
	begun := time.Now()
	f.end()
	if took := time.Since(begun); took > 12*time.Second {
		t.Errorf("it took %v to end", took)
	}
}

// TestRegistrationThatCannotBe: New fails, says where, and leaves nothing behind.
func TestRegistrationThatCannotBe(t *testing.T) {
	yaml := "listeners: [{name: a, address: 127.0.0.1:0, frame: line}]\n" +
		"consul: {address: \"https://127.0.0.1:8501\", tls: {ca: server_test.go}, register: [{name: edge, listener: a}]}\n"
	_, err := server.New(context.Background(), server.Options{Config: load(t, yaml), Logger: logger(t)})
	if !errors.Is(err, tlsconf.ErrConfig) || !strings.Contains(err.Error(), "consul.tls: ") || !strings.Contains(err.Error(), "(test.yaml:2)") {
		t.Error(err)
	}
}
