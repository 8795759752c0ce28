package browser

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a page may take, the browser's start included.
const patience = 2 * time.Minute

// need finds a program or a file; without it the test is skipped, or fails where
// WEFT_REQUIRE_TOOLCHAINS is set, as in CI.
func need(t *testing.T, found bool, what string) {
	t.Helper()
	switch {
	case found:
	case os.Getenv("WEFT_REQUIRE_TOOLCHAINS") != "":
		t.Fatalf("%s is not here: .ci/setup installs it", what)
	default:
		t.Skipf("%s is not here", what)
	}
}

// site serves the pages and takes what they report.
type site struct {
	*httptest.Server
	t       *testing.T
	chrome  string
	results chan result
}

// result is what a page reports.
type result struct {
	OK  bool     `json:"ok"`
	Log []string `json:"log"`
}

func newSite(t *testing.T) *site {
	t.Helper()
	chrome, err := exec.LookPath("chromium")
	need(t, err == nil, "chromium")
	s := &site{t: t, chrome: chrome, results: make(chan result, 1)}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir("pages")))
	mux.HandleFunc("GET /mqtt.min.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "node_modules/mqtt/dist/mqtt.min.js")
	})
	mux.HandleFunc("POST /result", func(w http.ResponseWriter, r *http.Request) {
		var got result
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&got); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case s.results <- got:
		default:
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// open opens a page in a browser of its own and waits for what it reports. host is
// the name by which the page knows the site.
func (s *site) open(host, page string, parameters map[string]string) {
	s.t.Helper()
	values := url.Values{}
	for name, value := range parameters {
		values.Set(name, value)
	}
	at, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	at.Host, at.Path, at.RawQuery = net.JoinHostPort(host, at.Port()), "/"+page, values.Encode()
	var said strings.Builder
	cmd := exec.Command(s.chrome, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
		"--disable-background-networking", "--disable-component-update", "--no-first-run", "--user-data-dir="+s.t.TempDir(), at.String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr, cmd.WaitDelay = &said, patience // its helpers write there and into its folder until they have ended
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its helpers, too
		<-ended
	}()
	select {
	case got := <-s.results:
		if !got.OK {
			s.t.Errorf("%s failed:\n%s", page, strings.Join(got.Log, "\n"))
		}
		s.t.Logf("%s\n%s", page, strings.Join(got.Log, "\n"))
	case err := <-ended:
		ended <- err
		s.t.Fatalf("the browser ended: %v\n%s", err, said.String())
	case <-time.After(patience):
		s.t.Fatalf("%s did not report within %v", page, patience)
	}
}

// origin is how the browser names the site.
func (s *site) origin() string { return s.URL }

// folder is where binary puts the weft command; empty if nobody has asked for it.
var folder string

// binary builds the weft command once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weft-browser-")
	if err != nil {
		return "", err
	}
	folder = dir
	file := filepath.Join(dir, "weft")
	build := exec.Command("go", "build", "-o", file, "./tools/weft")
	build.Dir, build.Env = "../../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building weft: %w\n%s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// weft runs the command with a configuration and answers where its listeners are.
func weft(t *testing.T, config string) (addresses map[string]string) {
	t.Helper()
	return weftWith(t, filepath.Join(t.TempDir(), "weft.yaml"), config)
}

// weftWith does so with a file of that path, and with more in its environment.
func weftWith(t *testing.T, path, config string, more ...string) (addresses map[string]string) {
	t.Helper()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file, "run", "-c", path)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEFT_") }), "NO_COLOR=1") // they would be its configuration
	cmd.Env = append(cmd.Env, more...)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	addresses = map[string]string{}
	banner := ""
	for chunk := make([]byte, 4096); !strings.Contains(banner, "Ctrl-C"); {
		n, err := out.Read(chunk)
		if banner += string(chunk[:n]); err != nil {
			_ = cmd.Wait()
			t.Fatalf("weft did not start: %v\n%s%s", err, banner, log.String())
		}
	}
	late.Stop()
	for line := range strings.Lines(banner) {
		if f := strings.Fields(line); len(f) == 3 && strings.Contains(f[1], ":") {
			addresses[f[0]] = f[1]
		}
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("weft ended with %v:\n%s", err, log.String())
		}
	})
	return addresses
}

// A page speaks lines and frames; a page of another origin is not let in.
func TestFrames(t *testing.T) {
	s := newSite(t)
	at := weft(t, fmt.Sprintf(`
listeners:
  - name: line
    address: "127.0.0.1:0"
    frame: line
    websocket: {path: /line, origins: ["%[1]s"]}
  - name: seq
    address: "127.0.0.1:0"
    frame: mcp-seq
    topic: page
    subscribe: [page]
    websocket: {path: /seq, origins: ["%[1]s"]}
api: {address: ""}
`, s.origin()))
	parameters := map[string]string{"line": "ws://" + at["line"] + "/line", "seq": "ws://" + at["seq"] + "/seq"}
	s.open("127.0.0.1", "frames.html", parameters)
	s.open("localhost", "stranger.html", parameters)
}

const secret = "0123456789abcdef0123456789abcdef"

// token is a JSON Web Token signed with HS256.
func token(claims string) string {
	part := base64.RawURLEncoding.EncodeToString
	signed := part([]byte(`{"alg":"HS256"}`)) + "." + part([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + part(mac.Sum(nil))
}

// mqtt.js in a page: a password that a plugin checks, every quality of service,
// retained messages, a session that outlives its connection; MQTT 3.1.1 and 5.0.
func TestMQTT(t *testing.T) {
	_, err := os.Stat("node_modules/mqtt/dist/mqtt.min.js")
	need(t, err == nil, "mqtt.js")
	s := newSite(t)
	at := weft(t, fmt.Sprintf(`
listeners:
  - name: mqtt
    address: "127.0.0.1:0"
    frame: mqtt
    websocket: {path: /mqtt, origins: ["%s"]}
    chain: [auth]
plugins:
  auth: {file: "std:jwt-auth", grants: {clock: {}}, config: {key: %s}}
api: {address: ""}
`, s.origin(), secret))
	s.open("127.0.0.1", "mqtt.html", map[string]string{"mqtt": "ws://" + at["mqtt"] + "/mqtt", "token": token(`{"sub":"browser"}`)})
}
