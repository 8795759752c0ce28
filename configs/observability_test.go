package configs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// metric is a row of METRICS.md, which is made of what weft collects.
type metric struct {
	kind   string
	labels []string
}

var metricRow = regexp.MustCompile("(?m)^\\| `(weft_[a-z0-9_]+)` \\| (\\w+) \\| \\w* \\| ([^|]*) \\|")

func metrics(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{}
	for _, m := range metricRow.FindAllStringSubmatch(read(t, "METRICS.md"), -1) {
		var labels []string
		for label := range strings.SplitSeq(m[3], ", ") {
			if label != "" {
				labels = append(labels, strings.Trim(label, "`"))
			}
		}
		all[m[1]] = metric{m[2], labels}
	}
	if len(all) < 150 {
		t.Fatalf("METRICS.md has %d metrics", len(all))
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	weftName = regexp.MustCompile(`\bweft_[a-z0-9_]+`)
	selector = regexp.MustCompile(`([a-z_][a-z0-9_]*)(?:_bucket|_sum|_count)?\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+) ?(?:=~|!~|!=|=) ?"`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right) ?\(([^)]*)\)`)
	shown    = regexp.MustCompile(`\{\{\s*([a-z_]+)\s*\}\}|\$labels\.([a-z_]+)`)
)

// checkQuery holds a query, and the texts that show its labels, against the metrics: all
// of them must be there, with these labels.
func checkQuery(t *testing.T, where, query string, all map[string]metric, texts ...string) {
	t.Helper()
	of := map[string]bool{"job": true, "instance": true, "le": true}
	for _, name := range weftName.FindAllString(query, -1) {
		m, ok := all[name]
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, part); !ok && base != name && all[base].kind == "histogram" {
				m, ok = all[base], true
			}
		}
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
		}
		for _, label := range m.labels {
			of[label] = true
		}
	}
	for _, s := range selector.FindAllStringSubmatch(query, -1) {
		for _, label := range matcher.FindAllStringSubmatch(s[2], -1) {
			if m, ok := all[s[1]]; ok && !slices.Contains(m.labels, label[1]) && label[1] != "job" && label[1] != "instance" {
				t.Errorf("%s: %s has no label %s", where, s[1], label[1])
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			if label = strings.TrimSpace(label); label != "" && !of[label] {
				t.Errorf("%s: none of its metrics has a label %s", where, label)
			}
		}
	}
	for _, text := range texts {
		for _, s := range shown.FindAllStringSubmatch(text, -1) {
			if label := s[1] + s[2]; !of[label] && label != "end" {
				t.Errorf("%s: it shows a label %s, which none of its metrics has", where, label)
			}
		}
	}
}

type rules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr         string
			Labels, Annotations map[string]string
		}
	}
}

// Every alert asks for what weft has, says what to do, and is tested to fire and not to.
func TestAlerts(t *testing.T) {
	var file rules
	if err := yaml.Unmarshal([]byte(read(t, "alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var tests struct {
		Tests []struct{ Name string }
	}
	if err := yaml.Unmarshal([]byte(read(t, "alerts_test.yaml")), &tests); err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, one := range tests.Tests {
		tested[one.Name] = true
	}
	all, count := metrics(t), 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			count++
			checkQuery(t, r.Alert, r.Expr, all, r.Annotations["summary"], r.Annotations["description"])
			if severity := r.Labels["severity"]; severity != "page" && severity != "ticket" {
				t.Errorf("%s: severity %q", r.Alert, severity)
			}
			if len(r.Annotations["summary"]) < 20 || len(r.Annotations["description"]) < 60 {
				t.Errorf("%s: it does not say what it is and what to do", r.Alert)
			}
			for _, name := range []string{r.Alert, r.Alert + " quiet"} {
				if !tested[name] {
					t.Errorf("%s: alerts_test.yaml has no test %q", r.Alert, name)
				}
				delete(tested, name)
			}
		}
	}
	if count < 20 || len(tested) > 0 {
		t.Errorf("%d alerts; tests of none: %v", count, slices.Collect(maps.Keys(tested)))
	}
}

// Prometheus's own tool takes the rules and the dashboard's queries, and its tests of the
// rules pass.
func TestPromtool(t *testing.T) {
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("WEFT_REQUIRE_TOOLCHAINS") == "true" {
			t.Fatal("promtool is not here: .ci/setup installs it")
		}
		t.Skip("promtool is not here: .ci/setup installs it")
	}
	queries := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(queries, dashboardRules(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"}, {"check", "rules", queries}, {"test", "rules", "alerts_test.yaml"}} {
		if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// dashboardRules are the dashboard's queries as rules, which promtool can check.
func dashboardRules(t *testing.T) []byte {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "grafana-dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	type rule struct{ Record, Expr string }
	var list []rule
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "5m", "$job", ".+", "$instance", ".+").Replace(q.Expr)
			list = append(list, rule{fmt.Sprintf("panel:%d:%s", p.ID, q.RefID), expr})
		}
	}
	b, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": list}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type dashboard struct {
	Title      string
	Templating struct {
		List []struct{ Name, Definition string }
	}
	Annotations struct {
		List []struct{ Expr, TitleFormat string }
	}
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat, RefID string }
	}
}

// Every panel of the dashboard asks for what weft has, and they lie side by side.
func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "grafana-dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	all, ids, taken, queries := metrics(t), map[int]bool{}, map[[2]int]string{}, 0
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: its number is taken, or it has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s lies at %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies upon %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			queries++
			checkQuery(t, p.Title, q.Expr, all, q.LegendFormat)
			if !strings.Contains(q.Expr, `instance=~"$instance"`) {
				t.Errorf("%s: it does not heed the instance that was chosen", p.Title)
			}
		}
	}
	for _, v := range d.Templating.List {
		checkQuery(t, v.Name, v.Definition, all)
	}
	for _, a := range d.Annotations.List {
		checkQuery(t, "annotation", a.Expr, all, a.TitleFormat)
	}
	if queries < 30 {
		t.Errorf("only %d queries", queries)
	}
}
