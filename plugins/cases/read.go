package cases

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/abi/spelling"
)

// Bounds of a case file: what is over them was not meant.
const (
	maxFile  = 16 << 20
	maxNodes = 1_000_000
	maxDepth = 64
)

// Read reads a case file. Everything that is wrong with it is in the error, which
// is a [Problems].
func Read(path string) (*File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	case len(text) > maxFile:
		return nil, Problems{{File: path, Text: fmt.Sprintf("it is larger than %d bytes", maxFile)}}
	}
	return Parse(path, text)
}

// Parse is [Read] for text that came from elsewhere; path is what errors call it,
// and its folder is where files that the text names lie.
func Parse(path string, text []byte) (*File, error) {
	r := &reader{path: path, folder: filepath.Dir(path)}
	root, err := document(text)
	if err != nil {
		m := yamlLine.FindStringSubmatch(err.Error())
		line, _ := strconv.Atoi(m[1])
		return nil, Problems{{path, line, "not valid YAML: " + err.Error()[len(m[0]):]}}
	}
	if root == nil {
		return nil, Problems{{File: path, Text: "it is empty: expected cases"}}
	}
	if !r.bounded(root, 0) {
		return nil, r.problems
	}
	f := r.file(root)
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, r.problems
	}
	return f, nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func document(text []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := d.Decode(&more); err == nil {
		return nil, fmt.Errorf("line %d: a second document: a case file has one", more.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return doc.Content[0], nil
}

// reader walks through a document and notes what is wrong.
type reader struct {
	path, folder string
	problems     Problems
	nodes        int
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.path, n.Line, fmt.Sprintf(format, args...)})
}

// bounded refuses what aliases blow up.
func (r *reader) bounded(n *yaml.Node, depth int) bool {
	r.nodes++
	if depth > maxDepth || r.nodes > maxNodes {
		r.fail(n, "nested too deeply, or too much: at most %d levels and %d values", maxDepth, maxNodes)
		return false
	}
	if n.Kind == yaml.AliasNode {
		return r.bounded(n.Alias, depth+1)
	}
	for _, c := range n.Content {
		if !r.bounded(c, depth+1) {
			return false
		}
	}
	return true
}

// resolve is the node that an alias stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// fields are the keys that a mapping may have, each with what reads its value.
type fields map[string]func(n *yaml.Node)

// mapping reads a mapping, key by key in the order of the file.
func (r *reader) mapping(n *yaml.Node, what string, known fields) {
	r.pairs(n, what, func(key, value *yaml.Node) {
		read, ok := known[key.Value]
		if !ok {
			r.fail(key, "unknown key %q in %s%s", key.Value, what, hint(key.Value, known))
			return
		}
		read(value)
	})
}

// pairs calls do for each key of a mapping; a key that stands twice is refused.
func (r *reader) pairs(n *yaml.Node, what string, do func(key, value *yaml.Node)) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s is %s: expected a mapping", what, found(n))
		return
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			r.fail(n.Content[i], "%s: a key must be text", what)
			continue
		}
		if line, twice := lines[key.Value]; twice {
			r.fail(n.Content[i], "%s: %q is given twice, first in line %d", what, key.Value, line)
			continue
		}
		lines[key.Value] = n.Content[i].Line
		do(&yaml.Node{Kind: key.Kind, Value: key.Value, Line: n.Content[i].Line}, n.Content[i+1])
	}
}

// list calls do for each entry of a sequence.
func (r *reader) list(n *yaml.Node, what string, do func(n *yaml.Node)) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "%s is %s: expected a list", what, found(n))
		return
	}
	for _, entry := range n.Content {
		do(entry)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// found says what a node is.
func found(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	}
	value := n.Value
	if len(value) > 40 {
		value = value[:40] + "..."
	}
	return strconv.Quote(value)
}

// hint says which key was probably meant, or which there are.
func hint(key string, known fields) string {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	best := spelling.Nearest(key, names)
	if best != "" {
		return fmt.Sprintf(": did you mean %q?", best)
	}
	return ": expected " + strings.Join(names, ", ")
}
