package admin

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
)

// crossing is about pages in browsers that come from elsewhere. A page of a foreign
// origin can change nothing, whatever content type its request has, and open no
// stream; the origins of the configuration can, and read the answers.
type crossing struct{ atomic.Pointer[origins] }

// origins are those of one configuration.
type origins struct {
	protection *http.CrossOriginProtection
	allowed    map[string]bool
	all        bool
}

func newOrigins(list []string) (*origins, error) {
	o := &origins{protection: http.NewCrossOriginProtection(), allowed: map[string]bool{}}
	for _, origin := range list {
		if origin == "*" {
			o.all = true
			continue
		}
		if err := o.protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("api.cors: %q: %w; write scheme and host, such as https://console.example.org", origin, err)
		}
		o.allowed[origin] = true
	}
	return o, nil
}

// knows tells whether a page of the origin may use the API.
func (o *origins) knows(origin string) bool { return origin != "" && (o.all || o.allowed[origin]) }

// guard refuses what foreign pages send, and answers those of allowed origins so
// that their browser lets them read it (fetch.spec.whatwg.org, CORS protocol).
func (c *crossing) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, origin := c.Load(), r.Header.Get("Origin")
		if !o.knows(origin) {
			if o.protection.Check(r) != nil {
				http.Error(w, "a page of another origin may not call this: api.cors names the origins that may", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
				h.Set("Access-Control-Allow-Headers", asked)
			}
			h.Set("Access-Control-Max-Age", "7200")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", "Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, Weft-Topic, Weft-Type")
		next.ServeHTTP(w, r)
	})
}

// own refuses a stream to a page of a foreign origin. Its browser would not let it
// read one, but it would be open.
func (c *crossing) own(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o := c.Load(); !o.knows(r.Header.Get("Origin")) {
			changing := r.Clone(r.Context())
			changing.Method = http.MethodPost // a GET always passes the check
			if err := o.protection.Check(changing); err != nil {
				http.Error(w, "a page of another origin may not subscribe: "+strings.TrimSuffix(err.Error(), ".")+"; api.cors names the origins that may", http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
