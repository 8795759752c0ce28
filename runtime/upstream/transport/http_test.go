package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/ports"
	"github.com/weftrun/weft/runtime/upstream"
	"github.com/weftrun/weft/runtime/upstream/transport"
)

func httpTransport(t *testing.T, change func(*transport.HTTPOptions)) *transport.HTTP {
	t.Helper()
	o := transport.HTTPOptions{
		Method: "POST", Path: "/in", ContentType: "application/octet-stream",
		Taken: func(code int) bool { return code/100 == 2 }, Later: func(code int) bool { return code == 429 || code == 503 },
		Connections: 4, Idle: time.Minute, ConnectTimeout: time.Second, Answer: 1 << 10,
	}
	if change != nil {
		change(&o)
	}
	h := transport.NewHTTP(o)
	t.Cleanup(h.Close)
	return h
}

func address(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

// A message is a request: its payload, its id, its topic, its trace and the chosen
// attributes; the response is the answer.
func TestHTTPRequest(t *testing.T) {
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Weft-Attr-Truck", "7")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("answer"))
	}))
	defer s.Close()
	h := httpTransport(t, func(o *transport.HTTPOptions) {
		o.Attributes, o.Headers = []string{"truck", "absent", "bad"}, map[string]string{"Authorization": "Bearer x"}
	})
	m := request("payload")
	m.ID, m.Topic, m.Path, m.Query = []byte("id-1"), []byte("a/b"), []byte("/in/a b"), []byte("x=1")
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	m.Attrs = abi.Attributes(nil).AppendString("truck", "17").AppendString("bad", "a\r\nX: y").AppendString("traceparent", trace).AppendString("secret", "s").AppendString("content_type", "application/json")
	answer, err := h.Send(within(t, 5*time.Second), member(t, address(s)), m)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Message-Id": "id-1", "Message-Topic": "a/b", "Weft-Attr-Truck": "17", "Weft-Attr-Bad": "", "Weft-Attr-Secret": "", "X": "",
		"Traceparent": trace, "Authorization": "Bearer x", "Content-Type": "application/json", "User-Agent": "weft",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s: %q, want %q", name, value, want)
		}
	}
	if got.URL.Path != "/in/a b" || got.URL.RawQuery != "x=1" || string(body) != "payload" || got.Method != "POST" {
		t.Errorf("%s %s?%s %q", got.Method, got.URL.Path, got.URL.RawQuery, body)
	}
	status, _ := answer.Attrs.Get(transport.AttrStatus)
	truck, _ := answer.Attrs.Get("truck")
	if string(answer.Payload) != "answer" || string(status) != "201" || string(truck) != "7" {
		t.Errorf("answer %q, status %q, truck %q", answer.Payload, status, truck)
	}
}

// again tells whether a pool tries again after the error.
func again(t *testing.T, err error) bool {
	t.Helper()
	pool, wrong := upstream.New(upstream.Options{
		Name: "p", Members: []upstream.Endpoint{{Address: "a:1"}, {Address: "b:1"}}, Retry: upstream.Retry{Tries: 2, Pause: time.Millisecond},
		Logger: slog.New(slog.DiscardHandler),
	})
	if wrong != nil {
		t.Fatal(wrong)
	}
	tries := 0
	_ = pool.Do(t.Context(), nil, func(context.Context, *upstream.Member) error { tries++; return err })
	return tries > 1
}

// timeOver is a context whose time is over when somebody closes done.
type timeOver struct {
	context.Context
	done chan struct{}
}

func (c timeOver) Done() <-chan struct{} { return c.done }

func (c timeOver) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// What a status code, or its absence, means for the member and for the message.
func TestHTTPOutcomes(t *testing.T) {
	hang, hanging := make(chan struct{}), make(chan chan struct{}, 2)
	mux := http.NewServeMux()
	for path, code := range map[string]int{"/ok": 204, "/moved": 302, "/bad": 400, "/busy": 429, "/away": 503, "/broken": 500} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/ok")
			w.WriteHeader(code)
		})
	}
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case over := <-hanging:
			close(over)
		default: // it was sent again
		}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<10)) })
	s := httptest.NewServer(mux)
	defer s.Close()
	defer close(hang)
	for _, c := range []struct {
		path           string
		want           upstream.Outcome
		safe, whenMany bool // tried again by default, and where messages may come twice
	}{
		{"/ok", upstream.OK, false, false},
		{"/moved", upstream.Declined, false, false},
		{"/bad", upstream.Declined, false, false},
		{"/busy", upstream.Busy, true, true},
		{"/away", upstream.Busy, true, true},
		{"/broken", upstream.Failed, false, true},
		{"/hang", upstream.TimedOut, false, true},
		{"/cut", upstream.Broken, false, true},
		{"/long", upstream.Garbled, false, true},
	} {
		for _, many := range []bool{false, true} {
			h := httpTransport(t, func(o *transport.HTTPOptions) { o.Again = many })
			m := request("x")
			m.Path = []byte(c.path)
			ctx := within(t, 5*time.Second)
			if c.path == "/hang" {
				over := timeOver{t.Context(), make(chan struct{})}
				hanging <- over.done // who hangs ends the time
				ctx = over
			}
			_, err := h.Send(ctx, member(t, address(s)), m)
			if got := upstream.Classify(err); got != c.want {
				t.Errorf("%s: %v (%v), want %v", c.path, got, err, c.want)
			}
			if want := map[bool]bool{false: c.safe, true: c.whenMany}[many]; again(t, err) != want {
				t.Errorf("%s: tried again: %v, want %v (messages may come twice: %v): %v", c.path, !want, want, many, err)
			}
			if c.want == upstream.Declined && !errors.Is(err, transport.ErrRefused) {
				t.Errorf("%s: %v", c.path, err)
			}
		}
	}
}

// Nobody there: the message has certainly not arrived, and may be tried again.
func TestHTTPRefused(t *testing.T) {
	port, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	_, err = httpTransport(t, nil).Send(within(t, time.Second), member(t, fmt.Sprintf("127.0.0.1:%d", port)), request("x"))
	if upstream.Classify(err) != upstream.Refused || !again(t, err) {
		t.Errorf("got %v", err)
	}
}

// What answers is not HTTP.
func TestHTTPGarbage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte("\x00\x01\x02garbage\r\n\r\n"))
			_ = c.Close()
		}
	}()
	h := httpTransport(t, nil)
	_, err = h.Send(within(t, time.Second), member(t, l.Addr().String()), request("x"))
	if upstream.Classify(err) != upstream.Garbled || again(t, err) || h.Stats().Garbled != 1 {
		t.Errorf("got %v, %v", upstream.Classify(err), err)
	}
}

// No more connections than may be, and they are used again.
func TestHTTPConnections(t *testing.T) {
	var under, most atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n := under.Add(1); n > most.Load() {
			most.Store(n)
		}
		under.Add(-1)
	}))
	defer s.Close()
	h := httpTransport(t, nil)
	m := member(t, address(s))
	done := make(chan error, 100)
	for range cap(done) {
		go func() {
			_, err := h.Send(within(t, 5*time.Second), m, request("x"))
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if st := h.Stats(); st.Opened > 4 || most.Load() > 4 {
		t.Errorf("%d connections, %d at once: want at most 4", st.Opened, most.Load())
	}
}
