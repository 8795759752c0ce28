package server_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/tracing/otlptest"
)

var updateMetrics = flag.Bool("update-metrics", false, "write configs/METRICS.md anew")

const metricsTable = "../../configs/METRICS.md"

// everythingOn is a configuration in which every part of weft that has metrics is there.
func everythingOn(t *testing.T) string {
	files, plc, spans := newFleet(t), newPLC(t, frame.ModbusTCP), otlptest.Start(t)
	consul := startAgent(t)
	return fmt.Sprintf(`
loops: 1
session: {ttl: 1m}
listeners:
  - name: mqtt
    address: "127.0.0.1:0"
    frame: mqtt
    chain: [{plugin: guest, config: {messages: continue}}]
    offenders: {failures: 1000, window: 1m}
  - {name: seq, address: "127.0.0.1:0", frame: mcp-seq, topic: "in/{listener}", convert: unpack, on_failure: open}
  - {name: nodes, address: "127.0.0.1:0", frame: mcp-node, topic: "node/{node_id}"}
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: "lines"}
  - {name: secure, address: "127.0.0.1:0", frame: line, topic: "secure", tls: {cert: %[1]s, key: %[2]s}}
  - {name: pages, address: "127.0.0.1:0", frame: mqtt, websocket: {path: /}}
  - {name: grams, address: "127.0.0.1:0", frame: mcp-dgram, topic: "grams"}
  - {name: bus, address: "127.0.0.1:0", frame: modbus-tcp, modbus: {gateway: {any: plc}}}
converters: {unpack: {from: cbor, to: json}}
plugins:
  guest:
    file: ../../abi/vectors/v1.0/rust.wasm
    grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {namespace: seen, scope: cluster}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}, filter: {}}
routes:
  - {name: kept, when: {topic: "kept/#"}, to: [subscribers], durable: {}}
  - {name: out, when: {topic: "out/#"}, to: ["upstream:web"]}
modbus: {devices: [{name: plc, address: %[3]q}]}
upstreams:
  web: {protocol: http, members: ["127.0.0.1:1"], tls: {ca: %[4]s}}
consul: {address: %[5]q, register: [{name: edge, listener: lines}]}
kernel: {interfaces: [none0], pin: ""}
tracing: {endpoint: %[6]q, sample: 100%%, delay: 10ms}
backbone: {name: one, data: %[7]q, url: [%[8]s]}
api: {address: "127.0.0.1:0"}
`, files.cert, files.key, plc.addr, files.ca, consul.URL, spans.URL, t.TempDir(), quoted(natstest.URLs(alone(t))))
}

// labelBounds says of every label what bounds how many values it has: nothing that a
// client of a listener sends may become one.
var labelBounds = map[string]string{
	"listener": "listeners of the configuration, and api", "reason": "words of weft", "result": "words of weft", "plugin": "plugins of the configuration",
	"verdict": "words of weft", "cause": "words of weft", "loop": "event loops",
	"enforcer": "kernel and engine", "interface": "interfaces of the configuration", "mode": "words of weft",
	"name": "64 metrics that a plugin declares when it is loaded", "generation": "three generations a plugin: candidate, live, previous",
	"role": "candidate, live, previous", "field": "words of weft", "route": "routes of the configuration, plugin and default",
	"node": "nodes of the cluster, 64 at most", "kind": "words of weft", "pool": "upstreams of the configuration",
	"member": "members that the configuration names or discovery finds, 1,000 a pool at most", "state": "words of weft", "where": "words of weft", "session": "new and resumed",
	"of": "keys of the configuration with a TLS of their own", "device": "devices of the configuration", "service": "services that weft registers",
	"decision": "words of weft", "namespace": "namespaces of plugins' grants", "procedure": "procedures of the API", "code": "codes of Connect, of Close frames or of MQTT",
	"address": "addresses that weft registers", "converter": "converters of the configuration", "place": "listeners, routes and chains of the configuration",
	"direction": "in and out", "status": "status codes that weft answers with", "by": "words of weft", "type": "words of weft", "function": "words of weft",
}

// Every metric is in the table with what it is, and the table has no other.
func TestMetricsTable(t *testing.T) {
	f := start(t, "auto", everythingOn(t))
	f.await("weft_subscriptions", 0)
	res, err := http.Post(f.url()+"/v1/publish/lines", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	families := map[string]admin.Metric{}
	for _, m := range f.AllMetrics() {
		if _, twice := families[m.Name]; twice {
			t.Errorf("%s is there twice", m.Name)
		}
		families[m.Name] = m
	}
	_, page := get(t, f.url()+"/metrics")
	for name, m := range scrapedFamilies(page) {
		if _, known := families[name]; !known && strings.HasPrefix(name, "weft_") {
			families[name] = m
		}
	}
	checkFamilies(t, families)
	for label := range labelBounds {
		if !slices.ContainsFunc(slices.Collect(maps.Values(families)), func(m admin.Metric) bool { return slices.Contains(m.Labels, label) }) {
			t.Errorf("no metric has the label %s", label)
		}
	}
	promtool(t, page, "check", "metrics")
	table := metricsText(families)
	if *updateMetrics {
		if err := os.WriteFile(metricsTable, table, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(metricsTable)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(table, want) {
		t.Errorf("configs/METRICS.md is not what weft has: go test ./runtime/server -run '^TestMetricsTable$' -update-metrics, and look at the difference:\n%s", firstDifference(table, want))
	}
	checkNamesInSource(t, families)
}

// promtool has Prometheus's own tool look at a text, if it is here.
func promtool(t *testing.T, in string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("WEFT_REQUIRE_TOOLCHAINS") == "true" {
			t.Error("promtool is not here: .ci/setup installs it")
		} else {
			t.Log("promtool is not here (.ci/setup installs it): the exposition is not checked by it")
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func firstDifference(got, want []byte) string {
	a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("line %d is\n%s\nand should be\n%s", i+1, b[min(i, len(b)-1)], a[i])
		}
	}
	return "it is longer"
}

// units that a name can end in, before _total.
var units = []string{"seconds", "bytes"}

func unitOf(name string) string {
	base := strings.TrimSuffix(name, "_total")
	for _, unit := range units {
		if strings.HasSuffix(base, "_"+unit) {
			return unit
		}
	}
	return ""
}

var metricName = regexp.MustCompile(`^weft_[a-z0-9_]+[a-z0-9]$`)

// checkFamilies holds what all metrics have in common: base units, counters that end in
// _total, a sentence, labels whose values are bounded.
func checkFamilies(t *testing.T, families map[string]admin.Metric) {
	t.Helper()
	if len(families) < 150 {
		t.Errorf("only %d metrics were found", len(families))
	}
	for name, m := range families {
		switch {
		case !metricName.MatchString(name):
			t.Errorf("%s: not a name", name)
		case (m.Type == admin.Counter) != strings.HasSuffix(name, "_total"):
			t.Errorf("%s: counters end in _total, and nothing else does", name)
		case !strings.HasSuffix(m.Help, ".") || strings.Contains(m.Help, "\n") || len(m.Help) < 10:
			t.Errorf("%s: %q is not a sentence", name, m.Help)
		case regexp.MustCompile(`_(ms|milliseconds|microseconds|nanoseconds|ns|us|kb|mb|kib|mib|minutes|hours|percent)(_|$)`).MatchString(name):
			t.Errorf("%s: not a base unit", name)
		}
		for _, label := range m.Labels {
			if labelBounds[label] == "" {
				t.Errorf("%s: nobody has said what bounds the values of label %s", name, label)
			}
		}
	}
}

// metricsText is the table.
func metricsText(families map[string]admin.Metric) []byte {
	var b bytes.Buffer
	b.WriteString(`# Every metric

<!-- Written by go test ./runtime/server -run '^TestMetricsTable$' -update-metrics, from what a weft with everything on
collects. Do not edit. -->

` + "`/metrics` of the API has these, in Prometheus's text form or, for who asks, as OpenMetrics with exemplars: the last traced" + `
message of each bucket of a histogram, by its ` + "`trace_id`" + `. Beside them are those of the Go runtime (` + "`go_`" + `) and of the process
(` + "`process_`" + `). What is not in the configuration has no series: a weft without upstreams none of ` + "`weft_upstream_`" + `. Alert rules are in
[alerts.yaml](alerts.yaml), a dashboard in [grafana-dashboard.json](grafana-dashboard.json).

| name | type | unit | labels | meaning |
| --- | --- | --- | --- | --- |
`)
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		m := families[name]
		var labels []string
		for _, label := range m.Labels {
			labels, used[label] = append(labels, "`"+label+"`"), true
		}
		kind := map[admin.MetricType]string{admin.Counter: "counter", admin.Gauge: "gauge", admin.Histogram: "histogram"}[m.Type]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, kind, unitOf(name), strings.Join(labels, ", "), strings.ReplaceAll(m.Help, "|", `\|`))
	}
	b.WriteString("\n## Labels\n\nNo label has a value that a client of a listener chooses.\n\n| label | its values are |\n| --- | --- |\n")
	for _, label := range slices.Sorted(maps.Keys(used)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", label, labelBounds[label])
	}
	return b.Bytes()
}

var (
	helpLine   = regexp.MustCompile(`(?m)^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$`)
	sampleLine = regexp.MustCompile(`(?m)^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+`)
	labelName  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"`)
)

// scrapedFamilies reads the exposition.
func scrapedFamilies(page string) map[string]admin.Metric {
	families := map[string]admin.Metric{}
	for _, m := range helpLine.FindAllStringSubmatch(page, -1) {
		kind := map[string]admin.MetricType{"counter": admin.Counter, "gauge": admin.Gauge, "histogram": admin.Histogram}[m[3]]
		families[m[1]] = admin.Metric{Name: m[1], Help: m[2], Type: kind}
	}
	for _, m := range sampleLine.FindAllStringSubmatch(page, -1) {
		family, ok := families[m[1]]
		if !ok || family.Labels != nil {
			continue
		}
		for _, label := range labelName.FindAllStringSubmatch(m[2], -1) {
			family.Labels = append(family.Labels, label[1])
		}
		families[m[1]] = family
	}
	return families
}

// checkNamesInSource looks at every text in the sources that is a metric's name, or begins
// one: the table must have it.
func checkNamesInSource(t *testing.T, families map[string]admin.Metric) {
	t.Helper()
	names := slices.Sorted(maps.Keys(families))
	for _, folder := range []string{".", "../admin"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != gotoken.STRING {
					return true
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil || !regexp.MustCompile(`^weft_[a-z0-9_]+$`).MatchString(text) {
					return true
				}
				begins := func(name string) bool {
					return name == text || strings.HasSuffix(text, "_") && strings.HasPrefix(name, text)
				}
				if !slices.ContainsFunc(names, begins) {
					t.Errorf("%s: %s is in no table: the configuration of this test must have what it is about", file, text)
				}
				return true
			})
		}
	}
}

// However many clients come, whatever they call themselves and whatever they send, there
// are no more series than before.
func TestClientsDoNotInflateMetrics(t *testing.T) {
	f := start(t, "auto", everythingOn(t))
	nodes, lines := f.dial("nodes"), f.dial("lines")
	series := func() int { _, page := get(t, f.url()+"/metrics"); return len(sampleLine.FindAllString(page, -1)) }
	visit := func(n int) {
		id := fmt.Sprintf("client-%d", n)
		c := f.mqtt(5, id)
		c.subscribes(to(id+"/+", 1))
		m := message(id+"/up", id, 1)
		m.Properties = m.Properties.AppendUser([]byte("name-"+id), []byte(id))
		c.publishes(m)
		c.gets(id)
		c.leaves()
		nodes.say(node(strconv.Itoa(1+n), abi.TypeRequest, id))
		lines.say(text(id))
		res, err := http.Post(f.url()+"/v1/publish/"+id+"/api", "x/"+id, strings.NewReader(id))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		other, err := http.Get(f.url() + "/weft.v1.Nothing/" + id)
		if err != nil {
			t.Fatal(err)
		}
		_ = other.Body.Close()
	}
	visit(0)
	f.await("weft_messages_in_total", 4)
	before := series()
	for n := range 40 {
		visit(n + 1)
	}
	if after := series(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
}
