package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/life"
)

// Where something is worth a word.
const (
	nearlyFull   = 0.9
	tooBusy      = 0.95
	manyLost     = 0.01 // of the messages that ended
	slowDisk     = 50 * time.Millisecond
	fewestCounts = 100 // messages of which a share is one
)

// judge collects findings.
type judge struct {
	server   *Server
	span     *span
	shown    *weftv1.Snapshot
	findings []*weftv1.Finding
}

// verdict is the answer in one sentence. What is shown is complete but for it.
func (s *Server) verdict(w *span, shown *weftv1.Snapshot) *weftv1.Verdict {
	j := judge{server: s, span: w, shown: shown}
	for _, look := range []func(){j.state, j.config, j.plugins, j.pools, j.logs, j.backbone, j.losses, j.fullness} {
		look()
	}
	slices.SortStableFunc(j.findings, func(a, b *weftv1.Finding) int { return cmp.Compare(b.GetLevel(), a.GetLevel()) })
	out := &weftv1.Verdict{Level: weftv1.Level_LEVEL_OK, Findings: j.findings}
	signals := shown.GetSignals()
	if len(j.findings) == 0 {
		out.Sentence = "All is well: " + perSecond(signals.GetInRate()) + " in, " + perSecond(signals.GetOutRate()) + " out, nothing lost."
		switch {
		case shown.GetInterval() == nil:
			out.Sentence = "Nothing is wrong so far; what passes is known in a moment."
		case signals.GetInRate() == 0 && signals.GetOutRate() == 0:
			out.Sentence = "All is well; nothing passes just now."
		}
		return out
	}
	worst := j.findings[0]
	out.Level, out.Sentence = worst.GetLevel(), sentence(worst.GetText())
	if more := len(j.findings) - 1; more > 0 {
		out.Sentence += fmt.Sprintf(" And %d more.", more)
	}
	return out
}

// sentence makes a text one.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimRight(text[1:], ".") + "."
}

func (j *judge) find(level weftv1.Level, kind, subject, node, text, remedy string) {
	j.findings = append(j.findings, &weftv1.Finding{Level: level, Kind: kind, Subject: subject, Text: utf8(text), Remedy: remedy, Node: node})
}

const (
	warn = weftv1.Level_LEVEL_WARN
	bad  = weftv1.Level_LEVEL_BAD
)

func (j *judge) state() {
	state, reason := j.server.life.State()
	text := "weft is " + state.String()
	if reason != "" {
		text += ": " + reason
	}
	switch state {
	case life.Running:
		if reason != "" {
			j.find(warn, "state", "", "", text, "weft backbone shows what it waits for")
		}
	case life.Initializing:
		j.find(warn, "state", "", "", text, "wait a moment; the log says what takes so long")
	case life.Draining:
		j.find(warn, "state", "", "", text, "it ends when what it has accepted is delivered; nothing is to be done")
	default:
		j.find(bad, "state", "", "", text, "the log says why; start it again")
	}
}

func (j *judge) config() {
	c := &j.span.now.config
	if c.Last.Result == admin.ReloadRefused {
		text := "the configuration was refused; the former one goes on"
		if len(c.Last.Problems) > 0 {
			text += ": " + c.Last.Problems[0]
		}
		j.find(bad, "config", c.File, "", text, "mend the file; weft check -c FILE names each problem with its line")
	}
	if c.FileFault != "" {
		j.find(bad, "config", c.File, "", admin.FileGone+c.FileFault, "put it back: without it weft does not start again; weft config show says what runs")
	}
	for _, text := range c.SecretFaults {
		j.find(bad, "secrets", "", "", text, "mend the files: they are read again when they change, and by weft config reload")
	}
	if len(c.Restart) > 0 {
		j.find(warn, "config-restart", c.File, "", "changes of "+strings.Join(c.Restart, ", ")+" wait for a restart", "restart weft when it suits: weft drain ends it without loss")
	}
}

func (j *judge) plugins() {
	for _, n := range j.shown.GetMap().GetNodes() {
		if n.GetKind() != weftv1.MapNodeKind_MAP_NODE_KIND_PLUGIN {
			continue
		}
		where := "plugin " + n.GetName() + " at " + strings.Replace(n.GetChain(), ":", " ", 1)
		switch n.GetState() {
		case weftv1.NodeState_NODE_STATE_BYPASSED:
			j.find(bad, "plugin-resting", n.GetName(), n.GetId(), where+" rests because it failed too often; its policy answers for it",
				"weft plugin rollback "+n.GetName()+" brings the former generation back; weft plugin logs "+n.GetName()+" says how it failed")
		case weftv1.NodeState_NODE_STATE_TRAPPING:
			j.find(warn, "plugin-trapping", n.GetName(), n.GetId(), where+" traps: "+n.GetWhy(),
				"weft plugin logs "+n.GetName()+" says how; weft plugin rollback "+n.GetName()+" brings the former generation back")
		case weftv1.NodeState_NODE_STATE_SLOW:
			j.find(warn, "plugin-slow", n.GetName(), n.GetId(), where+" is slow: "+n.GetWhy(), "weft plugin bench measures it; a larger budget: plugins."+n.GetName()+".cpu")
		}
	}
	for _, name := range sortedKeys(j.span.now.plugins) {
		p := j.span.now.plugins[name]
		if e := &p.last; (e.what == didRollBack && e.cause != causeByHand || e.what == didRefuse) && j.span.now.at.Sub(e.time) < 10*time.Minute {
			j.find(warn, "plugin-rollout", name, "", fmt.Sprintf("generation %d of plugin %s was %s: %s", e.generation, name, e.what, e.text), "weft plugin list "+name+" shows what runs; mend it and swap again")
		}
	}
}

func (j *judge) pools() {
	for _, p := range j.span.now.pools {
		up, open := 0, 0
		for _, m := range p.GetMembers() {
			if m.GetUp() {
				up++
			}
			if m.GetBreaker() == "open" {
				open++
			}
		}
		node := "upstream:" + p.GetName()
		switch {
		case up == 0:
			j.find(bad, "upstream-down", p.GetName(), node, "no member of upstream "+p.GetName()+" gets messages", "weft upstream list says why of each member")
		case open > 0:
			j.find(warn, "breaker-open", p.GetName(), node, fmt.Sprintf("the circuit of %d of %d members of upstream %s is open", open, len(p.GetMembers()), p.GetName()), "weft upstream list says what failed; it is tried again by itself")
		case up < len(p.GetMembers()):
			j.find(warn, "upstream-down", p.GetName(), node, fmt.Sprintf("%d of %d members of upstream %s get no messages", len(p.GetMembers())-up, len(p.GetMembers()), p.GetName()), "weft upstream list says why of each")
		}
	}
}

func (j *judge) logs() {
	w := j.span
	for i := range w.now.logs {
		l := &w.now.logs[i]
		node := "log:" + l.route
		refused := uint64(0)
		if i < len(w.from.logs) && w.from.logs[i].route == l.route {
			refused = l.refused - min(l.refused, w.from.logs[i].refused)
		}
		switch share := l.share(); {
		case l.away:
			j.find(bad, "log-away", l.route, node, "the log of route "+l.route+" does not answer", "weft backbone says why")
		case refused > 0:
			j.find(bad, "log-full", l.route, node, fmt.Sprintf("the log of route %s refused %d messages", l.route, refused), "weft log list shows who is behind; routes."+l.route+".durable.size makes room")
		case share >= nearlyFull:
			j.find(warn, "log-full", l.route, node, fmt.Sprintf("the log of route %s is %.0f%% full", l.route, 100*share), "weft log list shows who is behind; routes."+l.route+".durable.size makes room")
		}
	}
}

func (j *judge) backbone() {
	b := j.span.now.backbone
	if b == nil {
		return
	}
	if b.fault != "" {
		j.find(bad, "backbone", "", "", "the backbone is away or cannot store: "+b.fault, "weft backbone shows its state; what must be stored is refused meanwhile")
	}
	if b.fsync > slowDisk {
		j.find(warn, "log-fsync", "", "", fmt.Sprintf("the disk of the data folder took %s to keep 4 KiB when weft started", b.fsync), "put backbone.data on a faster disk, or set backbone.sync to interval")
	}
}

func (j *judge) losses() {
	w, signals, ledger := j.span, j.shown.GetSignals(), j.shown.GetLedger()
	a, b := &w.from.ledger, &w.now.ledger
	lost := b.Lost() - min(b.Lost(), a.Lost())
	if lost > 0 && w.seconds > 0 {
		level, top := warn, ""
		unheard := b.Dropped[delivery.NoSubscriber] - a.Dropped[delivery.NoSubscriber]
		if ended := b.Ended() - min(b.Ended(), a.Ended()); ended >= fewestCounts && float64(lost-unheard) >= manyLost*float64(ended) {
			level = bad // that nobody listens may be meant so
		}
		for _, r := range ledger.GetReasons() {
			if r.GetReason() != "plugin_drop" && r.GetReason() != "plugin_close" && r.GetRate() > 0 {
				top = r.GetReason()
				break
			}
		}
		j.find(level, "drops", top, "", fmt.Sprintf("%s lost, %.1f%% of all, most by %s", perSecond(signals.GetLostRate()), 100*signals.GetErrorShare(), top), remedyOf(top))
	}
	if b.Dead > a.Dead {
		j.find(warn, "dead-letters", "", "", fmt.Sprintf("dead letters come, %s; %d are kept", perSecond(signals.GetDeadRate()), w.now.letters), "weft deadletter list groups them by reason; weft deadletter replay sends them again")
	}
	if filtered, before := w.now.filtered(), w.from.filtered(); filtered > before {
		j.find(warn, "filter", "", "", fmt.Sprintf("the filter drops %s before they are messages", perSecond(w.rate(before, filtered))), "weft fastpath status shows the sources")
	}
}

// remedyOf is what to do about a reason of drops.
func remedyOf(reason string) string {
	switch reason {
	case "no_subscriber":
		return "nobody subscribes to it: add a route, or subscribe; weft tail --troubled shows the topics"
	case "no_route", "bad_destination":
		return "weft route explain TOPIC shows which route decides"
	case "outbox_full", "session_full":
		return "weft connection list --order queued shows who is slow; outbox.size and outbox.when_full say what becomes of it"
	case "upstream_full", "upstream_refused", "upstream_timeout", "upstream_failed", "no_upstream":
		return "weft upstream list shows the pools"
	case "bad_frame":
		return "clients send what the listener's frame does not declare; weft connection list shows from where"
	}
	return "weft tail --troubled shows such messages"
}

func (j *judge) fullness() {
	full := j.shown.GetSignals().GetSaturation()
	if limit := full.GetConnectionsLimit(); limit > 0 && float64(full.GetConnections()) >= nearlyFull*float64(limit) {
		j.find(warn, "connections", "", "", fmt.Sprintf("%d connections are open, %d may be", full.GetConnections(), limit), "raise limits.connections, or close some: weft connection list --order silent")
	}
	now := j.span.now.flowed.setup
	for i := range now.cfg.Listeners {
		l := &now.cfg.Listeners[i]
		if open := j.span.now.engine.Listeners[now.index[l.Name]].Open; l.Limits.Connections > 0 && float64(open) >= nearlyFull*float64(l.Limits.Connections) {
			j.find(warn, "connections", l.Name, "listener:"+l.Name, fmt.Sprintf("listener %s has %d connections of %d", l.Name, open, l.Limits.Connections), "raise listeners."+l.Name+".limits.connections")
		}
	}
	if full.GetBusiest() >= tooBusy {
		j.find(warn, "loops-busy", "", "", fmt.Sprintf("a loop is at work %.0f%% of the time", 100*full.GetBusiest()), "weft top shows which plugin costs most; more processors, or fewer messages")
	}
	if limit := full.GetMemoryLimitBytes(); limit > 0 && float64(full.GetMemoryBytes()) >= nearlyFull*float64(limit) {
		j.find(warn, "memory", "", "", fmt.Sprintf("%d MiB of memory of %d are taken", full.GetMemoryBytes()>>20, limit>>20), "raise GOMEMLIMIT, or lower the bounds of logs, outboxes and plugins")
	}
}
