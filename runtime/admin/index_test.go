package admin_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheIndexSaysWhatIsWhere(t *testing.T) {
	r := start(t, nil)
	status, text := call(t, "GET", r.url+"/", "", nil)
	if status != http.StatusOK {
		t.Errorf("GET /: %d %s", status, text)
	}
	for _, want := range []string{"/metrics", "/healthz", "/readyz", "/v1/publish/", "/v1/request/", "/v1/subscribe", "weft.v1.Messages"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
	if strings.Contains(text, "weft.v1.Plugins") {
		t.Error("it names a service that is not served")
	}
	for _, at := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"GET", "/metric", 404, "GET / says"},
		{"GET", "/weft.v1.Nothing/Publish", 404, "GET / says"},
		{"POST", "/", 405, "GET"},
		{"POST", "/metrics", 405, "GET"},
		{"PUT", "/v1/publish/a/b", 405, "POST"},
	} {
		if status, text := call(t, at.method, r.url+at.path, "", nil); status != at.status || !strings.Contains(text, at.text) {
			t.Errorf("%s %s: %d %s", at.method, at.path, status, text)
		}
	}
}
