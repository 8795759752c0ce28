package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/life"
)

// call makes a request as given and returns the status and the body.
func call(t *testing.T, method, url, body string, header map[string]string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	answer, err := client(t, false).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if cors := answer.Header.Get("Access-Control-Allow-Origin"); cors != "" {
		t.Errorf("the answer allows the origin %s", cors)
	}
	return answer.StatusCode, string(text)
}

const publish = "/weft.v1.Messages/Publish"

// leftOut leaves a test out because of a client that is not here; it fails where
// .ci/run has set out to have them all.
func leftOut(t *testing.T, client string) {
	t.Helper()
	if os.Getenv("WEFT_REQUIRE_TOOLCHAINS") == "true" {
		t.Fatalf("missing: %s (.ci/setup installs it)", client)
	}
	t.Skipf("LEFT OUT: %s is not here", client)
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		leftOut(t, "curl")
	}
	r := start(t, nil)
	out, err := exec.CommandContext(t.Context(), curl, "--silent", "--show-error", "--fail-with-body", "--max-time", "10",
		"-H", "Content-Type: application/json", "-d", `{"topic":"a/b","text":"hello"}`, r.url+publish).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var answer struct{ Dropped string }
	if err := json.Unmarshal(out, &answer); err != nil || answer.Dropped != "no_subscribers" {
		t.Errorf("%s", out)
	}
	if m := r.bus.last(); string(m.Topic) != "a/b" || string(m.Payload) != "hello" {
		t.Errorf("%s %s", m.Topic, m.Payload)
	}
	out, err = exec.CommandContext(t.Context(), curl, "--silent", "--max-time", "10",
		"-H", "Content-Type: application/json", "-d", `{"topic":"a/b","json":{"temp":9}}`, r.url+publish).CombinedOutput()
	if err != nil || string(r.bus.last().Payload) != `{"temp":9}` {
		t.Errorf("%v: %s, %s", err, out, r.bus.last().Payload)
	}
	// What a person types wrong is answered with what is wrong.
	out, err = exec.CommandContext(t.Context(), curl, "--silent", "--max-time", "10",
		"-H", "Content-Type: application/json", "-d", `{"topik":"a/b"}`, r.url+publish).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "topik") || !strings.Contains(string(out), "invalid_argument") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestOnlyOurHosts(t *testing.T) {
	r := start(t, func(o *admin.Options) { o.Hosts = []string{"weft.example.org"} })
	_, port, err := net.SplitHostPort(r.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "localhost:" + port: 200, "LOCALHOST": 200, "[::1]:" + port: 200, "::1": 200, "10.1.2.3": 200, "Weft.Example.org:" + port: 200,
		"evil.example": 421, "evil.example:" + port: 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "example.org": 421,
	} {
		for _, path := range []string{"/metrics", "/healthz"} {
			if status, text := call(t, "GET", r.url+path, "", map[string]string{"Host": host}); status != want {
				t.Errorf("%s of %s: %d %s", path, host, status, text)
			} else if want == 421 && !strings.Contains(text, "api.hosts") {
				t.Errorf("no remedy: %s", text)
			}
		}
	}
}

func TestPagesOfOthersCannotPublish(t *testing.T) {
	r := start(t, nil)
	body := `{"topic":"a"}`
	for name, header := range map[string]map[string]string{
		"fetch metadata": {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"},
		"origin":         {"Content-Type": "application/json", "Origin": "http://evil.example"},
		"simple request": {"Content-Type": "text/plain"},
	} {
		if status, text := call(t, "POST", r.url+publish, body, header); status < 400 {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status, text := call(t, "OPTIONS", r.url+publish, "", map[string]string{"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}); status < 400 {
		t.Errorf("preflight: %d %s", status, text)
	}
	if len(r.bus.published) != 0 {
		t.Error("something was published")
	}
	if status, text := call(t, "POST", r.url+publish, body, map[string]string{"Content-Type": "application/json", "Origin": r.url}); status != 200 {
		t.Errorf("the same origin: %d %s", status, text)
	}
}

func TestBodyLimit(t *testing.T) {
	r := start(t, nil)
	for way, c := range clients(t, r.url) {
		_, err := c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "a", Body: &weftv1.PublishRequest_Payload{Payload: make([]byte, 17<<20)}}))
		if connect.CodeOf(err) != connect.CodeResourceExhausted {
			t.Errorf("%s: %v", way, err)
		}
	}
}

// subscribeAll subscribes to everything in each of the ways that clients have.
func subscribeAll(t *testing.T, r *rig) (map[string]weftv1connect.MessagesClient, map[string]*connect.ServerStreamForClient[weftv1.SubscribeResponse]) {
	t.Helper()
	ways, streams := clients(t, r.url), map[string]*connect.ServerStreamForClient[weftv1.SubscribeResponse]{}
	for way, c := range ways {
		streams[way] = subscribe(t, c, &weftv1.SubscribeRequest{Patterns: []string{"#"}})
	}
	return ways, streams
}

// TestSlowBodyAndLongStream: the deadline of a body ends a client that sends it
// too slowly, and no stream.
func TestSlowBodyAndLongStream(t *testing.T) {
	const within = time.Second
	r := start(t, func(o *admin.Options) { o.BodyTimeout = within })
	ways, streams := subscribeAll(t, r)
	conn := r.dial(t)
	began := time.Now()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", publish)
	answer, err := io.ReadAll(conn) // until the server gives up
	if took := time.Since(began); err != nil || took < within || strings.Contains(string(answer), " 200 ") {
		t.Errorf("after %s: %v, %s", took, err, answer)
	}
	for way, stream := range streams {
		if _, err := ways[way].Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "a"})); err != nil {
			t.Errorf("%s: %v", way, err)
		}
		if !stream.Receive() {
			t.Errorf("%s: the stream ended with the deadline: %v", way, stream.Err())
		}
	}
}

// TestQuietStreamsLast: what bounds a reader that takes nothing does not end a stream that
// has nothing to say, nor does it reach into the connection's next request.
func TestQuietStreamsLast(t *testing.T) {
	const within = 2 * time.Second // no pause of the machine is as long
	r := start(t, func(o *admin.Options) { o.AnswerTimeout = within })
	_, streams := subscribeAll(t, r)
	conn := r.dial(t)
	answers := bufio.NewReader(conn)
	call := func(header, body string) {
		t.Helper()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 13\r\n%s\r\n%s", publish, header, body)
		answer, err := http.ReadResponse(answers, nil)
		if err == nil && answer.StatusCode == http.StatusContinue {
			_, _ = io.WriteString(conn, `{"topic":"b"}`)
			answer, err = http.ReadResponse(answers, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%d", answer.StatusCode)
		}
	}
	call("", `{"topic":"b"}`)
	for way, stream := range streams {
		if !stream.Receive() {
			t.Errorf("%s: %v", way, stream.Err())
		}
	}
	time.Sleep(2 * within)
	call("Expect: 100-continue\r\n", "")
	for way, stream := range streams {
		if !stream.Receive() {
			t.Errorf("%s: the stream ended as nothing was to say: %v", way, stream.Err())
		}
	}
}

func TestHealth(t *testing.T) {
	r := start(t, nil)
	check := func(healthz, readyz int, state string) {
		t.Helper()
		for path, want := range map[string]int{"/healthz": healthz, "/readyz": readyz} {
			if status, text := call(t, "GET", r.url+path, "", nil); status != want || !strings.Contains(text, `"state":"`+state+`"`) {
				t.Errorf("%s: %d %s", path, status, text)
			}
		}
	}
	check(200, 503, "initializing")
	for _, step := range []struct {
		to              life.State
		healthz, readyz int
	}{{life.Running, 200, 200}, {life.Draining, 200, 503}, {life.Failed, 503, 503}} {
		if err := r.life.To(step.to, "because"); err != nil {
			t.Fatal(err)
		}
		check(step.healthz, step.readyz, step.to.String())
	}
	if status, _ := call(t, "POST", r.url+"/healthz", "", nil); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", status)
	}
}

func TestMetrics(t *testing.T) {
	source := admin.SourceFunc(func() []admin.Metric {
		return []admin.Metric{
			{Name: "weft_frames_total", Help: "Frames.", Type: admin.Counter, Labels: []string{"listener"}, Samples: []admin.Sample{{Labels: []string{"trucks"}, Value: 3}, {Labels: []string{"lines"}, Value: 4}}},
			{Name: "weft_connections", Help: "Open connections.", Type: admin.Gauge, Samples: []admin.Sample{{Value: 7}}},
			{Name: "weft_turn_seconds", Help: "Turns.", Type: admin.Histogram, Samples: []admin.Sample{{Value: 1.5, Count: 3, Buckets: map[float64]uint64{0.1: 1, 1: 2}}}},
			{Name: "weft_broken_total", Help: "One label too few.", Type: admin.Counter, Labels: []string{"a"}, Samples: []admin.Sample{{Value: 1}}},
			{Name: "weft_frames_total", Help: "Frames.", Type: admin.Counter, Labels: []string{"listener"}, Samples: []admin.Sample{{Labels: []string{"trucks"}, Value: 5}}},
			{Name: "weft utf8 \xff", Type: admin.Gauge, Samples: []admin.Sample{{Value: 1}}},
		}
	})
	r := start(t, func(o *admin.Options) { o.Sources = []admin.Source{source} })
	if _, err := weftv1connect.NewMessagesClient(client(t, false), r.url).Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: ""})); err == nil {
		t.Fatal("an empty topic was accepted")
	}
	status, text := call(t, "GET", r.url+"/metrics", "", nil)
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	for _, want := range []string{
		`weft_frames_total{listener="trucks"} 3`, `weft_frames_total{listener="lines"} 4`, "weft_connections 7",
		`weft_turn_seconds_bucket{le="0.1"} 1`, `weft_turn_seconds_bucket{le="+Inf"} 3`, "weft_turn_seconds_sum 1.5",
		`weft_state{state="initializing"} 1`, `weft_state{state="running"} 0`, "weft_api_subscriptions 0",
		`weft_api_calls_total{code="invalid_argument",procedure="/weft.v1.Messages/Publish"} 1`, "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(text, "weft_broken_total") || !strings.Contains(r.log.String(), "weft_broken_total") {
		t.Error("a metric that does not fit was served, or not reported")
	}
}

func TestAddresses(t *testing.T) {
	r := start(t, nil)
	options := func(address string) admin.Options {
		return admin.Options{Address: address, Logger: slog.New(slog.DiscardHandler), Bus: r.bus, Life: r.life}
	}
	for _, address := range []string{"0.0.0.0:7480", "[::]:0", "10.0.0.1:1"} {
		if _, err := admin.New(options(address)); !errors.Is(err, admin.ErrExposed) || !strings.Contains(err.Error(), "api.tokens") {
			t.Errorf("%s: %v", address, err)
		}
		o := options(address)
		o.Access = &admin.Access{Anonymous: admin.ReadRole}
		if _, err := admin.New(o); !errors.Is(err, admin.ErrExposed) {
			t.Errorf("%s, where everybody may see: %v", address, err)
		}
		o.Access = &admin.Access{}
		if _, err := admin.New(o); err != nil {
			t.Errorf("%s, where nobody unknown is let in: %v", address, err)
		}
	}
	for _, address := range []string{"", "localhost:7480", "127.0.0.1", "nowhere"} {
		if _, err := admin.New(options(address)); err == nil || errors.Is(err, admin.ErrExposed) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := admin.New(admin.Options{Address: "127.0.0.1:0"}); err == nil {
		t.Error("a server without a bus")
	}
	taken, err := admin.New(options(r.server.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "api.address") {
		t.Errorf("a port in use: %v", err)
	}
	if err := taken.Shutdown(context.Background()); err != nil {
		t.Errorf("shutdown of a server that never started: %v", err)
	}
	if err := r.server.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
}

func TestFurtherHandlers(t *testing.T) {
	r := start(t, func(o *admin.Options) {
		o.Handlers = map[string]http.Handler{"GET /extra": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "more") })}
	})
	if status, text := call(t, "GET", r.url+"/extra", "", nil); status != 200 || text != "more" {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := call(t, "GET", r.url+"/extra", "", map[string]string{"Host": "evil.example"}); status != http.StatusMisdirectedRequest {
		t.Errorf("%d: a further handler is not behind the checks", status)
	}
}

func TestGrpcurl(t *testing.T) {
	grpcurl, err := exec.LookPath("grpcurl")
	if err != nil {
		leftOut(t, "grpcurl")
	}
	r := start(t, nil)
	address := r.server.Addr().String()
	out, err := exec.CommandContext(t.Context(), grpcurl, "-plaintext", "-max-time", "10", address, "list").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "weft.v1.Messages") {
		t.Fatalf("%v: %s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), grpcurl, "-plaintext", "-max-time", "10", "-d", `{"topic":"a/b","text":"hello"}`,
		address, "weft.v1.Messages/Publish").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "no_subscribers") || string(r.bus.last().Payload) != "hello" {
		t.Errorf("%v: %s", err, out)
	}
}
