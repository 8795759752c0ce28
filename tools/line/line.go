// Package line holds weft's line of dependency without a linter: it reads the
// depguard rules of .golangci.yml and applies them to the import declarations of
// every Go file of the module, whatever system or build tag the file is for.
package line

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// standard is what a rule writes for the standard library.
const standard = "$gostd"

// Rule is one list of imports, and the files that it speaks of.
type Rule struct {
	// Name is the rule's key in the file.
	Name string
	// Strict: what Allow does not name is denied. Otherwise what Deny does not
	// name is allowed. Where both match, the longer prefix wins.
	Strict bool
	Allow  []string
	// Deny maps a prefix to the reason.
	Deny map[string]string

	files, except []*regexp.Regexp
}

// Breach is one import that a rule forbids.
type Breach struct {
	Rule, File, Import, Reason string
	Line                       int
}

// String is the breach on one line, cause first.
func (b Breach) String() string {
	return fmt.Sprintf("%s is not allowed here: %s (rule %s) %s:%d", b.Import, b.Reason, b.Rule, b.File, b.Line)
}

// ErrRules is wrapped by every error about the rules themselves.
var ErrRules = errors.New("bad dependency rules")

type linterFile struct {
	Linters struct {
		Settings struct {
			Depguard struct {
				Rules map[string]struct {
					Mode  string   `yaml:"list-mode"`
					Files []string `yaml:"files"`
					Allow []string `yaml:"allow"`
					Deny  []struct {
						Package string `yaml:"pkg"`
						Reason  string `yaml:"desc"`
					} `yaml:"deny"`
				} `yaml:"rules"`
			} `yaml:"depguard"`
		} `yaml:"settings"`
	} `yaml:"linters"`
}

// Parse reads the rules from the text of .golangci.yml, sorted by name.
func Parse(text []byte) ([]Rule, error) {
	var doc linterFile
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	var rules []Rule
	for name, from := range doc.Linters.Settings.Depguard.Rules {
		r := Rule{Name: name, Strict: from.Mode == "strict", Allow: from.Allow, Deny: map[string]string{}}
		if from.Mode != "strict" && from.Mode != "lax" {
			return nil, fmt.Errorf("%w: %s: list-mode is %q, expected strict or lax", ErrRules, name, from.Mode)
		}
		for _, d := range from.Deny {
			r.Deny[d.Package] = d.Reason
		}
		for _, pattern := range from.Files {
			if rest, negated := strings.CutPrefix(pattern, "!"); negated {
				r.except = append(r.except, glob(rest))
			} else {
				r.files = append(r.files, glob(pattern))
			}
		}
		if err := overlap(r); err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	if len(rules) == 0 {
		return nil, fmt.Errorf("%w: no depguard rule found", ErrRules)
	}
	sort.Slice(rules, func(i, j int) bool { return rules[i].Name < rules[j].Name })
	return rules, nil
}

// overlap refuses two entries of one list of which one begins with the other:
// depguard looks at the nearest entry in order alone and would miss the shorter.
func overlap(r Rule) error {
	denied := make([]string, 0, len(r.Deny))
	for prefix := range r.Deny {
		denied = append(denied, prefix)
	}
	for _, list := range [][]string{r.Allow, denied} {
		list = slices.Sorted(slices.Values(list))
		for i := 1; i < len(list); i++ {
			if strings.HasPrefix(list[i], list[i-1]) {
				return fmt.Errorf("%w: %s: %s lies within %s: depguard would miss one of them", ErrRules, r.Name, list[i], list[i-1])
			}
		}
	}
	return nil
}

// glob turns a pattern into an expression over a slash-separated path that
// begins with a slash: * stands within one level, ** for any number of them.
func glob(pattern string) *regexp.Regexp {
	switch pattern {
	case "$all":
		pattern = "**/*.go"
	case "$test":
		pattern = "**/*_test.go"
	}
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*\*`, ".*")
	return regexp.MustCompile("^" + strings.ReplaceAll(quoted, `\*`, "[^/]*") + "$")
}

// Covers tells whether the rule speaks of a file, named relative to the root.
func (r Rule) Covers(file string) bool {
	match := func(e *regexp.Regexp) bool { return e.MatchString("/" + filepath.ToSlash(file)) }
	return slices.ContainsFunc(r.files, match) && !slices.ContainsFunc(r.except, match)
}

// Allows tells whether the rule lets a file that it covers import a package, and
// the reason if not.
func (r Rule) Allows(path string) (reason string, ok bool) {
	allowed, denied := -1, -1
	for _, prefix := range r.Allow {
		if matches(path, prefix) {
			allowed = max(allowed, len(prefix))
		}
	}
	for prefix, why := range r.Deny {
		if matches(path, prefix) && len(prefix) > denied {
			denied, reason = len(prefix), why
		}
	}
	switch {
	case r.Strict && allowed < 0:
		return "only " + strings.Join(r.Allow, ", ") + " may be imported", false
	case denied >= 0 && allowed <= denied:
		return reason, false
	}
	return "", true
}

// matches tells whether a package path lies under a prefix. A prefix that ends
// in $ is one package alone.
func matches(path, prefix string) bool {
	if prefix == standard {
		first, _, _ := strings.Cut(path, "/")
		return !strings.Contains(first, ".")
	}
	if one, exact := strings.CutSuffix(prefix, "$"); exact {
		return path == one
	}
	return strings.HasPrefix(path, prefix)
}

// Check applies the rules to every Go file of the module at root, and says how
// many files it read. Folders that are modules of their own are left out.
func Check(root string, rules []Rule) (breaches []Breach, files int, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(root, path, entry.Name())
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		files++
		found, err := checkFile(root, path, rules)
		breaches = append(breaches, found...)
		return err
	})
	return breaches, files, err
}

func skip(root, path, name string) error {
	if path == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules" || name == "target" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func checkFile(root, path string, rules []Rule) ([]Breach, error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, path, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		return nil, err
	}
	var breaches []Breach
	for _, rule := range rules {
		if !rule.Covers(name) {
			continue
		}
		for _, spec := range parsed.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			if reason, ok := rule.Allows(target); !ok {
				breaches = append(breaches, Breach{Rule: rule.Name, File: name, Import: target, Reason: reason, Line: set.Position(spec.Pos()).Line})
			}
		}
	}
	return breaches, nil
}
