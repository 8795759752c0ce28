package config

import (
	"fmt"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// WebSocket puts WebSocket under a listener's frames.
type WebSocket struct {
	// Path is where the WebSocket is: the path of ws://host:port/path, byte for byte.
	Path string `koanf:"path" yaml:"path" default:"/"`
	// Origins are the origins of web pages that may connect, such as
	// https://app.example; "*" is any. Empty: pages of the host that they connect
	// to. Clients that are no web page are let in.
	Origins []string `koanf:"origins" yaml:"origins"`
	// Ping is after how much silence weft sends a ping; 0 is never. It takes the
	// place of heartbeat.every; heartbeat.close_after holds as it is.
	Ping Duration `koanf:"ping" yaml:"ping" default:"30s" min:"0s" max:"24h"`
	// Headers are the headers of the request that plugins see when a session
	// begins, as attributes of their names in lower case.
	Headers []string `koanf:"headers" yaml:"headers"`
	// Token is where the request has the client's token: query:NAME or header:NAME.
	// Plugins see it as the password when a session begins. Empty: nowhere.
	Token string `koanf:"token" yaml:"token"`
}

// The places of WebSocket.Token.
const (
	TokenQuery  = "query:"
	TokenHeader = "header:"
)

// websocket checks what a listener says of WebSocket.
func (k *checker) websocket(path string, l *Listener) {
	w := l.WebSocket
	if w == nil {
		return
	}
	alpn := join(path, "tls.alpn")
	path = join(path, "websocket")
	if l.Frame == FrameDatagram {
		k.add(path, Problem{Cause: "has no effect", Found: "frame: " + l.Frame, Expected: "a frame over TCP", Fix: "remove the key: datagrams go over UDP"})
	}
	if u, err := url.ParseRequestURI(w.Path); err != nil || !strings.HasPrefix(w.Path, "/") || strings.ContainsAny(w.Path, "?#") || u.Host != "" {
		k.add(join(path, "path"), Problem{Cause: "not a path", Value: w.Path, Expected: "a path such as /mqtt", Fix: "begin it with / and leave out query and fragment"})
	}
	if t := l.TLS; t != nil && len(t.ALPN) > 0 && !slices.Contains(t.ALPN, "http/1.1") {
		k.add(alpn, Problem{Cause: "browsers could not connect", Value: strings.Join(t.ALPN, ", "), Expected: "http/1.1 among them, since there is WebSocket above", Fix: "add it, or remove the key"})
	}
	for i, origin := range w.Origins {
		if u, err := url.Parse(origin); origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin) {
			k.add(join(path, fmt.Sprintf("origins.%d", i)), Problem{Cause: "not an origin", Value: origin, Expected: `scheme, host and port if there is one, such as https://app.example, or "*"`})
		}
	}
	seen := map[string]bool{}
	for i, name := range w.Headers {
		at := join(path, fmt.Sprintf("headers.%d", i))
		if k.header(at, name); seen[strings.ToLower(name)] {
			k.add(at, Problem{Cause: "listed twice", Value: name, Fix: "remove one"})
		}
		seen[strings.ToLower(name)] = true
		switch strings.ToLower(name) {
		case "authorization", "cookie", "proxy-authorization":
			k.add(at, Problem{Cause: "a secret", Value: name, Expected: "headers that may be shown and recorded", Fix: "for a token write token: header:" + name})
		case "peer", "protocol", "password", "username", "client_id", "protocol_level", "clean":
			k.add(at, Problem{Cause: "a name of weft's own", Value: name, Expected: "a header of another name"})
		}
	}
	query, isQuery := strings.CutPrefix(w.Token, TokenQuery)
	header, isHeader := strings.CutPrefix(w.Token, TokenHeader)
	switch {
	case w.Token == "":
	case isHeader:
		k.header(join(path, "token"), header)
	case !isQuery || query == "":
		k.add(join(path, "token"), Problem{Cause: "not a place for a token", Value: w.Token, Expected: "query:NAME or header:NAME, such as query:access_token"})
	}
	if h := l.Heartbeat; w.Ping > 0 && h.CloseAfter > 0 && h.CloseAfter <= w.Ping {
		k.add(join(path, "ping"), Problem{Cause: "out of range", Value: w.Ping.String(),
			Expected: fmt.Sprintf("less than heartbeat.close_after, which is %s", h.CloseAfter), Fix: "a ping must have time to be answered"})
	}
}

// header checks the name of a header.
func (k *checker) header(path, name string) {
	if name == "" || textproto.TrimString(name) != name || strings.ContainsAny(name, " :\r\n\t") {
		k.add(path, Problem{Cause: "not the name of a header", Value: name, Expected: "a name such as X-Forwarded-For"})
	}
}
