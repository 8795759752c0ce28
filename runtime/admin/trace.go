package admin

import "net/http"

// traceHeaders are those of W3C Trace Context, which are attributes of messages by the
// same names.
var traceHeaders = [...]string{"traceparent", "tracestate"}

// withTrace gives a message the trace context of the call that brings it, unless it has
// one of its own.
func withTrace(h http.Header, attributes map[string]string) {
	if _, own := attributes[traceHeaders[0]]; own {
		return
	}
	for _, name := range traceHeaders {
		if value := h.Get(name); isHeader(name, value) && value != "" {
			attributes[name] = value
		}
	}
}
