package admin

import (
	"encoding/json"
	"net/http"

	"github.com/weftrun/weft/runtime/life"
)

// health is the answer of /healthz and /readyz.
type health struct {
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// healthHandler answers 200 where ok holds for the present state, 503 otherwise.
func healthHandler(l *life.Life, ok func(life.State) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		state, reason := l.State()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !ok(state) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		// A client that is gone cannot be told.
		_ = json.NewEncoder(w).Encode(health{state.String(), reason})
	})
}
