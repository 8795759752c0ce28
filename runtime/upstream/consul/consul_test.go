package consul

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/runtime/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

// recorded answers questions about one service with what a real agent said: Consul
// 1.20.6, asked for /v1/health/service/billing?passing=1&tag=v2&tag=eu, first with
// two instances that passed and one that did not, then without the first, then when
// the second did not pass either. The tests of real_test.go ask a real agent.
type recorded struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	answer  string // a file of testdata; empty: 500, as without a leader
	changed chan struct{}
	asked   []map[string]string
	heads   []http.Header
}

func record(t *testing.T) *recorded {
	r := &recorded{t: t, changed: make(chan struct{})}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *recorded) say(answer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorded) current() (*http.Response, int, chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer == "" {
		return nil, 0, r.changed
	}
	f, err := os.Open(filepath.Join("testdata", r.answer))
	if err != nil {
		r.t.Error(err)
		return nil, 0, r.changed
	}
	defer f.Close()
	answer, err := http.ReadResponse(bufio.NewReader(f), nil)
	if err != nil {
		r.t.Error(err)
		return nil, 0, r.changed
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body = io.NopCloser(&once{body})
	index, _ := strconv.Atoi(answer.Header.Get("X-Consul-Index"))
	return answer, index, r.changed
}

type once struct{ b []byte }

func (o *once) Read(p []byte) (int, error) {
	n := copy(p, o.b)
	o.b = o.b[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *recorded) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	ask := map[string]string{"path": q.URL.Path}
	for key, values := range q.URL.Query() {
		for _, v := range values {
			ask[key] += v + ";"
		}
	}
	r.mu.Lock()
	r.asked, r.heads = append(r.asked, ask), append(r.heads, q.Header)
	r.mu.Unlock()
	known, _ := strconv.Atoi(q.URL.Query().Get("index"))
	for {
		answer, index, changed := r.current()
		if answer == nil {
			http.Error(w, "No cluster leader", http.StatusInternalServerError)
			return
		}
		if index != known {
			maps.Copy(w.Header(), answer.Header)
			io.Copy(w, answer.Body)
			return
		}
		select { // a blocking query
		case <-changed:
		case <-q.Context().Done():
			return
		}
	}
}

// discovered is a discovery that runs, and what it finds.
func discovered(t *testing.T, d upstream.Discoverer) <-chan upstream.Found {
	ctx, cancel := context.WithCancel(context.Background())
	found, done := make(chan upstream.Found), make(chan struct{})
	go func() {
		defer close(done)
		err := d.Discover(ctx, discard, func(f upstream.Found) {
			select {
			case found <- f:
			case <-ctx.Done():
			}
		})
		if err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return found
}

func until(t *testing.T, found <-chan upstream.Found, what string, want func(upstream.Found) bool) upstream.Found {
	t.Helper()
	var last upstream.Found
	for deadline := time.After(20 * time.Second); ; {
		select {
		case last = <-found:
			if want(last) {
				return last
			}
		case <-deadline:
			t.Fatalf("%s: never found; last %+v", what, last)
		}
	}
}

func members(want ...string) func(upstream.Found) bool {
	return func(f upstream.Found) bool {
		var got []string
		for _, e := range f.Endpoints {
			got = append(got, e.Address)
		}
		slices.Sort(got)
		return f.Err == nil && slices.Equal(got, want)
	}
}

func service(t *testing.T, name string, tags []string, o Options) upstream.Discoverer {
	t.Helper()
	o.Pause = time.Millisecond
	d, err := Service(name, tags, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestServiceFollowsRecordedAnswers(t *testing.T) {
	r := record(t)
	token := filepath.Join(t.TempDir(), "token")
	os.WriteFile(token, []byte("first\n"), 0o600)
	r.say("two.http")
	found := discovered(t, service(t, "billing", []string{"v2", "eu"}, Options{Address: r.URL, Datacenter: "dc1", TokenFile: token}))
	f := until(t, found, "two", members("192.0.2.1:8081", "192.0.2.2:8082"))
	first := f.Endpoints[0]
	want := map[string]string{"node": "rec", "datacenter": "dc1", "id": "billing-1", "tags": "v2,eu", "meta.zone": "z1"}
	if first.Weight != 10 || !maps.Equal(first.Labels, want) {
		t.Errorf("%+v", first)
	}
	os.WriteFile(token, []byte("second\n"), 0o600)
	r.say("one.http")
	until(t, found, "one", members("192.0.2.2:8082"))
	r.say("none.http")
	until(t, found, "none", members())
	r.say("")
	until(t, found, "no leader", func(f upstream.Found) bool { return f.Err != nil })
	r.say("two.http") // an index that went back
	until(t, found, "two again", members("192.0.2.1:8081", "192.0.2.2:8082"))

	r.mu.Lock()
	defer r.mu.Unlock()
	for i, q := range r.asked {
		if q["path"] != "/v1/health/service/billing" || q["passing"] != "1;" || q["tag"] != "v2;eu;" || q["dc"] != "dc1;" {
			t.Fatalf("question %d: %v", i, q)
		}
	}
	if r.asked[0]["index"] != "" || r.asked[1]["index"] != "18;" || r.asked[1]["wait"] != "300000ms;" {
		t.Errorf("%v", r.asked[:2])
	}
	if a, b := r.heads[0].Get("X-Consul-Token"), r.heads[len(r.heads)-1].Get("X-Consul-Token"); a != "first" || b != "second" {
		t.Error("tokens:", a, b)
	}
}

func TestATokenThatIsAwayIsAnError(t *testing.T) {
	r := record(t)
	r.say("two.http")
	token := filepath.Join(t.TempDir(), "token")
	found := discovered(t, service(t, "billing", nil, Options{Address: r.URL, TokenFile: token}))
	until(t, found, "an error", func(f upstream.Found) bool { return errors.Is(f.Err, os.ErrNotExist) })
	os.WriteFile(token, []byte("t"), 0o600)
	until(t, found, "two", members("192.0.2.1:8081", "192.0.2.2:8082"))
}

func TestAnAgentThatSpeaksTLS(t *testing.T) {
	r := record(t)
	r.say("one.http")
	s := httptest.NewUnstartedServer(r)
	s.Config.ErrorLog = slog.NewLogLogger(discard.Handler(), slog.LevelInfo)
	s.StartTLS()
	t.Cleanup(s.Close) // after the discoveries have ended
	ca := x509.NewCertPool()
	ca.AddCert(s.Certificate())
	trusting := func(name string) func(string) *tls.Config {
		return func(host string) *tls.Config {
			return &tls.Config{RootCAs: ca, ServerName: cmp.Or(name, host)}
		}
	}
	address := s.Listener.Addr().String()
	until(t, discovered(t, service(t, "billing", nil, Options{Address: "https://" + address, TLS: trusting("example.com")})), "one by another name", members("192.0.2.2:8082"))
	until(t, discovered(t, service(t, "billing", nil, Options{Address: "https://" + address, TLS: trusting("else.example.org")})), "another's name", func(f upstream.Found) bool {
		_, ok := errors.AsType[*tls.CertificateVerificationError](f.Err)
		return ok
	})
	until(t, discovered(t, service(t, "billing", nil, Options{Address: address, TLS: trusting(""), Secure: true})), "one", members("192.0.2.2:8082"))
	until(t, discovered(t, service(t, "billing", nil, Options{Address: "https://" + address})), "a stranger's certificate", func(f upstream.Found) bool {
		_, ok := errors.AsType[*tls.CertificateVerificationError](f.Err)
		return ok
	})
}

// agent is the part of an agent that registrations need. It can forget.
type agent struct {
	mu       sync.Mutex
	services map[string]map[string]any
	events   chan string
	away     bool
}

func (a *agent) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		http.Error(w, "away", http.StatusInternalServerError)
		a.tell("away")
		return
	}
	switch path := q.URL.Path; {
	case path == "/v1/agent/service/register":
		var s map[string]any
		if err := json.NewDecoder(q.Body).Decode(&s); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.services[s["ID"].(string)] = s
		a.tell("registered")
	case path == "/v1/agent/check/update/weft:n1" && a.services["n1"] != nil:
		var u struct{ Status string }
		if err := json.NewDecoder(q.Body).Decode(&u); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.tell(u.Status)
	case path == "/v1/agent/service/deregister/n1" && a.services["n1"] != nil:
		delete(a.services, "n1")
		a.tell("deregistered")
	default: // as the real one's: what was asked for is not there
		http.Error(w, "Unknown check ID", http.StatusNotFound)
	}
}

func (a *agent) tell(event string) {
	select {
	case a.events <- event:
	default:
	}
}

func (a *agent) until(t *testing.T, want string) {
	t.Helper()
	for deadline := time.After(20 * time.Second); ; {
		select {
		case got := <-a.events:
			if got == want {
				return
			}
		case <-deadline:
			t.Fatal("never", want)
		}
	}
}

func TestRegisterKeepsPassing(t *testing.T) {
	a := &agent{services: map[string]map[string]any{}, events: make(chan string, 100)}
	s := httptest.NewServer(a)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Register(ctx, Registration{Name: "weft", ID: "n1", Address: "192.0.2.7", Port: 9000, Tags: []string{"a"}, TTL: time.Second}, Options{Address: s.URL}, discard)
	}()
	a.until(t, "registered")
	a.mu.Lock()
	got := a.services["n1"]
	a.mu.Unlock()
	check := got["Check"].(map[string]any)
	if got["Name"] != "weft" || got["Port"] != 9000.0 || got["Address"] != "192.0.2.7" || check["TTL"] != "1s" ||
		check["Status"] != "passing" || check["DeregisterCriticalServiceAfter"] != "10m0s" {
		t.Error(got)
	}
	a.until(t, "passing")
	a.mu.Lock()
	delete(a.services, "n1") // the agent has lost it
	a.mu.Unlock()
	a.until(t, "registered")
	a.mu.Lock()
	a.away = true
	a.mu.Unlock()
	a.until(t, "away")
	a.mu.Lock()
	a.away = false
	a.mu.Unlock()
	a.until(t, "registered")
	cancel()
	a.until(t, "critical") // before it goes
	a.until(t, "deregistered")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBadOptions(t *testing.T) {
	for _, r := range []Registration{{ID: "a"}, {Name: "a"}, {Name: "a", ID: "b", Port: 70000}, {Name: "a", ID: "b", TTL: 1}, {Name: "a", ID: "b", Forget: 1}} {
		if err := Register(t.Context(), r, Options{}, discard); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, o := range []Options{{Wait: time.Hour}, {Address: "gopher://x"}} {
		if _, err := Service("a", nil, o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := Service("", nil, Options{}); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}
