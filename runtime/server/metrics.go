package server

import (
	"slices"
	"strconv"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/frame"
)

// metrics gathers everything that /metrics shows. It runs on the goroutine of a
// scrape and reads what the loops have published.
func (s *Server) metrics() []admin.Metric {
	stats := s.engine.Stats()
	list := append(s.ledgerMetrics(), s.cacheMetrics()...)
	list = append(list, s.listenerMetrics(&stats)...)
	list = append(list, s.fastPath.metrics()...)
	list = append(list, loopMetrics(&stats)...)
	list = append(list, s.flowMetrics()...)
	list = append(list, s.webMetrics()...)
	list = append(list, s.secrets.metrics(&stats)...)
	list = append(list, s.pluginMetrics()...)
	list = append(list, s.rollouts.metrics()...)
	list = append(list, s.plugins.guest.metrics()...)
	list = append(list, s.keeper.metrics()...)
	list = append(list, s.orders.metrics(sortedKeys(s.rollouts.all()), func(name string) bool { return s.setup().cfg.Plugins[name].Grants.Filter != nil })...)
	list = append(list, s.offences.metrics()...)
	list = append(list, s.modbusMetrics()...)
	list = append(list, s.devices.metrics()...)
	list = append(list, s.pools.metrics()...)
	list = append(list, s.services.metrics()...)
	list = append(list, s.recorder.metrics()...)
	list = append(list, s.dgramMetrics()...)
	list = append(list, s.conversionMetrics()...)
	list = append(list, s.retained.retainedMetrics()...)
	list = append(list, s.lasting.metrics()...)
	list = append(list, s.mqttMetrics()...)
	list = append(list, s.backboneMetrics()...)
	list = append(list, s.shared.metrics()...)
	list = append(list, s.durable.metrics(s.ctx)...)
	list = append(list, s.cluster.metrics()...)
	list = append(list, s.tracer.metrics()...)
	registry := s.sessions.Stats()
	return append(list,
		single("weft_subscriptions", "Subscriptions in force.", admin.Gauge, uint64(registry.Subscriptions)),
		single("weft_nodes", "Names that sessions hold.", admin.Gauge, uint64(registry.Names)),
		single("weft_queue_groups", "Queue groups that have members.", admin.Gauge, uint64(registry.Queues)),
		single("weft_requests_waiting", "Sequence ids held for requests that wait for a response.", admin.Gauge, uint64(s.requests.Len())),
		single("weft_request_timeouts_total", "Requests that were not answered in time.", admin.Counter, s.timeouts.Load()),
		single("weft_requests_lost_total", "Requests whose receiver went away before it answered.", admin.Counter, s.lost.Load()),
	)
}

// family collects the samples of one metric.
type family struct{ admin.Metric }

func newFamily(name, help string, kind admin.MetricType, labels ...string) *family {
	return &family{admin.Metric{Name: name, Help: help, Type: kind, Labels: labels}}
}

func (f *family) add(value uint64, labels ...string) {
	f.Samples = append(f.Samples, admin.Sample{Labels: labels, Value: float64(value)})
}

func single(name, help string, kind admin.MetricType, value uint64) admin.Metric {
	f := newFamily(name, help, kind)
	f.add(value)
	return f.Metric
}

// ledgerMetrics is the ledger: every message ends exactly once.
func (s *Server) ledgerMetrics() []admin.Metric {
	l := s.Ledger()
	dropped := newFamily("weft_messages_dropped_total", "Messages that ended undelivered, by reason.", admin.Counter, "reason")
	copies := newFamily("weft_copies_dropped_total", "Receivers that did not get their copy of a message, by reason.", admin.Counter, "reason")
	for r := range delivery.Reasons() {
		dropped.add(l.Dropped[r], r.String())
		copies.add(l.CopiesDropped[r], r.String())
	}
	return []admin.Metric{
		single("weft_messages_in_total", "Messages cut from frames, published through the API, and received from other nodes.", admin.Counter, l.In),
		single("weft_messages_emitted_total", "Messages made by plugins and by weft itself.", admin.Counter, l.Emitted),
		single("weft_messages_recalled_total", "Messages taken out of the logs of durable routes for receivers, once for each loop and try.", admin.Counter, l.Recalled),
		single("weft_messages_logged_total", "Messages that the logs of durable routes have acknowledged.", admin.Counter, l.Logged),
		single("weft_messages_delivered_total", "Messages that at least one receiver took.", admin.Counter, l.Delivered),
		single("weft_messages_replied_total", "Messages that a plugin answered itself.", admin.Counter, l.Replied),
		single("weft_messages_dead_total", "Messages that went on as dead letters.", admin.Counter, l.Dead),
		single("weft_copies_total", "Copies that receivers took, one for each receiver of a message.", admin.Counter, l.Copies),
		dropped.Metric, copies.Metric,
	}
}

func (s *Server) listenerMetrics(stats *engine.Stats) []admin.Metric {
	messages := newFamily("weft_listener_messages_total", "Messages cut from frames.", admin.Counter, "listener")
	payload := newFamily("weft_listener_payload_bytes_total", "Bytes of payload in those messages.", admin.Counter, "listener")
	beats := newFamily("weft_listener_heartbeats_total", "Heartbeats answered.", admin.Counter, "listener")
	bad := newFamily("weft_listener_bad_frames_total", "Bytes that were no frame, by reason.", admin.Counter, "listener", "reason")
	accepted := newFamily("weft_connections_accepted_total", "Connections accepted.", admin.Counter, "listener")
	open := newFamily("weft_connections", "Open connections.", admin.Gauge, "listener")
	most := newFamily("weft_listener_connections_limit", "Connections that the listener may have.", admin.Gauge, "listener")
	cfg := s.setup().cfg
	for i := range cfg.Listeners {
		if l := &cfg.Listeners[i]; l.Limits.Connections > 0 {
			most.add(uint64(l.Limits.Connections), l.Name)
		}
	}
	all := single("weft_connections_limit", "Connections that all listeners together may have.", admin.Gauge, uint64(cfg.Limits.Connections))
	refused := newFamily("weft_connections_refused_total", "Connections refused, by limit.", admin.Counter, "listener", "reason")
	closed := newFamily("weft_connections_closed_total", "Connections closed, by reason.", admin.Counter, "listener", "reason")
	in := newFamily("weft_received_bytes_total", "Bytes read from connections.", admin.Counter, "listener")
	out := newFamily("weft_sent_bytes_total", "Bytes written to connections.", admin.Counter, "listener")
	dropped := newFamily("weft_frames_dropped_total", "Frames that an outbox did not keep, by reason.", admin.Counter, "listener", "reason")
	for i := range s.setup().each {
		l := &stats.Listeners[i]
		c := s.listenerCounts(i)
		messages.add(c.messages, l.Name)
		payload.add(c.bytes, l.Name)
		beats.add(c.heartbeats, l.Name)
		for r, reason := range frame.Reasons() {
			bad.add(c.badFrames[r], l.Name, string(reason))
		}
		accepted.add(l.Accepted, l.Name)
		open.add(uint64(max(l.Open, 0)), l.Name)
		in.add(l.BytesIn, l.Name)
		out.add(l.BytesOut, l.Name)
		for r, n := range l.Refused {
			refused.add(n, l.Name, engine.Refusal(r).String())
		}
		for r, n := range l.Closed[1:] {
			closed.add(n, l.Name, engine.Reason(r+1).String())
		}
		for r, n := range l.Dropped {
			dropped.add(n, l.Name, engine.Drop(r).String())
		}
	}
	return []admin.Metric{messages.Metric, payload.Metric, beats.Metric, bad.Metric, accepted.Metric, open.Metric, most.Metric, all,
		refused.Metric, closed.Metric, in.Metric, out.Metric, dropped.Metric}
}

// listenerCounts adds up what the loops have counted about a listener.
func (s *Server) listenerCounts(i int) tally {
	var sum tally
	for _, p := range s.paths {
		l := p.seen().lane(i)
		if l == nil {
			continue // the loop has not heard of it yet
		}
		from := &l.counts.published
		sum.messages += from.messages.Load()
		sum.bytes += from.bytes.Load()
		sum.heartbeats += from.heartbeats.Load()
		for r := range sum.badFrames {
			sum.badFrames[r] += from.badFrames[r].Load()
		}
	}
	return sum
}

func loopMetrics(stats *engine.Stats) []admin.Metric {
	turns := newFamily("weft_loop_turns_total", "Turns in which something was read.", admin.Counter, "loop")
	reads := newFamily("weft_loop_reads_total", "Reads from connections.", admin.Counter, "loop")
	crossed := newFamily("weft_loop_crossed_total", "Frames sent to connections of other loops.", admin.Counter, "loop")
	panics := newFamily("weft_loop_panics_total", "Panics that were recovered.", admin.Counter, "loop")
	busy := newFamily("weft_loop_busy_seconds_total", "Time for which the loop was at work.", admin.Counter, "loop")
	queued := newFamily("weft_loop_queued_bytes", "Bytes in the outboxes.", admin.Gauge, "loop")
	paused := newFamily("weft_loop_paused_connections", "Connections not read from because a receiver is slow.", admin.Gauge, "loop")
	for i := range stats.Loops {
		l, name := &stats.Loops[i], strconv.Itoa(i)
		turns.add(l.Turns, name)
		reads.add(l.Reads, name)
		crossed.add(l.Crossed, name)
		panics.add(l.Panics, name)
		queued.add(uint64(max(l.Queued, 0)), name)
		paused.add(uint64(max(l.Paused, 0)), name)
		busy.Samples = append(busy.Samples, admin.Sample{Labels: []string{name}, Value: l.Busy.Seconds()})
	}
	return []admin.Metric{busy.Metric, turns.Metric, reads.Metric, crossed.Metric, panics.Metric, queued.Metric, paused.Metric}
}

func (s *Server) pluginMetrics() []admin.Metric {
	messages := newFamily("weft_plugin_messages_total", "Messages handed to the plugin.", admin.Counter, "plugin")
	verdicts := newFamily("weft_plugin_verdicts_total", "Verdicts other than continue.", admin.Counter, "plugin", "verdict")
	failures := newFamily("weft_plugin_failures_total", "Calls that trapped or broke the contract.", admin.Counter, "plugin", "cause")
	rebuilds := newFamily("weft_plugin_rebuilds_total", "Instances that replaced a failed one.", admin.Counter, "plugin")
	policy := newFamily("weft_plugin_policy_total", "Messages for which the failure policy answered.", admin.Counter, "plugin")
	emitted := newFamily("weft_plugin_emitted_total", "Messages that the plugin made.", admin.Counter, "plugin")
	discarded := newFamily("weft_plugin_discarded_total", "Messages that the plugin made over the bound of a batch.", admin.Counter, "plugin")
	denied := newFamily("weft_plugin_denied_total", "Effects outside the plugin's grants, which were not carried out.", admin.Counter, "plugin")
	fuel := newFamily("weft_plugin_fuel_total", "Fuel that the plugin's hooks have spent.", admin.Counter, "plugin")
	fuelMost := newFamily("weft_plugin_fuel_per_message_most", "The most that the messages of one call have spent each.", admin.Gauge, "plugin")
	fuelLimit := newFamily("weft_plugin_fuel_per_message_limit", "What a message may cost in the plugin's live generation; large ones may cost more.", admin.Gauge, "plugin")
	for _, p := range s.rollouts.livePlugins() {
		if n := p.FuelPerMicrosecond() * float64(p.Spec().CPU) / float64(time.Microsecond); n > 0 && !slices.ContainsFunc(fuelLimit.Samples, func(s admin.Sample) bool { return s.Labels[0] == p.Name() }) {
			fuelLimit.add(uint64(n), p.Name())
		}
	}
	resting := newFamily("weft_plugin_resting", "Places in which the plugin rests because it failed too often.", admin.Gauge, "plugin")
	busy := newFamily("weft_plugin_busy_seconds_total", "Time spent in the plugin, estimated from one call in sixteen.", admin.Counter, "plugin")
	overruns := newFamily("weft_plugin_overruns_total", "Calls of the plugin that took 20 times what a call may take, by the clock; one call of sixteen is timed.", admin.Counter, "plugin")
	instances := newFamily("weft_plugin_instances", "Instances that live.", admin.Gauge, "plugin")
	logs := newFamily("weft_plugin_log_lines_total", "Log lines of the plugin, written or over its rate.", admin.Counter, "plugin", "result")
	paused := newFamily("weft_plugin_paused_total", "Times that the plugin paused a message.", admin.Counter, "plugin")
	waiting := newFamily("weft_plugin_waiting_messages", "Messages that the plugin has paused now.", admin.Gauge, "plugin")
	calls := newFamily("weft_plugin_http_requests_total", "HTTP requests of the plugin by how they ended; denied and limited were not sent.", admin.Counter, "plugin", "result")
	open := newFamily("weft_plugin_http_open", "HTTP requests of the plugin that are under way.", admin.Gauge, "plugin")
	compiles := newFamily("weft_plugin_compiles_total", "Plugins that became machine code: in the process beside this one, in this one, found in the cache, or in use already.", admin.Counter, "where")
	compiled, shared := s.plugins.env.Compiled()
	compiles.add(compiled.Child, "child")
	compiles.add(compiled.Process, "process")
	compiles.add(compiled.Cache, "cache")
	compiles.add(shared, "shared")
	for name, st := range s.rollouts.totals() {
		paused.add(st.Paused, name)
		waiting.add(uint64(max(st.Waiting, 0)), name)
		calls.add(st.Host.HTTPAnswered, name, "answered")
		calls.add(st.Host.HTTPFailed, name, "failed")
		calls.add(st.Host.HTTPTimeouts, name, "timeout")
		calls.add(st.Host.HTTPDenied, name, "denied")
		calls.add(st.Host.HTTPLimited, name, "limited")
		open.add(uint64(max(st.Host.HTTPOpen, 0)), name)
		messages.add(st.Messages, name)
		for verdict, n := range map[string]uint64{"drop": st.Drops, "reply": st.Replies, "route": st.Routes, "close": st.Closes} {
			verdicts.add(n, name, verdict)
		}
		failures.add(st.Traps-min(st.Traps, st.FuelTraps+st.DepthTraps), name, "trap")
		failures.add(st.FuelTraps, name, "fuel")
		failures.add(st.DepthTraps, name, "depth")
		failures.add(st.Faults, name, "fault")
		rebuilds.add(st.Rebuilds, name)
		overruns.add(st.Overruns, name)
		policy.add(st.Policy, name)
		emitted.add(st.Emitted, name)
		discarded.add(st.Discarded, name)
		denied.add(st.Denied, name)
		fuel.add(st.Fuel, name)
		fuelMost.add(st.FuelMost, name)
		resting.add(uint64(max(st.Resting, 0)), name)
		busy.Samples = append(busy.Samples, admin.Sample{Labels: []string{name}, Value: time.Duration(st.BusyNanoseconds).Seconds()})
		instances.add(uint64(max(st.Instances, 0)), name)
		logs.add(st.Host.LogLines, name, "written")
		logs.add(st.Host.LogLimited, name, "limited")
	}
	return []admin.Metric{messages.Metric, verdicts.Metric, failures.Metric, rebuilds.Metric, overruns.Metric, policy.Metric, emitted.Metric,
		discarded.Metric, denied.Metric, fuel.Metric, fuelMost.Metric, fuelLimit.Metric, resting.Metric, busy.Metric, instances.Metric, logs.Metric,
		paused.Metric, waiting.Metric, calls.Metric, open.Metric, compiles.Metric,
		single("weft_plugin_compiler_ended_total", "Times that the process that compiles plugins ended over its work.", admin.Counter, compiled.Ended)}
}

// Metric adds up the samples of one metric; 0 if there is none of that name.
func (s *Server) Metric(name string) float64 { return s.MetricOf(name) }

// MetricOf is Metric for the samples that have each of these values in some label; an
// empty one stands for all.
func (s *Server) MetricOf(name string, labels ...string) float64 {
	var sum float64
	for _, m := range s.metrics() {
		if m.Name != name {
			continue
		}
		for _, sample := range m.Samples {
			if !slices.ContainsFunc(labels, func(label string) bool { return label != "" && !slices.Contains(sample.Labels, label) }) {
				sum += sample.Value
			}
		}
	}
	return sum
}
