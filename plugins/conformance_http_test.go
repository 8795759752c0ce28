package plugins_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/abi/vectors"
)

// conformanceWeb is where the requests of a vector go: each waits until a step has
// an answer to its URL.
type conformanceWeb struct {
	mu      sync.Mutex
	answers map[string]chan vectors.Answer
	begun   chan vectors.Request
	woken   chan struct{}
}

func newConformanceWeb() *conformanceWeb {
	return &conformanceWeb{answers: map[string]chan vectors.Answer{}, begun: make(chan vectors.Request, 64), woken: make(chan struct{}, 1)}
}

func (w *conformanceWeb) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

func (w *conformanceWeb) to(url string) chan vectors.Answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answers[url] == nil {
		w.answers[url] = make(chan vectors.Answer)
	}
	return w.answers[url]
}

func (w *conformanceWeb) RoundTrip(r *http.Request) (*http.Response, error) {
	body := []byte{}
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	begun := vectors.Request{Method: r.Method, URL: r.URL.String(), Body: body}
	for name, values := range r.Header {
		for _, value := range values {
			if name != "User-Agent" {
				begun.Header = append(begun.Header, vectors.Attribute{Name: name, Value: []byte(value)})
			}
		}
	}
	slices.SortFunc(begun.Header, func(a, b vectors.Attribute) int { return strings.Compare(a.Name, b.Name) })
	w.begun <- begun
	select {
	case a := <-w.to(r.URL.String()):
		if a.Error != "" {
			return nil, errors.New(a.Error)
		}
		header := http.Header{}
		for _, f := range a.Header {
			header.Add(f.Name, string(f.Value))
		}
		return &http.Response{StatusCode: a.Status, Header: header, Body: io.NopCloser(bytes.NewReader(a.Body)), ContentLength: int64(len(a.Body)), Request: r}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// answer lets the requests of a step have their answers.
func (w *conformanceWeb) answer(t *testing.T, list []vectors.Answer) {
	t.Helper()
	late := time.After(20 * time.Second)
	for _, a := range list {
		if a.Error == "timeout" {
			continue
		}
		select {
		case w.to(a.URL) <- a:
		case <-late:
			t.Fatalf("nobody waits for an answer of %s", a.URL)
		}
	}
}

// compareRequests compares what was asked in a step.
func (w *conformanceWeb) compareRequests(t *testing.T, want []vectors.Request) {
	t.Helper()
	late := time.After(20 * time.Second)
	for i := range want {
		select {
		case got := <-w.begun:
			if want[i].Body == nil {
				want[i].Body = vectors.Bytes{}
			}
			if whole(got) != whole(want[i]) {
				t.Errorf("request %d:\n     got %s\nexpected %s", i, short(got), short(want[i]))
			}
		case <-late:
			t.Fatalf("request %d was not begun", i)
		}
	}
	select {
	case more := <-w.begun:
		t.Errorf("one more request: %s", short(more))
	default:
	}
}
