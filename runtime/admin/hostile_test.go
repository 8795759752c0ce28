package admin_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// dial connects to the API, for a minute at most, or until the test ends.
func (r *rig) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// raw sends bytes as they are, and returns what comes until the server closes.
func (r *rig) raw(t *testing.T, request string) (answer string, closed bool) {
	t.Helper()
	conn := r.dial(t)
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	return string(b), !errors.Is(err, os.ErrDeadlineExceeded)
}

// Who sends part of a request, and then nothing, is left after the time that it may take:
// whatever the request is, and whether or not it would be let in.
func TestUnfinishedRequestsEnd(t *testing.T) {
	r := guarded(t, func(o *admin.Options) { o.HeaderTimeout, o.BodyTimeout = 100*time.Millisecond, 100*time.Millisecond })
	post := func(path, header string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + header + "\r\n"
	}
	token := "Authorization: Bearer " + tokens["operate"] + "\r\n"
	for name, request := range map[string]string{
		"nothing": "", "a line": "GET /healthz HT", "a header": "GET /healthz HTTP/1.1\r\nHost: local", "many headers": "GET /healthz HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 100),
		"the preface of HTTP/2":     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a body of a call":          post(publish, token+"Content-Length: 100\r\n") + "{",
		"a body in chunks":          post(publish, token+"Transfer-Encoding: chunked\r\n") + "1\r\n{\r\n",
		"a body of nobody":          post(publish, "Content-Length: 100\r\n") + "{",
		"chunks of nobody":          post(publish, "Transfer-Encoding: chunked\r\n") + "1\r\n{\r\n",
		"a body that nobody reads":  post("/healthz", "Content-Length: 100\r\n"),
		"a body to nowhere":         post("/nothing", token+"Content-Length: 100\r\n"),
		"a body to the console":     post("/console/", "Content-Length: 100\r\n"),
		"a body of another origin":  post(publish, token+"Origin: http://evil.example\r\nContent-Length: 100\r\n"),
		"a body by another name":    strings.Replace(post(publish, token+"Content-Length: 100\r\n"), "localhost", "evil.example", 1),
		"a body of OPTIONS":         strings.Replace(post(publish, "Content-Length: 100\r\n"), "POST", "OPTIONS", 1),
		"a body of a plain message": post("/v1/publish/a", token+"Content-Length: 100\r\n"),
		"a body that is waited for": post("/v1/publish/a", "Expect: 100-continue\r\nContent-Length: 100\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if answer, closed := r.raw(t, request); !closed || strings.HasPrefix(answer, "HTTP/1.1 200") && !strings.Contains(request, "/healthz") {
				t.Errorf("the connection is still open: %.200s", answer)
			}
		})
	}
}

// Who fills all places with requests that are not finished keeps nobody out for longer
// than one may take.
func TestUnfinishedRequestsAreBounded(t *testing.T) {
	r := start(t, func(o *admin.Options) { o.HeaderTimeout, o.MaxConnections = 200*time.Millisecond, 4 })
	for range 12 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nX: "); err != nil {
			t.Fatal(err)
		}
	}
	if answer, closed := r.raw(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !closed || !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("an honest client gets %q", answer)
	}
}

// Who subscribes and reads nothing is gone when it has not read for so long.
func TestReadersThatStandStillEnd(t *testing.T) {
	for name, subscribe := range map[string]func(t *testing.T, r *rig){
		"HTTP/1.1": func(t *testing.T, r *rig) {
			conn := r.dial(t)
			_ = conn.SetReadBuffer(4096)
			if _, err := io.WriteString(conn, "GET /v1/subscribe?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		},
		"HTTP/2": func(t *testing.T, r *rig) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/v1/subscribe?topic=a", nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := client(t, true).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = answer.Body.Close() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(o *admin.Options) { o.AnswerTimeout = 200 * time.Millisecond })
			subscribe(t, r)
			there := func() bool {
				r.bus.mu.Lock()
				defer r.bus.mu.Unlock()
				return len(r.bus.subs) > 0
			}
			for deadline := time.Now().Add(30 * time.Second); !there(); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("it is not subscribed")
				}
			}
			payload := strings.Repeat("x", 1<<20)
			for deadline := time.Now().Add(60 * time.Second); there(); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("it is still subscribed")
				}
				call(t, "POST", r.url+"/v1/publish/a", payload, nil)
			}
		})
	}
}

// However a path is written, it leads to nothing that asks for a credential.
func TestPathsLeadNowhereElse(t *testing.T) {
	r := guarded(t, nil)
	var up []string
	for _, dots := range []string{"..", "%2e%2e", ".%2E", "..;", "%252e%252e", "..%00", "%c0%ae%c0%ae"} {
		for _, slash := range []string{"/", "%2f", "%5c", "\\", "//"} {
			up = append(up, dots+slash)
		}
	}
	requests := 0
	for _, from := range []string{"/console/", "/console/assets/", "/healthz/", "//", "http://localhost/console/"} {
		for _, step := range up {
			for _, to := range []string{"metrics", "etc/passwd"} {
				for _, times := range []int{1, 3} {
					path := from + strings.Repeat(step, times) + to
					answer, _ := r.raw(t, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
					requests++
					head, body, _ := strings.Cut(answer, "\r\n\r\n")
					if strings.HasPrefix(head, "HTTP/1.1 200") && !strings.HasPrefix(strings.ToLower(body), "<!doctype html>") || strings.Contains(body, "weft_") || strings.Contains(body, "root:") {
						t.Errorf("GET %s: %.300s", path, answer)
					}
				}
			}
			answer, _ := r.raw(t, "POST "+from+step+publish[1:]+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 13\r\nConnection: close\r\n\r\n"+`{"topic":"a"}`)
			if strings.HasPrefix(answer, "HTTP/1.1 200") || r.bus.last().Topic != nil {
				t.Errorf("POST by %s%s: %.300s", from, step, answer)
			}
		}
	}
	if requests < 500 {
		t.Errorf("only %d", requests)
	}
}

// No call of any protocol takes more than its bound, packed or not.
func TestCallsTakeNoMoreThanTheirBound(t *testing.T) {
	r := start(t, func(o *admin.Options) { o.Plugins = &fakePlugins{} })
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(make([]byte, 17<<20))
	_ = z.Close()
	framed := append([]byte{1, 0, 0, 0, 0}, packed.Bytes()...)
	binary.BigEndian.PutUint32(framed[1:], uint32(packed.Len()))
	endless := append([]byte{0, 0xff, 0xff, 0xff, 0xff}, "{}"...)
	checked := map[string]bool{}
	most := []string{publish, weftv1connect.MessagesSubscribeProcedure, weftv1connect.PluginsSwapProcedure, weftv1connect.ProfilesTakeProcedure}
	for _, path := range procedures(t) {
		for _, one := range []struct {
			name, kind, encoding string
			body                 []byte
			http2                bool
		}{
			{"Connect", "application/json", "Content-Encoding", packed.Bytes(), false},
			{"Connect by protobuf", "application/proto", "Content-Encoding", packed.Bytes(), false},
			{"a stream of Connect", "application/connect+json", "Connect-Content-Encoding", framed, false},
			{"a stream of Connect without an end", "application/connect+json", "", endless, false},
			{"gRPC", "application/grpc", "Grpc-Encoding", framed, true},
			{"gRPC without an end", "application/grpc", "", endless, true},
			{"gRPC-Web", "application/grpc-web+proto", "Grpc-Encoding", framed, false},
		} {
			if one.encoding != "" && !slices.Contains(most, path) {
				continue // unpacking takes time, and is the same for all
			}
			q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+path, bytes.NewReader(one.body))
			if err != nil {
				t.Fatal(err)
			}
			q.Header.Set("Content-Type", one.kind)
			if one.encoding != "" {
				q.Header.Set(one.encoding, "gzip")
			}
			answer, err := client(t, one.http2).Do(q)
			if err != nil {
				t.Fatalf("%s by %s: %v", path, one.name, err)
			}
			text, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if at := bytes.Index(text, []byte{0x1f, 0x8b}); at >= 0 { // it answers packed where it was asked so
				if z, err := gzip.NewReader(bytes.NewReader(text[at:])); err == nil {
					text, _ = io.ReadAll(z)
				}
			}
			if answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusUnsupportedMediaType {
				continue // it is not served here, or a unary call asked as a stream, or the other way round
			}
			said := answer.Status + " " + string(text) + answer.Trailer.Get("Grpc-Status") + answer.Header.Get("Grpc-Status")
			// 8 is resource_exhausted of gRPC
			if !strings.Contains(said, "resource_exhausted") && answer.Trailer.Get("Grpc-Status") != "8" && answer.Header.Get("Grpc-Status") != "8" && !strings.Contains(strings.ToLower(said), "grpc-status: 8") {
				t.Errorf("%s by %s: %.300s", path, one.name, said)
			}
			checked[path] = true
		}
	}
	for _, path := range most {
		if !checked[path] {
			t.Errorf("%s was not checked", path)
		}
	}
	large := strings.Repeat("x", 17<<20)
	for _, path := range []string{"/v1/publish/a", "/v1/request/a"} {
		for name, body := range map[string]io.Reader{"a length": strings.NewReader(large), "chunks": struct{ io.Reader }{strings.NewReader(large)}} {
			q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+path, body)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := client(t, false).Do(q)
			if err != nil {
				continue // it was cut off while it was sent
			}
			text, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode < 400 || !bytes.Contains(text, []byte("the payload has more than")) {
				t.Errorf("%s with %s: %s %s", path, name, answer.Status, text)
			}
		}
	}
	if m := r.bus.last(); m.Topic != nil {
		t.Errorf("something of %d bytes was published", len(m.Payload))
	}
	if answer, _ := r.raw(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 80<<10)+"\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 431") {
		t.Errorf("headers of 80 KiB: %.100s", answer)
	}
}

// A page of a foreign origin calls nothing, in whatever way browsers let it try, and
// neither does one whose name was made to point here.
func TestForeignPagesCallNothing(t *testing.T) {
	r := guarded(t, nil)
	token := "Authorization: Bearer " + tokens["operate"] + "\r\n"
	for _, path := range append(procedures(t), "/v1/publish/a", "/v1/request/a") {
		for name, header := range map[string]string{
			"a form":            "Origin: http://evil.example\r\nContent-Type: application/x-www-form-urlencoded",
			"plain text":        "Origin: http://evil.example\r\nContent-Type: text/plain",
			"JSON":              "Origin: http://evil.example\r\nContent-Type: application/json",
			"an opaque origin":  "Origin: null\r\nContent-Type: text/plain",
			"a simple request":  "Sec-Fetch-Site: cross-site\r\nContent-Type: text/plain",
			"another port":      "Origin: http://localhost:1\r\nContent-Type: application/json",
			"gRPC-Web":          "Origin: http://evil.example\r\nContent-Type: application/grpc-web+proto",
			"a WebSocket":       "Origin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
			"its own name here": "Host",
		} {
			host := "localhost"
			if header == "Host" {
				host, header = "evil.example", "Origin: http://evil.example\r\nContent-Type: application/json"
			}
			answer, _ := r.raw(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", path, host, token, header))
			want := "HTTP/1.1 403"
			if host != "localhost" {
				want = "HTTP/1.1 421"
			}
			if !strings.HasPrefix(answer, want) || strings.Contains(answer, "Access-Control-Allow") {
				t.Errorf("%s by %s: %.200s", path, name, answer)
			}
		}
		answer, _ := r.raw(t, "OPTIONS "+path+" HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\nConnection: close\r\n\r\n")
		if strings.HasPrefix(answer, "HTTP/1.1 2") || strings.Contains(answer, "Access-Control-Allow") {
			t.Errorf("a preflight of %s: %.200s", path, answer)
		}
	}
	if m := r.bus.last(); m.Topic != nil {
		t.Errorf("%q was published", m.Topic)
	}
}
