package websocket_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/websocket"
)

const request = "GET /mqtt?access_token=a%2Eb HTTP/1.1\r\nHost: broker.example\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, mqtt\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: https://broker.example\r\n\r\n"

func TestUpgrade(t *testing.T) {
	site := websocket.Site{Path: "/mqtt", Protocol: "mqtt", Required: true}
	free := websocket.Site{Path: "/mqtt", Protocol: "mqtt"}
	listed := websocket.Site{Path: "/mqtt", Protocol: "mqtt", Origins: []string{"https://app.example"}}
	anyone := websocket.Site{Path: "/mqtt", Protocol: "mqtt", Origins: []string{"*"}}
	tests := []struct {
		name     string
		site     websocket.Site
		from, to string
		status   int // 101 for an upgrade
		text     string
	}{
		{"as it should be", site, "", "", 101, ""},
		{"header names and values in another case", site, "Upgrade: websocket\r\nConnection", "uPGRADE: WebSocket\r\ncONNECTION", 101, ""},
		{"offers on two lines", site, "Protocol: chat, mqtt", "Protocol: chat\r\nSec-WebSocket-Protocol: mqtt", 101, ""},
		{"another path", site, "/mqtt?", "/other?", 404, "path"},
		{"the path is a prefix", site, "/mqtt?", "/mqtt/?", 404, "path"},
		{"the absolute form", site, "/mqtt?", "http://broker.example/mqtt?", 101, ""},
		{"POST", site, "GET", "POST", 405, "GET"},
		{"HTTP/1.0", site, "HTTP/1.1", "HTTP/1.0", 400, "request line"},
		{"HTTP/2 preface", site, "GET /mqtt?access_token=a%2Eb HTTP/1.1", "PRI * HTTP/2.0", 400, "request line"},
		{"no upgrade", site, "Upgrade: websocket\r\n", "", 426, "ws://"},
		{"upgrade to something else", site, "Upgrade: websocket", "Upgrade: h2c", 426, "ws://"},
		{"no connection", site, "Connection: keep-alive, Upgrade\r\n", "", 400, "Connection"},
		{"version 8", site, "Version: 13", "Version: 8", 426, "13"},
		{"no key", site, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400, "Key"},
		{"two keys", site, "Sec-WebSocket-Version", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version", 400, "Key"},
		{"a short key", site, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", 400, "Key"},
		{"a key that is no base64", site, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ!==", 400, "Key"},
		{"no host", site, "Host: broker.example\r\n", "", 400, "Host"},
		{"two hosts", site, "Host: broker.example\r\n", "Host: a\r\nHost: b\r\n", 400, "Host"},
		{"a body", site, "Host:", "Content-Length: 5\r\nHost:", 400, "body"},
		{"a chunked body", site, "Host:", "Transfer-Encoding: chunked\r\nHost:", 400, "body"},
		{"a folded header", site, "Host:", "A: b\r\n c\r\nHost:", 400, "header line"},
		{"a space before the colon", site, "Host:", "Host :", 400, "header line"},
		{"a bare line feed", site, "Host: broker.example\r\n", "Host: broker.example\n", 400, "header line"},
		{"a control character", site, "broker.example\r\nUp", "broker\x00example\r\nUp", 400, "header line"},
		{"no HTTP", site, "GET", "\x10\x12", 400, "HTTP"},
		{"too many headers", site, "Host:", strings.Repeat("A: b\r\n", 60) + "Host:", 431, "64"},
		{"too long", site, "Host:", "A: " + strings.Repeat("b", 8<<10) + "\r\nHost:", 431, "8 KiB"},
		{"no protocol, none needed", free, "Sec-WebSocket-Protocol: chat, mqtt\r\n", "", 101, ""},
		{"no protocol, one needed", site, "Sec-WebSocket-Protocol: chat, mqtt\r\n", "", 400, "expected a subprotocol"},
		{"other protocols", free, "chat, mqtt", "chat, MQTT", 400, "none of the subprotocols"},
		{"another origin", site, "Origin: https://broker.example", "Origin: https://evil.example", 403, "websocket.origins"},
		{"an origin that ends alike", site, "Origin: https://broker.example", "Origin: https://notbroker.example", 403, "origin"},
		{"the origin null", site, "Origin: https://broker.example", "Origin: null", 403, "origin"},
		{"another port", site, "Origin: https://broker.example", "Origin: https://broker.example:8443", 403, "origin"},
		{"the scheme's own port", site, "Origin: https://broker.example", "Origin: https://broker.example:443", 101, ""},
		{"no origin", site, "Origin: https://broker.example\r\n", "", 101, ""},
		{"two origins", anyone, "Origin:", "Origin: a\r\nOrigin:", 400, "Origin"},
		{"a listed origin", listed, "Origin: https://broker.example", "Origin: https://APP.example", 101, ""},
		{"a list without the own host", listed, "", "", 403, "origin"},
		{"any origin", anyone, "Origin: https://broker.example", "Origin: null", 101, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := strings.Replace(request, test.from, test.to, 1)
			if test.from != "" && in == request {
				t.Fatal("the test changes nothing")
			}
			answer := respond(&test.site, in)
			got, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
			if err != nil {
				t.Fatalf("%v in %q", err, answer)
			}
			defer got.Body.Close()
			body, _ := io.ReadAll(got.Body)
			if got.StatusCode != test.status || !strings.Contains(string(body), test.text) {
				t.Fatalf("%d %q, want %d with %q", got.StatusCode, body, test.status, test.text)
			}
			if test.status != 101 {
				if !got.Close && test.status != 426 || strings.Contains(string(body), "evil") {
					t.Errorf("%q", answer)
				}
				return
			}
			if got.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || got.Header.Get("Sec-WebSocket-Extensions") != "" {
				t.Errorf("%v", got.Header)
			}
			offered := strings.Contains(in, "Sec-WebSocket-Protocol")
			if p := got.Header.Get("Sec-WebSocket-Protocol"); offered != (p == "mqtt") {
				t.Errorf("subprotocol %q", p)
			}
		})
	}
}

// respond is what the server answers.
func respond(site *websocket.Site, in string) string {
	req, size, refusal := websocket.ParseRequest([]byte(in))
	if refusal == nil && size == 0 {
		return ""
	}
	var a websocket.Agreement
	if refusal == nil {
		a, refusal = site.Check(&req)
	}
	if refusal != nil {
		return string(websocket.AppendRefusal(nil, refusal))
	}
	return string(websocket.AppendAccept(nil, a))
}

func TestRequestInPieces(t *testing.T) {
	for n := range len(request) {
		if _, size, refusal := websocket.ParseRequest([]byte(request[:n])); size != 0 || refusal != nil {
			t.Fatalf("the first %d bytes: size %d, %v", n, size, refusal)
		}
	}
	req, size, refusal := websocket.ParseRequest([]byte(request + "\x82\x80"))
	if size != len(request) || refusal != nil {
		t.Fatalf("size %d, %v", size, refusal)
	}
	if token, ok := req.Param("access_token"); !ok || token != "a.b" {
		t.Errorf("token %q", token)
	}
	if _, ok := req.Param("other"); ok {
		t.Error("a parameter that is not there")
	}
	if v, n := req.Get("host"); string(v) != "broker.example" || n != 1 {
		t.Errorf("host %q, %d times", v, n)
	}
}
