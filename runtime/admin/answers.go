package admin

import (
	"net/http"
	"time"
)

// strictHeaders are on every answer: it is no page, no other page shows it, and no cache
// keeps it.
var strictHeaders = map[string]string{
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "no-referrer",
	"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

// guardAnswer puts the strict headers on each answer, and gives each of its writes a
// deadline: who does not read is gone after it, however long the answer lasts.
func guardAnswer(within time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range strictHeaders {
			w.Header().Set(name, value)
		}
		timed := &timedAnswer{ResponseWriter: w, control: http.NewResponseController(w), within: within}
		next.ServeHTTP(timed, r)
		timed.begin() // for what the server writes itself
	})
}

// timedAnswer has a deadline while it writes, and none between two writes: a stream of
// HTTP/2 ends with its deadline even if nothing is to be written.
type timedAnswer struct {
	http.ResponseWriter
	control *http.ResponseController
	within  time.Duration
}

// Unwrap is for http.ResponseController.
func (a *timedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Write implements http.ResponseWriter.
func (a *timedAnswer) Write(p []byte) (int, error) {
	a.begin()
	defer a.end()
	return a.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (a *timedAnswer) Flush() { _ = a.FlushError() } // a writer that cannot flush writes when it is full

// FlushError is for http.ResponseController.
func (a *timedAnswer) FlushError() error {
	a.begin()
	defer a.end()
	return a.control.Flush()
}

// begin begins the time of a write. A connection that takes no deadline is served
// without one.
func (a *timedAnswer) begin() { _ = a.control.SetWriteDeadline(time.Now().Add(a.within)) }

func (a *timedAnswer) end() { _ = a.control.SetWriteDeadline(time.Time{}) }
