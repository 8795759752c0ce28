package server

import (
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/engine"
)

// metrics are those of listeners with TLS, and of the API's certificates.
func (s *secrets) metrics(stats *engine.Stats) []admin.Metric {
	done := newFamily("weft_tls_handshakes_total", "TLS handshakes that were done, by whether they went on with a former session.", admin.Counter, "listener", "session")
	failed := newFamily("weft_tls_handshakes_failed_total", "TLS handshakes that failed, by reason.", admin.Counter, "listener", "reason")
	open := newFamily("weft_tls_handshakes_open", "TLS handshakes that are under way.", admin.Gauge, "listener")
	reloads := newFamily("weft_tls_reloads_total", "Times that changed certificates, keys or CAs were read, by whether they are in use now.", admin.Counter, "listener", "result")
	expiry := newFamily("weft_tls_certificate_expiry_seconds", "When the first of the certificates in use expires, in seconds since 1970.", admin.Gauge, "listener")
	for _, at := range s.all.Load().list {
		st := at.source.Stats()
		reloads.add(st.Reloads, at.name, "taken")
		reloads.add(st.Failures, at.name, "refused")
		expiry.add(uint64(max(st.NotAfter.Unix(), 0)), at.name)
		if at.index < 0 {
			continue
		}
		if at.index >= len(stats.Listeners) {
			continue // it has just come
		}
		h := &stats.Listeners[at.index].Handshakes
		done.add(h.Done-min(h.Done, h.Resumed), at.name, "new")
		done.add(h.Resumed, at.name, "resumed")
		open.add(uint64(max(h.Open, 0)), at.name)
		for fault, n := range h.Failed {
			failed.add(n, at.name, engine.HandshakeFault(fault).String())
		}
	}
	clients := append(s.clientMetrics(), single("weft_secrets_refused",
		"Of how many (listeners, the API, its tokens, whom weft connects to) changed certificates, keys, CAs or tokens were refused: those before stay in use.", admin.Gauge, uint64(len(s.refusals()))))
	if len(s.all.Load().list) == 0 {
		return clients
	}
	return append(clients, done.Metric, failed.Metric, open.Metric, reloads.Metric, expiry.Metric)
}
