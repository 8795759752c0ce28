package admin

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// guardHost refuses requests whose Host is a name that is not ours. A page in a
// browser on this machine could otherwise have its own name point to 127.0.0.1
// and then talk to the API as if it came from there (DNS rebinding). Addresses
// cannot be rebound, so they always pass.
func guardHost(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !knownHost(hosts, r.Host) {
			http.Error(w, fmt.Sprintf("unknown host %.100q: address the API by its IP address or as localhost, or add the name to api.hosts", r.Host), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func knownHost(hosts []string, host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// guardBody gives each request's body a deadline, which ends with the body, so
// that streams of answers can last. It comes before everything that refuses: net/http
// waits for the rest of a body that nobody has read before it sends the answer.
func guardBody(within time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			// A copy: the server looks at its own request's body to tell
			// whether the connection can serve another request.
			timed, control := *r, http.NewResponseController(w)
			timed.Body = &timedBody{ReadCloser: r.Body, control: control}
			r = &timed
			// A connection that takes no deadline is served without one.
			_ = control.SetReadDeadline(time.Now().Add(within))
		}
		next.ServeHTTP(w, r)
	})
}

type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
