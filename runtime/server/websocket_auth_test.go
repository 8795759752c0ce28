package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/admin"
)

const webSecret = "0123456789abcdef0123456789abcdef"

// token is a JSON Web Token signed with HS256.
func webToken(claims string) string {
	part := base64.RawURLEncoding.EncodeToString
	signed := part([]byte(`{"alg":"HS256"}`)) + "." + part([]byte(claims))
	mac := hmac.New(sha256.New, []byte(webSecret))
	mac.Write([]byte(signed))
	return signed + "." + part(mac.Sum(nil))
}

const webAuth = `
listeners:
  - name: query
    address: 127.0.0.1:0
    frame: line
    node: "{identity}"
    subscribe: ["to/{identity}"]
    topic: to/truck-7
    acknowledge: ""
    chain: [auth]
    websocket: {token: "query:access_token", headers: [X-Forwarded-For, User-Agent]}
  - name: header
    address: 127.0.0.1:0
    frame: line
    node: "{identity}"
    chain: [auth]
    websocket: {token: "header:Authorization"}
plugins:
  auth: {file: "std:jwt-auth", grants: {clock: {}}, config: {key: "` + webSecret + `"}}
api: {address: ""}
`

// A browser, which can set no header, has its token in the address: plugins see it
// when the session begins, and nobody else.
func TestWebSocketToken(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, webAuth)
		r := f.record(admin.RecordOptions{Listener: "query"})
		good := webToken(`{"sub":"truck-7"}`)
		c := f.web("query", "/?a=b&access_token="+good, "X-Forwarded-For: 192.0.2.7\r\nOrigin: http://weft.example\r\nCookie: secret\r\n")
		c.send(0x81, "hello")
		c.expect(0x81, "hello")

		m := nextOf(t, r, "open")
		var seen []string
		for _, a := range m.Before.Attributes {
			seen = append(seen, fmt.Sprintf("%s=%s", a.Name, a.Value))
		}
		text := strings.Join(seen, " ")
		for _, want := range []string{"protocol=line", "ws.path=/ ", "ws.origin=http://weft.example", "x-forwarded-for=192.0.2.7", "password=(hidden)"} {
			if !strings.Contains(text+" ", want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
		for _, secret := range []string{good, "cookie", "secret"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", secret, text)
			}
		}
		if bad := f.web("query", "/?access_token="+good+"x", ""); true {
			if code, reason := bad.closed(); code != 1008 || !strings.HasPrefix(reason, "token: ") {
				t.Errorf("%d %q", code, reason)
			}
		}
		h := f.web("header", "/", "Authorization: Bearer "+webToken(`{"sub":"truck-8"}`)+"\r\n")
		f.await("weft_nodes", 2)
		h.send(0x88, "")
		if code, _ := h.closed(); code != 0 {
			t.Errorf("an empty Close was answered with %d", code)
		}
	})
}
