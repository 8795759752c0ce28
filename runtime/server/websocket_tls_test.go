package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/weftrun/weft/runtime/admin"
)

// WebSocket above TLS (wss): the certificate and the upgrade are both known when the
// session begins.
func TestWebSocketOverTLS(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		fl := newFleet(t)
		f := start(t, driver, fmt.Sprintf(`
listeners:
  - name: lines
    address: "127.0.0.1:0"
    frame: line
    topic: "truck/{tls.cn}"
    subscribe: ["truck/{tls.cn}"]
    acknowledge: ""
    chain: [guest]
    tls: {cert: %s, key: %s, client_ca: %s}
    websocket: {path: /lines}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}}}
api: {address: ""}
`, fl.cert, fl.key, fl.ca))
		r := f.record(admin.RecordOptions{Listener: "lines"})
		plain := f.dial("lines")
		cfg := fl.client(true)
		cfg.NextProtos = nil
		conn := tls.Client(plain.Conn, cfg)
		if _, err := io.WriteString(conn, fmt.Sprintf(upgradeHead, "/lines", "Origin: https://weft.example\r\n")); err != nil {
			t.Fatal(err)
		}
		c := &webClient{t, conn, bufio.NewReader(conn)}
		answer, err := http.ReadResponse(c.in, nil)
		if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%v %v", answer, err)
		}
		seen := map[string]string{}
		for _, a := range nextOf(t, r, "open").Before.Attributes {
			seen[string(a.Name)] = string(a.Value)
		}
		if seen["tls.cn"] != "truck-7" || seen["ws.path"] != "/lines" || seen["ws.origin"] != "https://weft.example" {
			t.Errorf("the session begins with %v", seen)
		}
		c.send(0x81, "continue")
		c.expect(0x81, "continue")
		c.send(0x88, "\x03\xe8")
		c.expect(0x88, "\x03\xe8")
	})
}
