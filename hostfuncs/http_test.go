package hostfuncs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
)

func TestHosts(t *testing.T) {
	for pattern, urls := range map[string]struct{ granted, denied string }{
		"api.example.org": {
			"https://api.example.org https://API.Example.org.:443/x?y https://api.example.org:0443/",
			"http://api.example.org https://api.example.org:8443 https://example.org https://x.api.example.org https://api.example.org.evil.net",
		},
		"api.example.org:8443":    {"https://api.example.org:8443/", "https://api.example.org http://api.example.org:8443"},
		"*.example.org":           {"https://a.example.org https://a.b.example.org", "https://example.org https://xexample.org https://.example.org http://a.example.org"},
		"http://127.0.0.1:8080":   {"http://127.0.0.1:8080 http://[::ffff:127.0.0.1]:8080", "http://127.0.0.1 https://127.0.0.1:8080 http://localhost:8080"},
		"http://[::1]":            {"http://[::1]/ http://[0:0:0:0:0:0:0:1]:80/", "http://[::1%25eth0]/ http://[::2]/"},
		"HTTPS://Api.Example.ORG": {"https://api.example.org", "http://api.example.org"},
	} {
		p, err := ParseHost(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if again, err := ParseHost(p.String()); err != nil || again != p {
			t.Errorf("%s: reads back as %v, %v", pattern, again, err)
		}
		check := func(text string, want bool) {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if granted([]HostPattern{p}, u) != want {
				t.Errorf("%s grants %s: %v", pattern, text, !want)
			}
		}
		for _, text := range strings.Fields(urls.granted) {
			check(text, true)
		}
		for _, text := range strings.Fields(urls.denied) {
			check(text, false)
		}
	}
	for _, bad := range []string{"", "*", "*.", "*..org", "a b", "ftp://a", "a/b", "a?x", "user@a", "a:", "a:0", "a:99999", "a.*.org", "*.10.0.0.1", "https://", "ä.org", "[fe80::1%25lo]"} {
		if p, err := ParseHost(bad); !errors.Is(err, ErrHost) {
			t.Errorf("%q was accepted as %v", bad, p)
		}
	}
}

// web is the http of one plugin with one instance, and the answers it got.
type web struct {
	t       *testing.T
	funcs   *httpFuncs
	host    *Host
	calls   *Calls
	answers chan Answer
}

func newWeb(t *testing.T, g HTTPGrant, transport http.RoundTripper) *web {
	t.Helper()
	if transport == nil {
		real := NewHTTPTransport()
		t.Cleanup(real.CloseIdleConnections)
		transport = real
	}
	host, err := New(Config{Plugin: "p", Grants: Grants{HTTP: &g}, HTTP: transport})
	if err != nil {
		t.Fatal(err)
	}
	w := &web{t: t, funcs: host.http, host: host, calls: host.NewCalls(), answers: make(chan Answer, 64)}
	w.calls.Attach(func(a Answer) { w.answers <- a })
	t.Cleanup(w.calls.Close)
	return w
}

// send is http_send without the guest's memory.
func (w *web) send(method, address string, header abi.Attributes, body string, deadline time.Duration) (uint64, abi.Status) {
	r, status := w.funcs.newRequest(context.Background(), []byte(method), []byte(address), header, []byte(body))
	if status != abi.StatusOK {
		return 0, status
	}
	w.funcs.open.Add(1)
	w.funcs.begun.Add(1)
	return w.calls.begin(w.funcs, r, deadline), abi.StatusOK
}

func (w *web) get(address string) (status abi.Status, code int, header abi.Attributes, body string) {
	w.t.Helper()
	token, status := w.send("GET", address, nil, "", 10*time.Second)
	if status != abi.StatusOK {
		w.t.Fatalf("%s: %d", address, status)
	}
	a := <-w.answers
	if a.Token != token || !w.calls.Given(token) || !w.calls.Pending(token) {
		w.t.Errorf("answer for %d, called %d", a.Token, token)
	}
	w.calls.Take(token)
	return split(w.t, a)
}

func split(t *testing.T, a Answer) (status abi.Status, code int, header abi.Attributes, body string) {
	t.Helper()
	if a.Status != abi.StatusOK {
		if len(a.Bytes) > 0 {
			t.Errorf("status %d with %d bytes", a.Status, len(a.Bytes))
		}
		return a.Status, 0, nil, ""
	}
	n := binary.LittleEndian.Uint32(a.Bytes[abi.AnswerHTTPHeader:])
	header = abi.Attributes(a.Bytes[abi.AnswerHTTPSize : abi.AnswerHTTPSize+n])
	if err := header.Validate(abi.MaxHTTPHeader); err != nil {
		t.Error(err)
	}
	return a.Status, int(binary.LittleEndian.Uint32(a.Bytes)), header, string(a.Bytes[abi.AnswerHTTPSize+n:])
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

func TestRequestAndAnswer(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Add("X-Two", "b")
		w.Header().Add("X-Two", "a")
		w.Header().Set("Date", "never")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %q %s", r.Method, r.URL, r.UserAgent(), r.Header.Values("X-In"), b)
	})
	w := newWeb(t, HTTPGrant{Hosts: []string{s.URL}}, nil)
	header := abi.Attributes(nil).AppendString("x-in", "1").AppendString("X-IN", "2").AppendString("user-agent", "mine")
	if _, status := w.send("PUT", s.URL+"/a%20b?c=d#e", header, "body", time.Minute); status != abi.StatusOK {
		t.Fatal(status)
	}
	status, code, got, body := split(t, <-w.answers)
	if status != abi.StatusOK || code != http.StatusTeapot || body != `PUT /a%20b?c=d mine ["1" "2"] body` {
		t.Errorf("%d %d %s", status, code, body)
	}
	want := abi.Attributes(nil).AppendString("content-length", "34").AppendString("content-type", "text/plain; charset=utf-8").
		AppendString("date", "never").AppendString("x-two", "b").AppendString("x-two", "a")
	if !bytes.Equal(got, want) {
		t.Errorf("header %q, expected %q", got, want)
	}
	if _, _, _, body := w.get(s.URL); !strings.HasPrefix(body, "GET / weft []") {
		t.Errorf("by default: %s", body)
	}
	if n := w.host.Stats(); n.HTTPCalls != 2 || n.HTTPAnswered != 2 || n.HTTPFailed != 0 {
		t.Errorf("%+v", n)
	}
}

func TestBadRequests(t *testing.T) {
	w := newWeb(t, HTTPGrant{Hosts: []string{"api.example.org"}}, nil)
	const good = "https://api.example.org"
	for _, c := range []struct {
		method, url, name, value string
		want                     abi.Status
	}{
		{"GET", "https://other.example.org", "a", "b", abi.StatusDenied},
		{"GET", "http://api.example.org", "a", "b", abi.StatusDenied},
		{"GET", "https://api.example.org:444", "a", "b", abi.StatusDenied},
		{"GET", "https://api.example.org@evil.net", "a", "b", abi.StatusInvalid},
		{"GET", "https://user:p@api.example.org", "a", "b", abi.StatusInvalid},
		{"GET", "//api.example.org", "a", "b", abi.StatusInvalid},
		{"GET", "ftp://api.example.org", "a", "b", abi.StatusInvalid},
		{"GET", "https:api.example.org", "a", "b", abi.StatusInvalid},
		{"GET", "https://", "a", "b", abi.StatusInvalid},
		{"GET", good + "/ b", "a", "b", abi.StatusInvalid},
		{"GET", good + "/\r\nx", "a", "b", abi.StatusInvalid},
		{"GET", good + "/ä", "a", "b", abi.StatusInvalid},
		{"GET", good + "/%zz", "a", "b", abi.StatusInvalid},
		{"G T", good, "a", "b", abi.StatusInvalid},
		{"CONNECT", good, "a", "b", abi.StatusInvalid},
		{"GET", good, "a b", "b", abi.StatusInvalid},
		{"GET", good, "a", "b\r\nc: d", abi.StatusInvalid},
		{"GET", good, "Host", "evil", abi.StatusInvalid},
		{"GET", good, "content-Length", "1", abi.StatusInvalid},
		{"GET", good, "Transfer-Encoding", "chunked", abi.StatusInvalid},
		{"GET", good, "Proxy-Authorization", "x", abi.StatusInvalid},
		{"GET", good, "Upgrade", "x", abi.StatusInvalid},
	} {
		if _, status := w.funcs.newRequest(t.Context(), []byte(c.method), []byte(c.url), abi.Attributes(nil).AppendString(c.name, c.value), nil); status != c.want {
			t.Errorf("%+v: %d", c, status)
		}
	}
	if _, status := w.funcs.newRequest(t.Context(), nil, []byte(good), abi.Attributes("\x09"), nil); status != abi.StatusInvalid {
		t.Errorf("malformed header: %d", status)
	}
}

func TestRedirects(t *testing.T) {
	var reached atomic.Bool
	other := serve(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	var s *httptest.Server
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/out":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/in":
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		case "/user":
			http.Redirect(w, r, strings.Replace(s.URL, "//", "//u:p@", 1)+"/end", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/end":
			fmt.Fprint(w, "end"+r.Referer())
		}
	})
	w := newWeb(t, HTTPGrant{Hosts: []string{s.URL}}, nil)
	for path, want := range map[string]struct {
		status abi.Status
		body   string
	}{"/out": {abi.StatusDenied, ""}, "/in": {abi.StatusOK, "end"}, "/user": {abi.StatusDenied, ""}, "/loop": {abi.StatusFailed, ""}} {
		if status, _, _, body := w.get(s.URL + path); status != want.status || body != want.body {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	if reached.Load() {
		t.Error("a host that is not granted was reached")
	}
}

func TestAnswerBounds(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/fits":
			w.Write(make([]byte, 1000))
		case "/long":
			w.Write(make([]byte, 1001))
		case "/chunked":
			for range 100 {
				w.Write(make([]byte, 100))
				w.(http.Flusher).Flush()
			}
		case "/header":
			w.Header().Set("X-Long", strings.Repeat("x", abi.MaxHTTPHeader))
		case "/headers":
			w.Header().Set("X-Long", strings.Repeat("x", 4*transportHeader))
		case "/cut":
			w.Header().Set("Content-Length", "100")
			w.Write(make([]byte, 10))
		}
	})
	w := newWeb(t, HTTPGrant{Hosts: []string{s.URL}, Response: 1000}, nil)
	for path, want := range map[string]abi.Status{
		"/fits": abi.StatusOK, "/long": abi.StatusLimit, "/chunked": abi.StatusLimit, "/header": abi.StatusLimit,
		"/headers": abi.StatusLimit, "/cut": abi.StatusFailed,
	} {
		if status, _, _, _ := w.get(s.URL + path); status != want {
			t.Errorf("%s: %d, expected %d", path, status, want)
		}
	}
}

// stuck is a transport that does not heed its context.
type stuck struct{ free chan struct{} }

func (s stuck) RoundTrip(*http.Request) (*http.Response, error) {
	<-s.free
	return nil, errors.New("freed")
}

func TestDeadlines(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	w := newWeb(t, HTTPGrant{Hosts: []string{s.URL}}, nil)
	if _, status := w.send("GET", s.URL, nil, "", 10*time.Millisecond); status != abi.StatusOK {
		t.Fatal(status)
	}
	if a := <-w.answers; a.Status != abi.StatusTimeout {
		t.Errorf("status %d", a.Status)
	}

	free := make(chan struct{})
	w = newWeb(t, HTTPGrant{Hosts: []string{s.URL}}, stuck{free})
	token, _ := w.send("GET", s.URL, nil, "", 10*time.Millisecond)
	if a := <-w.answers; a.Status != abi.StatusTimeout {
		t.Errorf("of a transport that hangs: status %d", a.Status)
	}
	w.calls.Take(token)
	if n := w.host.Stats(); n.HTTPOpen != 1 || n.HTTPTimeouts != 1 {
		t.Errorf("while its goroutine hangs: %+v", n)
	}
	close(free)
	awaitOpen(t, w, 0)
	select {
	case a := <-w.answers:
		t.Errorf("a second answer: %+v", a)
	default:
	}
}

func awaitOpen(t *testing.T, w *web, want int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for w.host.Stats().HTTPOpen != want {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d calls are open, expected %d", w.host.Stats().HTTPOpen, want)
		}
	}
}

func TestClose(t *testing.T) {
	began := make(chan struct{}, 8)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { began <- struct{}{}; <-r.Context().Done() })
	w := newWeb(t, HTTPGrant{Hosts: []string{s.URL}}, nil)
	for range 3 {
		w.send("GET", s.URL, nil, "", time.Minute)
	}
	for range 3 {
		<-began
	}
	w.calls.Close()
	w.calls.Close()
	awaitOpen(t, w, 0)
	select {
	case a := <-w.answers:
		t.Errorf("an answer after Close: %+v", a)
	default:
	}
	var none *Calls
	none.Close()
	if none.Given(1) {
		t.Error("no calls, but a token")
	}
}

type panics struct{}

func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("transport") }

func TestTransportPanics(t *testing.T) {
	w := newWeb(t, HTTPGrant{Hosts: []string{"http://a"}}, panics{})
	if status, _, _, _ := w.get("http://a"); status != abi.StatusFailed {
		t.Errorf("status %d", status)
	}
}

func TestNewRefusesHTTP(t *testing.T) {
	if _, err := New(Config{Plugin: "p", Grants: Grants{HTTP: &HTTPGrant{}}}); !errors.Is(err, ErrConfig) {
		t.Errorf("no transport: %v", err)
	}
	if _, err := New(Config{Plugin: "p", Grants: Grants{HTTP: &HTTPGrant{Hosts: []string{"a b"}}}, HTTP: panics{}}); !errors.Is(err, ErrHost) {
		t.Errorf("a bad host: %v", err)
	}
}
