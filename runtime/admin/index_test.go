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

// A browser is sent to the console, which needs no credential; what it shows does.
func TestTheConsoleIsOpenAndItsDataIsNot(t *testing.T) {
	r := guarded(t, nil)
	browser := map[string]string{"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
	for _, at := range []struct {
		method, path string
		header       map[string]string
		status       int
		text         string
	}{
		{"GET", "/", browser, 200, "<!doctype html>"}, // by way of a redirect
		{"GET", "/console", browser, 200, "<!doctype html>"},
		{"GET", "/console/", nil, 200, "<!doctype html>"},
		{"GET", "/console/plugins/auth", browser, 200, "<!doctype html>"},
		{"GET", "/console/../metrics", browser, 401, "credential"},
		{"GET", "/console/%2e%2e/metrics", browser, 404, "no such file"},
		{"GET", "/console/assets/%2e%2e%2f%2e%2e%2fmetrics", browser, 404, "no such file"},
		{"GET", "/", nil, 401, "credential"},
		{"POST", "/", browser, 401, "credential"},
		{"GET", "/consolex", browser, 401, "credential"},
		{"GET", "/metrics", browser, 401, "credential"},
		{"POST", "/console/", browser, 405, "GET, HEAD"},
		{"POST", "/weft.v1.Overview/Get", map[string]string{"Content-Type": "application/json"}, 401, "credential"},
		{"POST", "/weft.v1.Plugins/List", map[string]string{"Content-Type": "application/json"}, 401, "credential"},
	} {
		if status, text := call(t, at.method, r.url+at.path, "", at.header); status != at.status || !strings.Contains(text, at.text) {
			t.Errorf("%s %s: %d %.200s", at.method, at.path, status, text)
		}
	}
	if status, _ := call(t, "GET", r.url+"/console/", "", map[string]string{"Host": "evil.example"}); status != http.StatusMisdirectedRequest {
		t.Errorf("by a name that is not ours: %d", status)
	}
}
