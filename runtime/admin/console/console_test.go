package console

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

const page = "<!doctype html>\n<title>weft</title>"

// site is a built page with a script that gzip makes shorter.
func site(t *testing.T) http.Handler {
	t.Helper()
	h, err := newHandler(fstest.MapFS{
		"index.html":           {Data: []byte(page)},
		"assets/main-1234.js":  {Data: []byte(strings.Repeat("weft();\n", 100))},
		"assets/icon-5678.svg": {Data: []byte("<svg/>")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends a request as it is: no client cleans its path.
func ask(t *testing.T, h http.Handler, method, at string, header map[string]string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "/", nil)
	r.URL.Path = at
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// browser is what a browser says when somebody enters an address.
var browser = map[string]string{"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}

func TestWhatIsAnswered(t *testing.T) {
	h := site(t)
	script := strings.Repeat("weft();\n", 100)
	for name, c := range map[string]struct {
		method, path string
		header       map[string]string
		status       int
		body         string
	}{
		"the page":                         {"GET", "/console/", browser, 200, page},
		"the page by its name":             {"GET", "/console/index.html", nil, 200, page},
		"a view":                           {"GET", "/console/plugins/auth", browser, 200, page},
		"a view, of an old browser":        {"GET", "/console/messages", map[string]string{"Accept": "text/html"}, 200, page},
		"a view that curl asks for":        {"GET", "/console/plugins/auth", map[string]string{"Accept": "*/*"}, 404, ""},
		"a view that a script asks for":    {"GET", "/console/plugins", map[string]string{"Accept": "text/html", "Sec-Fetch-Mode": "cors"}, 404, ""},
		"the head of a view":               {"HEAD", "/console/plugins", browser, 404, ""},
		"a script":                         {"GET", "/console/assets/main-1234.js", nil, 200, script},
		"a script that is not there":       {"GET", "/console/assets/main-0000.js", browser, 404, ""},
		"the head of a script":             {"HEAD", "/console/assets/main-1234.js", nil, 200, ""},
		"a folder":                         {"GET", "/console/assets/", browser, 404, ""},
		"above":                            {"GET", "/console/../index.html", browser, 404, ""},
		"above, from a folder":             {"GET", "/console/assets/../../console.go", browser, 404, ""},
		"a file of the machine":            {"GET", "/console//etc/passwd", nil, 404, ""},
		"above, with another kind of line": {"GET", `/console/..\index.html`, browser, 404, ""},
		"a zero":                           {"GET", "/console/index.html\x00", browser, 404, ""},
		"elsewhere":                        {"GET", "/weft.v1.Plugins/List", browser, 404, ""},
		"POST":                             {"POST", "/console/", browser, 405, ""},
		"DELETE":                           {"DELETE", "/console/index.html", nil, 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := ask(t, h, c.method, c.path, c.header)
			got := text(t, r)
			if r.StatusCode != c.status || c.status == 200 && got != c.body {
				t.Errorf("%s %q: %d %.80q, want %d %.80q", c.method, c.path, r.StatusCode, got, c.status, c.body)
			}
			if c.status == 405 && r.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow: %q", r.Header.Get("Allow"))
			}
			if c.status == 404 && r.Header.Get("Cache-Control") != "no-store" {
				t.Error("a browser may remember that it is not there")
			}
			checkHeaders(t, r.Header)
		})
	}
}

// checkHeaders: nothing is served without the strict headers, errors neither.
func checkHeaders(t *testing.T, h http.Header) {
	t.Helper()
	policy := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	for _, never := range []string{"unsafe", "http:", "https:", "*"} {
		if strings.Contains(policy, never) {
			t.Errorf("the policy has %s: %s", never, policy)
		}
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestCaches(t *testing.T) {
	h := site(t)
	script := ask(t, h, "GET", "/console/assets/main-1234.js", nil)
	if got := script.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") || !strings.Contains(got, "max-age=31536000") {
		t.Errorf("a file that has its hash in its name: %q", got)
	}
	index := ask(t, h, "GET", "/console/", browser)
	if got := index.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("the page: %q", got)
	}
	tag := index.Header.Get("ETag")
	for header, status := range map[string]int{tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304, `"other"`: 200} {
		again := ask(t, h, "GET", "/console/", map[string]string{"Accept": "text/html", "If-None-Match": header})
		if again.StatusCode != status || status == 304 && text(t, again) != "" {
			t.Errorf("If-None-Match: %s: %d", header, again.StatusCode)
		}
	}
	if r := ask(t, h, "GET", "/console/plugins", browser); r.Header.Get("ETag") != tag || r.Header.Get("Cache-Control") != "no-cache" {
		t.Error("a view is not cached as the page that it is")
	}
}

func TestGzip(t *testing.T) {
	h := site(t)
	plain := ask(t, h, "GET", "/console/assets/main-1234.js", nil)
	for header, packed := range map[string]bool{"gzip": true, "br, gzip;q=0.8": true, "GZIP ; q=1": true, "gzip;q=0": false, "br": false, "gzip;q=x": false} {
		r := ask(t, h, "GET", "/console/assets/main-1234.js", map[string]string{"Accept-Encoding": header})
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != packed || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding: %s: packed %t, Vary %q", header, got, r.Header.Get("Vary"))
		}
		if !packed {
			continue
		}
		if r.Header.Get("ETag") == plain.Header.Get("ETag") {
			t.Error("both forms have one ETag")
		}
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(unpacked); err != nil || string(got) != text(t, plain) {
			t.Fatalf("unpacked: %.40q, %v", got, err)
		}
		plain = ask(t, h, "GET", "/console/assets/main-1234.js", nil)
	}
	if r := ask(t, h, "GET", "/console/assets/icon-5678.svg", map[string]string{"Accept-Encoding": "gzip"}); r.Header.Get("Content-Encoding") != "" || r.Header.Get("Content-Type") != "image/svg+xml" {
		t.Error("what gzip makes longer is packed, or has a wrong type")
	}
}

func TestAPageThatWasNotBuiltIsSaid(t *testing.T) {
	if _, err := newHandler(fstest.MapFS{"assets/a.js": {}}); err == nil || !strings.Contains(err.Error(), "console/build") {
		t.Errorf("%v", err)
	}
}

// What is built is whole: every file that the page names is there, nothing of it is of
// another host or inline, and it stays small.
func TestTheBuiltPage(t *testing.T) {
	h, err := New()
	if err != nil {
		t.Fatal(err)
	}
	index := text(t, ask(t, h, "GET", "/console/", browser))
	files := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(index, -1)
	if len(files) < 3 {
		t.Errorf("the page names %d files:\n%s", len(files), index)
	}
	size := len(index)
	for _, f := range files {
		r := ask(t, h, "GET", f[1], map[string]string{"Accept-Encoding": "gzip"})
		if r.StatusCode != 200 || !strings.HasPrefix(f[1], Prefix+hashed) || !strings.Contains(path.Base(f[1]), "-") {
			t.Errorf("%s: %d", f[1], r.StatusCode)
		}
		size += len(text(t, r))
	}
	if regexp.MustCompile(`<script[^>]*>[^<]|<style|\son\w+=|\sstyle=`).MatchString(index) {
		t.Errorf("something is inline, which the policy refuses:\n%s", index)
	}
	if limit := 120 << 10; size > limit {
		t.Errorf("%d bytes, compressed; %d is the most", size, limit)
	}
	t.Logf("%d bytes, compressed", size)
}
