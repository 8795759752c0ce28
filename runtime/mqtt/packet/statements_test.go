package packet_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

var (
	statementLine = regexp.MustCompile(`^\| (MQTT-[0-9.-]+) \| [^|]+ \| [a-z, ]+ \| (?:([^|]*) )?\|$`)
	testName      = regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Za-z0-9_]*)(?:/([^`]*))?`")
	declared      = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)
	literal       = regexp.MustCompile(`"(MQTT-[0-9.-]+)"`)
)

// statements reads STATEMENTS.md: of each version the tests by statement, and the
// statements in their order.
func statements(t *testing.T) (tests map[packet.Version]map[string]string, order map[packet.Version][]string) {
	text, err := os.ReadFile("../STATEMENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	tests = map[packet.Version]map[string]string{v4: {}, v5: {}}
	order = map[packet.Version][]string{}
	var v packet.Version
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "## MQTT 5.0"):
			v = v5
		case strings.HasPrefix(line, "## MQTT 3.1.1"):
			v = v4
		}
		if v == 0 || !strings.HasPrefix(line, "| MQTT-") {
			continue
		}
		m := statementLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("line %d is not | statement | says | whose | test |:\n%s", i+1, line)
			continue
		}
		if _, twice := tests[v][m[1]]; twice {
			t.Errorf("line %d: %s is there already", i+1, m[1])
		}
		tests[v][m[1]] = m[2]
		order[v] = append(order[v], m[1])
	}
	return tests, order
}

func TestStatements(t *testing.T) {
	tests, order := statements(t)
	if len(tests[v5]) != 251 || len(tests[v4]) != 141 {
		t.Errorf("%d statements of 5.0 and %d of 3.1.1; there are 251 and 141", len(tests[v5]), len(tests[v4]))
	}
	for v, ids := range order {
		if !slices.IsSortedFunc(ids, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) }) {
			t.Errorf("the statements of %v are not in their order", v)
		}
	}
	known := map[string]bool{}
	for _, r := range refused {
		known[r.statement] = true
		for _, v := range []packet.Version{v4, v5} {
			if _, ok := tests[v][r.statement]; !ok && strings.HasPrefix(r.statement, "MQTT-") && r.version == v {
				t.Errorf("TestRefused has %s, which is no statement of %v", r.statement, v)
			}
		}
	}
	exists := declaredTests(t)
	for v, cells := range tests {
		for id, cell := range cells {
			for _, m := range testName.FindAllStringSubmatch(cell, -1) {
				if !exists[m[1]] {
					t.Errorf("%v %s: there is no test %s", v, id, m[1])
				}
				if m[1] == "TestRefused" && !known[m[2]] {
					t.Errorf("%v %s: TestRefused has no packet for %q", v, id, m[2])
				}
			}
		}
	}
	for _, id := range literals(t) {
		_, five := tests[v5][id]
		_, three := tests[v4][id]
		if !five && !three || !known[id] {
			t.Errorf("a decoder refuses by %s: in STATEMENTS.md: %v, with a packet in TestRefused: %v", id, five || three, known[id])
		}
	}
}

// numbers are those of a statement's id: MQTT-3.8.4-1 is 3, 8, 4, 1.
func numbers(id string) []int {
	var all []int
	for _, s := range strings.FieldsFunc(strings.TrimPrefix(id, "MQTT-"), func(r rune) bool { return r == '.' || r == '-' }) {
		n, _ := strconv.Atoi(s)
		all = append(all, n)
	}
	return all
}

// declaredTests are the names of all tests of the module.
func declaredTests(t *testing.T) map[string]bool {
	names := map[string]bool{}
	err := filepath.WalkDir("../../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git" || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range declared.FindAllSubmatch(text, -1) {
				names[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// literals are the statements that this package's source names.
func literals(t *testing.T) []string {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllSubmatch(text, -1) {
			ids = append(ids, string(m[1]))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
