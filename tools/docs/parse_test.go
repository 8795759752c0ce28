package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const sample = "# One\n" +
	"Say `weft run`, see [two](#two-and-more).\n" +
	"\n" +
	"`web.yaml`:\n" +
	"\n" +
	"<!-- docs: scene here -->\n" +
	"```yaml\nlisteners: []\n```\n" +
	"\n" +
	"    echo indented\n" +
	"\n" +
	"    echo 'the same block'\n" +
	"\n" +
	"## Two, and more\n" +
	"<!-- docs: skip no such thing -->\n" +
	"```console\n$ a \\\n>   b\nshown\n$ c\n```\n" +
	"```text\nnothing\n```\n"

func TestParse(t *testing.T) {
	d, err := parse("x.md", sample)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.blocks) != 4 {
		t.Fatalf("%d blocks", len(d.blocks))
	}
	for i, want := range []struct {
		kind kind
		name string
		line int
	}{{config, "web.yaml", 8}, {shell, "", 11}, {console, "", 18}, {text, "", 24}} {
		if b := d.blocks[i]; b.kind != want.kind || b.name != want.name || b.line != want.line {
			t.Errorf("block %d: kind %d, name %q, line %d; expected %+v", i, b.kind, b.name, b.line, want)
		}
	}
	if reason, ok := d.blocks[2].has("skip"); !ok || reason != "no such thing" {
		t.Errorf("skip: %q %v", reason, ok)
	}
	if !slices.Equal(d.headings, []string{"one", "two-and-more"}) || len(d.inline) != 1 || len(d.links) != 1 || d.links[0].target != "#two-and-more" {
		t.Errorf("headings %q, inline %d, links %v", d.headings, len(d.inline), d.links)
	}
	list := scenes(d)
	if len(list) != 1 || len(list[0].blocks) != 3 || !strings.Contains(list[0].name, "here") {
		t.Errorf("scenes: %+v", list)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"an order that is not known":   "<!-- docs: skipp why -->\n```sh\ntrue\n```\n",
		"an order without a block":     "<!-- docs: skip why -->\nwords\n",
		"a block without a language":   "```\ntrue\n```\n",
		"a block without an end":       "```sh\ntrue\n",
		"a scene that nobody plays in": "```sh\ntrue\n```\n<!-- docs: scene -->\n",
	} {
		if _, err := parse("x.md", body); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestCommands(t *testing.T) {
	// What bash says of these texts, without bash.
	whole := func(text string) bool { return !strings.HasSuffix(text, `\`) && strings.Count(text, "END") != 1 }
	list := commands(block{kind: shell, line: 10, text: "a # prints: x y\n\n# words\ncat <<END\none\nEND\nb \\\n  c\n"}, whole)
	var got []string
	for _, c := range list {
		got = append(got, c.text)
	}
	if !slices.Equal(got, []string{"a # prints: x y", "cat <<END\none\nEND", "b \\\n  c"}) {
		t.Errorf("%q", got)
	}
	if !slices.Equal(list[0].shown, []string{"...x y..."}) || list[1].line != 13 {
		t.Errorf("shown %q, line %d", list[0].shown, list[1].line)
	}
	list = commands(block{kind: console, text: "$ a\none\n\ntwo\n$ b\n"}, whole)
	if len(list) != 2 || !slices.Equal(list[0].shown, []string{"one", "two"}) || list[1].shown != nil {
		t.Errorf("%+v", list)
	}
}

func TestCheckGo(t *testing.T) {
	for call, right := range map[string]bool{
		"go run ./tools/docs -list":             true,
		"go test ./tools/docs -run X":           true,
		"go test ./...":                         true,
		"go run ./tools/docs --patience 3s":     true,
		"go run ./tools/docs -no-such-thing":    false,
		"go run ./tools/no-such-thing":          false,
		"true; go test ./plugins/no-such-thing": false,
	} {
		if err := checkGo("../..", block{text: call + "\n"}); (err == nil) != right {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestMissing(t *testing.T) {
	const printed = "09:41:07.312 alarm/12 hello\nrate   10k msg/s, 1.3 MB/s\nwrong  0 lost\nlatency p50 94.6µs\n"
	for _, c := range []struct {
		shown string
		vary  bool
		there bool
	}{
		{"00:00:00.001   alarm/12 hello", false, true},
		{"00:00:00.001 alarm/13 hello", false, false},
		{"alarm/12 hello", false, false},
		{"...alarm/12...", false, true},
		{"wrong 0 lost", false, true},
		{"wrong 1 lost", false, false},
		{"rate 9k msg/s, 8 MB/s", true, true},
		{"rate 9k msg/s, 8 MB/s", false, false},
		{"latency p50 4ms", true, true},
		{"latency p90 4ms", true, true},
		{"latency lost 4ms", true, false},
		{"...", false, true},
	} {
		if left := missing([]string{c.shown}, printed, c.vary); (len(left) == 0) != c.there {
			t.Errorf("%q (vary %v): missing %q", c.shown, c.vary, left)
		}
	}
}

// TestDocuments: every document can be read, says a reason for what is not run, shows
// what can be checked, and its links lead somewhere.
func TestDocuments(t *testing.T) {
	const repository = "../.."
	docs, err := read(repository, nil)
	if err != nil {
		t.Fatal(err)
	}
	anchors := func(file string) []string {
		body, err := os.ReadFile(file)
		if err != nil {
			return nil
		}
		var list []string
		for _, line := range strings.Split(string(body), "\n") {
			if m := heading.FindStringSubmatch(line); m != nil {
				list = append(list, anchor(m[1]))
			}
		}
		return list
	}
	for _, d := range docs {
		for _, b := range d.blocks {
			if reason, skipped := b.has("skip"); skipped && len(reason) < 10 {
				t.Errorf("%s:%d: is not run, for no reason that a reader understands: %q", b.file, b.line, reason)
			}
		}
		for _, b := range append(d.blocks, d.inline...) {
			if err := checkGo(repository, b); err != nil {
				t.Error(err)
			}
		}
		for _, l := range d.links {
			if strings.Contains(l.target, "://") {
				continue
			}
			file, part, _ := strings.Cut(l.target, "#")
			at := filepath.Join(repository, d.file)
			if file != "" {
				at = filepath.Join(repository, filepath.Dir(d.file), file)
			}
			if _, err := os.Stat(at); err != nil {
				t.Errorf("%s:%d: leads nowhere: %s", d.file, l.line, l.target)
			} else if part != "" && !slices.Contains(anchors(at), part) {
				t.Errorf("%s:%d: has no such heading: %s", d.file, l.line, l.target)
			}
		}
	}
}
