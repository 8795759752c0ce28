package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
)

func TestPublishByPlainHTTP(t *testing.T) {
	r := start(t, converters(t))
	status, text := call(t, "POST", r.url+"/v1/publish/truck/7/telemetry", `{"t":1}`, map[string]string{
		"Content-Type": "application/json", "Weft-Attr-Level": "high", "Weft-Attr-device_id": "7", "Weft-Priority": "5", "Weft-QoS": "1", "Weft-Retain": "true",
	})
	if status != 200 || text != "{\"accepted\":false,\"delivered\":0,\"dropped\":\"no_subscribers\"}\n" {
		t.Errorf("%d %s", status, text)
	}
	m := r.bus.last()
	if string(m.Topic) != "truck/7/telemetry" || string(m.Payload) != `{"t":1}` || m.Priority != 5 || m.QoS != 1 || m.Flags&abi.FlagRetain == 0 || m.Type != abi.TypeEvent {
		t.Errorf("%+v", m)
	}
	for name, want := range map[string]string{"content_type": "application/json", "level": "high", "device_id": "7"} {
		if got, _ := m.Attrs.Get(name); string(got) != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	// What curl says of itself is no content type, bytes stay bytes, an escaped slash is one.
	if status, text := call(t, "POST", r.url+"/v1/publish/a%2Fb", "\x00\xff", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	if m := r.bus.last(); string(m.Topic) != "a/b" || string(m.Payload) != "\x00\xff" || len(m.Attrs) != 0 {
		t.Errorf("%+v", m)
	}
	if status, text := call(t, "POST", r.url+"/v1/publish/a", `{"n":1}`, map[string]string{"Weft-Convert": "pack"}); status != 200 || string(r.bus.last().Payload) != "\xa1\x61n\x01" {
		t.Errorf("%d %s", status, text)
	}
	for header, says := range map[string]string{
		"Weft-Priority: 8": "expected 0 to 7", "Weft-QoS: x": "expected 0 to 2", "Weft-Retain: maybe": "expected true or false",
		"Weft-Prioritty: 1": `unknown header \"Weft-Prioritty`, "Weft-Type: question": "expected event, request", "Weft-Convert: x": "it has pack, unpack",
	} {
		name, value, _ := strings.Cut(header, ": ")
		if status, text := call(t, "POST", r.url+"/v1/publish/a", "", map[string]string{name: value}); status != 400 || !strings.Contains(text, says) || !strings.Contains(text, "invalid_argument") {
			t.Errorf("%s: %d %s", header, status, text)
		}
	}
	for path, want := range map[string]int{"/v1/publish/": 400, "/v1/publish/a/%23": 400} {
		if status, text := call(t, "POST", r.url+path, "", nil); status != want {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if status, _ := call(t, "GET", r.url+"/v1/publish/a", "", nil); status != http.StatusMethodNotAllowed {
		t.Error(status)
	}
	if status, text := call(t, "POST", r.url+"/v1/publish/a", strings.Repeat("x", abi.MaxPayload+1), nil); status != 413 || !strings.Contains(text, "more than 16777216 bytes") {
		t.Errorf("%d %s", status, text)
	}
	if _, text := call(t, "GET", r.url+"/metrics", "", nil); !strings.Contains(text, `weft_api_calls_total{code="ok",procedure="/v1/publish"} 3`) {
		t.Error("the calls are not counted")
	}
}

func TestRequestByPlainHTTP(t *testing.T) {
	r := start(t, nil)
	q, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/v1/request/a/b", strings.NewReader("how warm?"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client(t, false).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	h := answer.Header
	if err != nil || answer.StatusCode != 200 || string(body) != "re: how warm?" || h.Get("Content-Type") != "text/x-test" || h.Get("Weft-Attr-Unit") != "celsius" ||
		h.Get("Weft-Topic") != "weft/reply/1" || h.Get("Weft-Attr-Evil") != "" || h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%d %q %v, %v", answer.StatusCode, body, h, err)
	}
	for path, want := range map[string]struct {
		status int
		says   string
	}{"nobody": {404, "not_found"}, "gone": {503, "unavailable"}, "slow": {504, "deadline_exceeded"}} {
		if status, text := call(t, "POST", r.url+"/v1/request/"+path, "", map[string]string{"Weft-Timeout": "10ms"}); status != want.status || !strings.Contains(text, want.says) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if status, text := call(t, "POST", r.url+"/v1/request/a", "", map[string]string{"Weft-Timeout": "10"}); status != 400 || !strings.Contains(text, "write it like 500ms") {
		t.Errorf("%d %s", status, text)
	}
}

// event is one event of a stream.
type event struct{ id, kind, data, comment string }

// events reads a stream until it ends.
type events struct {
	t    *testing.T
	in   *bufio.Scanner
	stop context.CancelFunc
}

func open(t *testing.T, url string, header map[string]string) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := client(t, false).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", answer.StatusCode, answer.Header)
	}
	return &events{t, bufio.NewScanner(answer.Body), cancel}
}

func (e *events) next() (ev event) {
	e.t.Helper()
	for e.in.Scan() {
		field, value, _ := strings.Cut(e.in.Text(), ": ")
		switch field {
		case "":
			if value == "" {
				return ev
			}
			ev.comment = value
		case "id":
			ev.id = value
		case "event":
			ev.kind = value
		case "data":
			ev.data = value
		}
	}
	return event{kind: "eof"}
}

func TestServerSentEvents(t *testing.T) {
	r := start(t, converters(t))
	e := open(t, r.url+"/v1/subscribe?topic=a&topic=b&as=auto", map[string]string{"Last-Event-ID": "17"})
	if ev := e.next(); ev.kind != "subscribed" || ev.data != `{"patterns":["a","b"],"buffer":1024}` {
		t.Errorf("%+v", ev)
	}
	for i, c := range []struct{ topic, payload, data string }{{"a", "two\nlines", `"text":"two\nlines"`}, {"b", `{"n":1}`, `"json":{"n":1}`}, {"a", "\x00", `"payload":"AA=="`}} {
		if status, text := call(t, "POST", r.url+"/v1/publish/"+c.topic, c.payload, nil); status != 200 || !strings.Contains(text, `"accepted":true`) {
			t.Fatalf("%d %s", status, text)
		}
		ev := e.next()
		var m struct{ Topic string }
		if err := json.Unmarshal([]byte(ev.data), &m); err != nil || ev.kind != "message" || ev.id != string(rune('1'+i)) || m.Topic != c.topic || !strings.Contains(ev.data, c.data) {
			t.Errorf("%+v, %v", ev, err)
		}
	}
	converting := open(t, r.url+"/v1/subscribe?topic=c&convert=unpack&as=json", nil)
	converting.next()
	if status, text := call(t, "POST", r.url+"/v1/publish/c", `{"n":1}`, map[string]string{"Weft-Convert": "pack"}); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	if ev := converting.next(); !strings.Contains(ev.data, `"json":{"n":1}`) {
		t.Errorf("%+v", ev)
	}
	for query, says := range map[string]string{
		"": "at least one pattern", "topic=a&topik=b": "unknown parameter", "topic=a&as=xml": "expected auto", "topic=a&buffer=x": "expected 1 to", "topic=%23/a": "comes last", "topic=a&convert=x": "no converter",
	} {
		if status, text := call(t, "GET", r.url+"/v1/subscribe?"+query, "", nil); status != 400 || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
	// A shutdown ends the stream with an event.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.server.Shutdown(ctx) }()
	if ev := e.next(); ev.kind != "end" || !strings.Contains(ev.data, "shutting down") {
		t.Errorf("%+v", ev)
	}
	if ev := e.next(); ev.kind != "eof" {
		t.Errorf("%+v", ev)
	}
	converting.stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A quiet stream has comments, and one whose reader leaves ends.
func TestEventsOfQuietTopics(t *testing.T) {
	r := start(t, func(o *admin.Options) { o.KeepAlive = 5 * time.Millisecond })
	e := open(t, r.url+"/v1/subscribe?topic=quiet", nil)
	e.next()
	for range 3 {
		if ev := e.next(); ev.comment != "keep-alive" {
			t.Errorf("%+v", ev)
		}
	}
	r.bus.mu.Lock()
	var sub *fakeSub
	for s := range r.bus.subs {
		sub = s
	}
	r.bus.mu.Unlock()
	e.stop()
	select {
	case <-sub.ended:
	case <-time.After(time.Minute):
		t.Error("the subscription outlived its reader")
	}
}

// A reader that stands still misses messages, which are counted, and grows nothing.
func TestSlowReaderOfEvents(t *testing.T) {
	r := start(t, nil)
	e := open(t, r.url+"/v1/subscribe?topic=a&buffer=1", nil)
	e.in.Buffer(nil, 8<<20)
	e.next()
	payload := strings.Repeat("x", 1<<20)
	missed := false
	for n := 0; n < 200 && !missed; n++ {
		_, text := call(t, "POST", r.url+"/v1/publish/a", payload, nil)
		missed = strings.Contains(text, `"accepted":false`)
	}
	if !missed {
		t.Fatal("a reader that stands still never missed a message")
	}
	for {
		ev := e.next()
		if ev.kind == "eof" {
			t.Fatal("the reader was not told")
		}
		if ev.kind == "missed" {
			if ev.data == `{"missed":0}` || !strings.HasPrefix(ev.data, `{"missed":`) {
				t.Errorf("%+v", ev)
			}
			return
		}
		if len(ev.data) < 100 {
			t.Fatalf("%+v", ev)
		}
		call(t, "POST", r.url+"/v1/publish/a", "x", nil)
		if strings.Contains(ev.data, `"text":"x"`) {
			t.Fatal("the reader has everything and was not told")
		}
	}
}

// Pages of other origins can neither change nor open anything, whatever they call
// their request; those that the configuration names can.
func TestForeignPages(t *testing.T) {
	const friend = "https://console.example.org"
	r := start(t, func(o *admin.Options) { o.CORS = []string{friend} })
	foreign := []map[string]string{
		{"Origin": "https://evil.example", "Content-Type": "text/plain"},
		{"Origin": "https://evil.example", "Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}, {"Origin": friend + ".evil.example"},
	}
	for _, header := range foreign {
		for _, path := range []string{"/v1/publish/a", "/v1/request/a", publish} {
			if status, text := call(t, "POST", r.url+path, "x", header); status != http.StatusForbidden || !strings.Contains(text, "api.cors") {
				t.Errorf("%v %s: %d %s", header, path, status, text)
			}
		}
		if status, text := call(t, "GET", r.url+"/v1/subscribe?topic=a", "", header); status != http.StatusForbidden || !strings.Contains(text, "api.cors") {
			t.Errorf("%v: %d %s", header, status, text)
		}
	}
	if m := r.bus.last(); len(m.Topic) != 0 {
		t.Errorf("%+v", m)
	}
	for path, status := range map[string]int{"/v1/publish/a": 421, "/v1/request/a": 421} {
		if got, text := call(t, "POST", r.url+path, "", map[string]string{"Host": "evil.example"}); got != status {
			t.Errorf("%s: %d %s", path, got, text)
		}
	}
	if status, _ := call(t, "GET", r.url+"/v1/subscribe?topic=a", "", map[string]string{"Host": "evil.example"}); status != 421 {
		t.Error(status)
	}

	do := func(method, path string, header map[string]string) *http.Response {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, r.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range header {
			q.Header.Set(name, value)
		}
		answer, err := client(t, false).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer
	}
	preflight := map[string]string{"Origin": friend, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,weft-priority", "Sec-Fetch-Site": "cross-site"}
	if a := do("OPTIONS", "/v1/publish/a", preflight); a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Origin") != friend || a.Header.Get("Access-Control-Allow-Headers") != "content-type,weft-priority" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if a := do("POST", "/v1/publish/a", map[string]string{"Origin": friend, "Sec-Fetch-Site": "cross-site"}); a.StatusCode != 200 || a.Header.Get("Access-Control-Allow-Origin") != friend || a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if a := do("OPTIONS", "/v1/publish/a", map[string]string{"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	e := open(t, r.url+"/v1/subscribe?topic=a", map[string]string{"Origin": friend, "Sec-Fetch-Site": "cross-site"})
	if ev := e.next(); ev.kind != "subscribed" {
		t.Errorf("%+v", ev)
	}
}
