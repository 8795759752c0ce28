package admin

import (
	"io"
	"net/http"
	"strings"

	"github.com/weftrun/weft/runtime/admin/console"
)

// indexText names the plain endpoints; the services follow.
const indexText = `The API of weft.

GET  /console/            the console, for a browser
GET  /healthz             is it alive?
GET  /readyz              does it take messages?
GET  /metrics             figures, for Prometheus
POST /v1/publish/TOPIC    publish the body
POST /v1/request/TOPIC    publish it as a request, and wait for the answer
GET  /v1/subscribe        messages as server-sent events: ?topic=PATTERN

Services, by Connect, gRPC or gRPC-Web: POST /SERVICE/METHOD

`

// indexHandler says what is where; a browser is sent to the console.
func indexHandler(services []string) http.HandlerFunc {
	text := indexText + strings.Join(services, "\n") + "\n"
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if console.WantsPage(r) {
			http.Redirect(w, r, console.Prefix, http.StatusSeeOther)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		// A client that is gone cannot be told.
		_, _ = io.WriteString(w, text)
	}
}

// unknownPath answers what nothing else answers: that another method would be, or that
// nothing is here.
func unknownPath(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			other := *r
			other.Method = method
			if _, pattern := mux.Handler(&other); pattern != "/" && pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) > 0 {
			methods := strings.Join(allowed, ", ")
			w.Header().Set("Allow", methods)
			http.Error(w, "this path takes "+methods, http.StatusMethodNotAllowed)
			return
		}
		http.Error(w, "nothing is here; GET / says what is where", http.StatusNotFound)
	}
}
