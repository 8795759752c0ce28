package cases_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weftrun/weft/plugins/cases"
)

var update = flag.Bool("update", false, "write the golden files anew")

const conformance = "../../abi/vectors/v1.0/rust.wasm"

func TestGood(t *testing.T) { cases.Run(t, "", "testdata/good") }

// TestEveryGuest runs the same cases against the guest of each language.
func TestEveryGuest(t *testing.T) {
	for _, language := range []string{"rust", "assemblyscript"} {
		t.Run(language, func(t *testing.T) {
			cases.Run(t, filepath.Join(filepath.Dir(conformance), language+".wasm"), "testdata/good")
		})
	}
}

// golden compares a text with a file; -update writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not what %s says (-update writes it):\n%s", file, got)
	}
}

func TestFailuresAreShown(t *testing.T) {
	report, err := cases.RunFolder(t.Context(), "testdata/bad", cases.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	// Where in its code the guest trapped, and what it spends, changes with each build.
	said := regexp.MustCompile(`, at \$.*"`).ReplaceAllString(text.String(), `, at ..."`)
	said = regexp.MustCompile(`(want  below 1\n +got  ) \d+`).ReplaceAllString(said, "$1 N")
	golden(t, "testdata/bad/failing.txt", said)
	if report.Passed != 1 || report.Failed != 11 {
		t.Errorf("%d passed, %d failed", report.Passed, report.Failed)
	}
}

func TestUnreadable(t *testing.T) {
	_, err := cases.Read("testdata/unreadable.yaml")
	if !errors.Is(err, cases.ErrFile) {
		t.Fatalf("%v", err)
	}
	golden(t, "testdata/unreadable.txt", err.Error()+"\n")
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"empty":        {"", "x.yaml: it is empty"},
		"comment":      {"# nothing\n", "it is empty"},
		"no YAML":      {"cases: [", "x.yaml:1: not valid YAML"},
		"two":          {"cases: []\n---\ncases: []\n", "a second document"},
		"no mapping":   {"[]", "the file is a list: expected a mapping"},
		"no cases":     {"plugin: x", "no cases"},
		"zero cases":   {"cases: []", "cases is empty"},
		"fuel":         {"cases: [{name: x, one_at_a_time: false, steps: [messages: [{}, {expect: {fuel_below: 1}}]]}]", "a step of its own"},
		"merge":        {"a: &a {x: 1}\n<<: *a\n", "a key must be text"},
		"bomb":         {bomb(), "nested too deeply, or too much"},
		"deep":         {"config: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested too deeply"},
		"not a number": {"cases: [{name: x, steps: [messages: [{json: .nan}]]}]", "cannot be written as JSON"},
	} {
		_, err := cases.Parse("x.yaml", []byte(c.text))
		if !errors.Is(err, cases.ErrFile) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// bomb is a list of lists that aliases blow up.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		from, to := string(rune('0'+i)), string(rune('1'+i))
		b.WriteString("a" + to + ": &a" + to + " [" + strings.TrimSuffix(strings.Repeat("*a"+from+",", 10), ",") + "]\n")
	}
	return b.String()
}

func TestWhichModule(t *testing.T) {
	wasm, err := os.ReadFile(conformance)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	folder := filepath.Join(dir, "cases")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func() (cases.Report, error) {
		return cases.RunFolder(t.Context(), folder, cases.Options{Only: regexp.MustCompile("^a")})
	}
	fails := func(says string) {
		t.Helper()
		if _, err := run(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	fails("no *.yaml")
	write("cases/one.yaml", []byte("grants: {log: {}, clock: {}, kv: {namespace: test}, metrics: {}, random: {}, http: {hosts: [example.org]}}\ncases: [{name: a, steps: [tick: {}]}, {name: b, steps: [tick: {}]}]"))
	fails("weft plugin build")
	write("p.wasm", wasm)
	if report, err := run(); err != nil || report.Passed != 1 || report.Failed != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	write("q.wasm", wasm)
	fails("2 modules")
	write("cases/one.yaml", []byte("plugin: ../gone.wasm\ncases: [{name: a, steps: [tick: {}]}]"))
	fails("gone.wasm")
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cases.RunFolder(ctx, "testdata/good", cases.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestMessages(t *testing.T) {
	f, err := cases.Parse("x.yaml", []byte(`cases:
  - name: a
    steps:
      - open: {}
      - messages: [{listener: l, text: x, context: {identity: t7}}, {json: {a: 1}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	m := f.Cases[0].Messages()
	if len(m) != 2 || string(m[0].Payload) != "x" || string(m[1].Payload) != `{"a":1}` || f.Listeners()[m[0].Listener] != "l" {
		t.Errorf("%+v", m)
	}
	if id, _ := m[0].Context.Get("identity"); string(id) != "t7" {
		t.Errorf("context %q", m[0].Context)
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"testdata/good/conformance.yaml", "testdata/bad/failing.yaml", "testdata/unreadable.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := cases.Parse("x.yaml", text)
		if (file == nil) == (err == nil) {
			t.Fatalf("%v, %v", file, err)
		}
	})
}
