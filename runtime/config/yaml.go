package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlReader turns a YAML document into a tree and notes where each key stands.
type yamlReader struct {
	file     string
	src      source
	problems Problems
	nodes    int
	tooMuch  bool
}

// readYAML reads one YAML document.
func readYAML(file string, data []byte) (source, Problems) {
	r := &yamlReader{file: file, src: source{tree: map[string]any{}, places: map[string]Place{}, frames: map[string]Frame{}}}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return r.src, nil
	}
	if err != nil {
		return r.src, Problems{yamlProblem(file, data, err)}
	}
	switch err := decoder.Decode(&more); {
	case err == nil:
		return r.src, Problems{{Cause: "more than one document", File: file, Line: more.Line, Fix: "remove the line --- and what follows it"}}
	case !errors.Is(err, io.EOF):
		return r.src, Problems{yamlProblem(file, data, err)}
	}
	root := &doc
	for root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	tree := r.value(root, "", 0)
	if r.tooMuch {
		return r.src, r.problems
	}
	switch tree := tree.(type) {
	case map[string]any:
		r.src.tree = tree
		if file != "" {
			r.cutFrames(root, data)
		}
	case nil:
	default:
		r.problem(root, Problem{Cause: "wrong type", Value: "the file", Found: kind(tree), Expected: "a mapping"})
	}
	return r.src, r.problems
}

func (r *yamlReader) problem(n *yaml.Node, p Problem) {
	p.File, p.Line = r.file, n.Line
	r.problems = append(r.problems, p)
}

// value converts a node and everything below it.
func (r *yamlReader) value(n *yaml.Node, path string, depth int) any {
	r.nodes++
	if depth > maxDepth || r.nodes > maxNodes {
		if !r.tooMuch {
			r.problem(n, Problem{Cause: "nested too deeply, or too much", Expected: fmt.Sprintf("at most %d levels and %d values", maxDepth, maxNodes)})
		}
		r.tooMuch = true
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.value(n.Alias, path, depth+1)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, entry := range n.Content {
			at := join(path, strconv.Itoa(i))
			r.src.places[at] = Place{r.file, entry.Line}
			list[i] = r.value(entry, at, depth+1)
		}
		return list
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		r.mapping(n, m, path, depth)
		return m
	case yaml.ScalarNode:
		return r.scalar(n, path)
	}
	return nil
}

// mapping fills m. Keys of the mapping itself win over those of merged ones (<<).
func (r *yamlReader) mapping(n *yaml.Node, m map[string]any, path string, depth int) {
	own := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.Tag == "!!merge" {
			continue
		}
		if key.Kind != yaml.ScalarNode {
			r.problem(key, Problem{Cause: "wrong type", Key: path, Found: "a key that is a list or a mapping", Expected: "text"})
			continue
		}
		at := join(path, key.Value)
		if line, twice := own[key.Value]; twice {
			r.problem(key, Problem{Cause: "key given twice", Key: at, Fix: fmt.Sprintf("remove it here or in line %d", line)})
			continue
		}
		own[key.Value] = key.Line
		r.src.places[at] = Place{r.file, key.Line}
		m[key.Value] = r.value(value, at, depth+1)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Kind == yaml.ScalarNode && key.Tag == "!!merge" {
			r.merge(n.Content[i+1], m, path, depth+1)
		}
	}
}

// merge adds the keys of a merged mapping, or of several, that m does not have.
func (r *yamlReader) merge(n *yaml.Node, m map[string]any, path string, depth int) {
	switch merged := r.value(n, path, depth).(type) {
	case map[string]any:
		addMissing(m, merged)
	case []any:
		for _, entry := range merged {
			if entry, ok := entry.(map[string]any); ok {
				addMissing(m, entry)
			}
		}
	default:
		r.problem(n, Problem{Cause: "wrong type", Key: join(path, "<<"), Found: kind(merged), Expected: "a mapping to merge"})
	}
}

func addMissing(m, more map[string]any) {
	for key, value := range more {
		if _, ok := m[key]; !ok {
			m[key] = value
		}
	}
}

// scalar gives the node the type that YAML gives it; what is neither a number,
// a truth value nor null is text, dates included.
func (r *yamlReader) scalar(n *yaml.Node, path string) any {
	var err error
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if err = n.Decode(&b); err == nil {
			return b
		}
	case "!!int":
		var i int64
		if err = n.Decode(&i); err == nil {
			return i
		}
		var u uint64
		if err = n.Decode(&u); err == nil {
			return u
		}
	case "!!float":
		var f float64
		if err = n.Decode(&f); err == nil {
			return f
		}
	case "!!binary":
		r.problem(n, Problem{Cause: "wrong type", Key: path, Found: "!!binary", Expected: "text"})
		return nil
	}
	if err != nil {
		r.problem(n, Problem{Cause: "not valid YAML", Key: path, Found: "a value that its tag does not fit", Expected: "what " + n.Tag + " says"})
	}
	return n.Value
}

// cutFrames keeps each frame declaration as it is written, so that the lines of
// its errors are lines of the file. What cannot be cut out (flow style, aliases)
// is encoded anew later.
func (r *yamlReader) cutFrames(root *yaml.Node, data []byte) {
	lines := bytes.SplitAfter(data, []byte{'\n'})
	declared, _ := r.src.tree["frames"].(map[string]any)
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "frames" || root.Content[i+1].Kind != yaml.MappingNode {
			continue
		}
		end := len(lines) + 1
		if i+2 < len(root.Content) {
			end = root.Content[i+2].Line
		}
		frames := root.Content[i+1].Content
		for j := 0; j+1 < len(frames); j += 2 {
			stop, body := end, frames[j+1]
			if j+2 < len(frames) {
				stop = frames[j+2].Line
			}
			if body.Line <= frames[j].Line || stop <= body.Line || stop > len(lines)+1 {
				continue
			}
			doc := bytes.Join(lines[body.Line-1:stop-1], nil)
			again, problems := readYAML("", doc)
			if len(problems) == 0 && reflect.DeepEqual(any(again.tree), declared[frames[j].Value]) {
				r.src.frames[frames[j].Value] = Frame{Doc: doc, Line: body.Line, exact: true}
			}
		}
	}
}

// parseValue reads a value that was given as YAML text on a line of its own, in
// the environment or as an override.
func parseValue(text string) (any, error) {
	src, problems := readYAML("", []byte("value: "+strings.TrimSpace(text)))
	if len(problems) > 0 {
		return nil, problems
	}
	return src.tree["value"], nil
}
