package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

const operated = `watch: false
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, topic: raw, node: "{listener}-1", subscribe: [news]}]
routes: [{name: alarms, when: {topic: "alarm/#", priority: ">=4"}, to: [subscribers]}]
loops: 1
backbone: {name: edge-7}
api: {address: "127.0.0.1:0"}
`

// What an operator asks and does, as text and as JSON, with the exit codes.
func TestOperatorsCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte(operated), 0o600); err != nil {
		t.Fatal(err)
	}
	w := startWeft(t, "-c", file)
	conn, err := net.Dial("tcp", w.at["lines"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	api := func(args ...string) result { t.Helper(); return weft(t, append(args, "--api", w.at["api"])...) }
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"listener list", exitOK, w.at["lines"]},
		{"listener list nobody", exitUsage, "no listener"},
		{"route list", exitOK, "topic: alarm/#, priority: 4-7"},
		{"route explain news", exitOK, "to subscribers (1 receiver)"},
		{"route explain alarm/1 --priority 5", exitRuntime, "It would be dropped now: no_subscriber"},
		{"route explain alarm/1 --priority 9", exitUsage, "0 to 7"},
		{"route explain a/#", exitUsage, "#"},
		{"route explain a --attr x", exitUsage, "NAME=VALUE"},
		{"session list", exitOK, "lines-1"},
		{"session list --away", exitOK, "None of 1 session"},
		{"session end 9-9-9", exitUsage, "Say --yes."},
		{"connection close 0-1-1", exitUsage, "Say --yes."},
		{"session show 9-9-9", exitUsage, "no such session"},
		{"subscription list --topic news", exitOK, "session 0-"},
		{"subscription list --topic else", exitOK, "None of 1 subscription"},
		{"subscription list -n 5000", exitUsage, "1 to 1000"},
		{"config show --given", exitOK, file + ":4"},
		{"config reload", exitOK, "unchanged"},
		{"plugin logs nobody", exitUsage, "unknown plugin"},
		{"top --once", exitOK, "LISTENERS"},
		{"top", exitUsage, "--once"},
		{"top --json", exitUsage, "--once"},
		{"top --once --sort height", exitUsage, "cost, rate"},
		{"top --interval 1ms", exitUsage, "250ms"},
		{"drain", exitUsage, "--confirm edge-7"},
		{"drain --confirm edge-8", exitUsage, "is called edge-7"},
		{"drain --yes --within 2h", exitUsage, "1h"},
	} {
		if r := api(strings.Fields(c.args)...); r.code != c.code || !strings.Contains(r.out+r.errOut, c.says) {
			t.Errorf("weft %s: exit code %d, want %d with %q in\n%s%s", c.args, r.code, c.code, c.says, r.out, r.errOut)
		}
	}
	var all struct {
		Snapshot struct {
			Verdict struct{ Level, Sentence string }
			Signals struct{ Saturation struct{ Connections uint64 } }
		}
		Connections struct{ All uint64 }
	}
	if r := api("top", "--once", "--json"); json.Unmarshal([]byte(r.out), &all) != nil || all.Snapshot.Signals.Saturation.Connections != 1 || all.Connections.All != 1 || all.Snapshot.Verdict.Sentence == "" {
		t.Errorf("top as JSON: %+v", r)
	}
	for _, list := range []string{"listener list", "route list", "session list", "subscription list", "config show", "route explain news"} {
		r := api(append(strings.Fields(list), "--json")...)
		var one map[string]any
		line, _, _ := strings.Cut(r.out, "\n")
		if err := json.Unmarshal([]byte(line), &one); err != nil || len(one) == 0 || r.code != exitOK {
			t.Errorf("weft %s --json: %v: %+v", list, err, r)
		}
	}

	if err := os.WriteFile(file, []byte(operated+"nonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := api("config", "reload"); r.code != exitConfig || !strings.Contains(r.errOut, "nonsense") {
		t.Errorf("a file that is wrong: %+v", r)
	}
	if r := api("config", "show"); r.code != exitConfig || !strings.Contains(r.errOut, "refused") || !strings.Contains(r.errOut, "nonsense") {
		t.Errorf("afterwards: %+v", r)
	}
	if r := api("top", "--once"); !strings.Contains(r.out, "BAD") || !strings.Contains(r.out, "weft check") {
		t.Errorf("top does not say so: %s", r.out)
	}

	id := ""
	if r := api("session", "list", "--json"); json.Unmarshal([]byte(r.out), &struct{ ID *string }{&id}) != nil || id == "" {
		t.Fatalf("the session's id: %+v", r)
	}
	if r := api("session", "show", id); !strings.Contains(r.out, "subscribed to news") {
		t.Errorf("the session: %+v", r)
	}
	if r := api("session", "end", id, "--yes"); r.code != exitOK || r.out != "ended "+id+"\n" {
		t.Errorf("its end: %+v", r)
	}
	if r := api("drain", "--confirm", "edge-7", "--within", "20s"); r.code != exitOK || !strings.Contains(r.out, "it ends within 20s") {
		t.Errorf("drain: %+v", r)
	}
}

// Who drains is told which dead letters end with the process, and the log says it.
func TestADrainTellsOfDeadLetters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	// No name for connections: the first may still have it when the second comes.
	text := strings.NewReplacer("routes: [", "routes: [{name: graves, when: {topic: raw}, to: [dead-letter]}, ", `node: "{listener}-1", `, "").Replace(operated)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := startWeft(t, "-c", file)
	for range 2 {
		if sent := weft(t, "send", "--to", w.at["lines"], "--frame", "line", "x"); sent.code != exitOK {
			t.Fatalf("%+v", sent)
		}
	}
	api := "--api=" + w.at["api"]
	for end := time.Now().Add(time.Minute); !strings.Contains(weft(t, "deadletter", "list", api).out, "2 "); {
		if time.Now().After(end) {
			t.Fatalf("they are not kept: %+v", weft(t, "deadletter", "list", api))
		}
	}
	if r := weft(t, "drain", "--yes", api); r.code != exitOK || !strings.Contains(r.out, "draining: ") || !strings.Contains(r.errOut, "2 dead letters kept in its memory, discarded with it") {
		t.Errorf("%+v", r)
	}
	code := <-w.ended
	w.ended <- code
	if code != exitOK || !strings.Contains(w.log.String(), "dead_letters_discarded=2") {
		t.Errorf("it ended with %d:\n%s", code, w.log)
	}
	signals := &weftv1.Signals{InRate: 3, DeadLetters: 1, Saturation: &weftv1.Saturation{Connections: 2}}
	if q := question("a", signals); q != "1 dead letter kept in its memory, discarded with it: weft deadletter list shows them, replay sends them again.\nEnd a (2 connections open, 3 messages a second come in)" {
		t.Error(q)
	}
	if signals.DeadLetters = 0; !strings.HasPrefix(question("a", signals), "End a (") {
		t.Error(question("a", signals))
	}
}

// JSON for scripts: numbers are numbers, and what is empty is there.
func TestPlainJSON(t *testing.T) {
	m := &weftv1.Snapshot{
		Time: timestamppb.New(time.Unix(1, 0)), Interval: durationpb.New(1500 * time.Millisecond),
		Verdict: &weftv1.Verdict{Level: weftv1.Level_LEVEL_WARN}, Ledger: &weftv1.DropLedger{In: 1 << 60},
	}
	var out strings.Builder
	if err := printPlain(&out, m); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"interval_seconds":1.5`, `"level":"warn"`, `"in":1152921504606846976`, `"changes":[]`, `"time":"1970-01-01T00:00:01Z"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), `"signals"`) {
		t.Errorf("a message that is not there: %s", out.String())
	}
}

// The picture fits the terminal, orders plugins by keys, and says nothing by colour alone.
func TestTopView(t *testing.T) {
	plugin := func(name string, busy, rate float64, state weftv1.NodeState) *weftv1.MapNode {
		return &weftv1.MapNode{Kind: weftv1.MapNodeKind_MAP_NODE_KIND_PLUGIN, Name: name, BusyShare: busy, Rate: rate, State: state, Chain: "listener:a"}
	}
	v := topView{
		sort: "cost", order: "queued", width: 60, colour: true,
		snapshot: &weftv1.Snapshot{
			Instance: &weftv1.Instance{Node: "edge-7", State: "running", Version: "v1"},
			Verdict:  &weftv1.Verdict{Level: weftv1.Level_LEVEL_BAD, Sentence: "Plugin slow at listener a rests because it failed too often; its policy answers for it."},
			Map: &weftv1.ChainMap{Nodes: []*weftv1.MapNode{
				plugin("cheap", 0.01, 900, weftv1.NodeState_NODE_STATE_OK), plugin("dear", 0.5, 10, weftv1.NodeState_NODE_STATE_BYPASSED),
			}},
		},
	}
	text := func() string { return strings.Join(v.lines(), "\n") }
	if s := text(); strings.Index(s, "dear") > strings.Index(s, "cheap") || !strings.Contains(s, "\x1b[31mBAD") || !strings.Contains(s, "BYPASSED") {
		t.Errorf("by cost:\n%s", s)
	}
	if v.key('r') || strings.Index(text(), "dear") < strings.Index(text(), "cheap") {
		t.Errorf("by rate:\n%s", text())
	}
	v.colour = false
	for _, line := range v.lines() {
		if n := len([]rune(line)); n > v.width || strings.Contains(line, "\x1b") {
			t.Errorf("%d characters: %q", n, line)
		}
	}
	if v.key(' '); !strings.Contains(text(), "HELD") {
		t.Errorf("held:\n%s", text())
	}
	if v.key('o'); v.order != "bytes-in" {
		t.Errorf("the next order is %s", v.order)
	}
	for _, end := range []byte{'q', 'Q', 3, 4} {
		if !v.key(end) {
			t.Errorf("%q is not the end", end)
		}
	}
	v.width = 0
	for i := range 300 { // no width is too small
		v.width = i
		_ = v.lines()
	}
	if got := strings.Join([]string{rateText(0), rateText(3.14), rateText(1234), rateText(54321), rateText(2e6)}, " "); got != "0/s 3.1/s 1234/s 54.3k/s 2.0M/s" {
		t.Error(got)
	}
}
