package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
)

// jsonReader turns a JSON document into a tree and notes where each key stands.
type jsonReader struct {
	file     string
	decoder  *json.Decoder
	newlines []int
	src      source
	problems Problems
}

// readJSON reads one JSON document.
func readJSON(file string, data []byte) (source, Problems) {
	r := &jsonReader{
		file:    file,
		decoder: json.NewDecoder(bytes.NewReader(data)),
		src:     source{tree: map[string]any{}, places: map[string]Place{}},
	}
	r.decoder.UseNumber()
	for i, b := range data {
		if b == '\n' {
			r.newlines = append(r.newlines, i)
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return r.src, nil
	}
	value, err := r.value("", 0)
	if err != nil {
		return r.src, append(r.problems, r.broken(err, len(data)))
	}
	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return r.src, append(r.problems, r.broken(errors.New("something follows the closing brace"), len(data)))
	}
	switch tree := value.(type) {
	case map[string]any:
		r.src.tree = tree
	case nil:
	default:
		r.problems = append(r.problems, Problem{Cause: "wrong type", Value: "the file", Found: kind(tree), Expected: "a mapping", File: file, Line: 1})
	}
	return r.src, r.problems
}

func (r *jsonReader) broken(err error, size int) Problem {
	offset := int(r.decoder.InputOffset())
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		offset = min(int(syntax.Offset), size)
	}
	text := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		text, offset = "the file ends too early", size
	}
	return Problem{Cause: "not valid JSON", Value: text, Fix: remedyFor(jsonRemedies, text), File: r.file, Line: r.line(offset)}
}

// line is the line on which the byte before offset stands.
func (r *jsonReader) line(offset int) int { return 1 + sort.SearchInts(r.newlines, offset-1) }

func (r *jsonReader) value(path string, depth int) (any, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d levels deep", maxDepth)
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return r.object(path, depth)
		}
		return r.array(path, depth)
	case json.Number:
		return number(token), nil
	}
	return token, nil
}

func (r *jsonReader) object(path string, depth int) (any, error) {
	m := make(map[string]any)
	for r.decoder.More() {
		token, err := r.decoder.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string)
		at, line := join(path, key), r.line(int(r.decoder.InputOffset()))
		if _, twice := m[key]; twice {
			r.problems = append(r.problems, Problem{Cause: "key given twice", Key: at, Fix: "remove it here or there", File: r.file, Line: line})
		}
		r.src.places[at] = Place{r.file, line}
		if m[key], err = r.value(at, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := r.decoder.Token()
	return m, err
}

func (r *jsonReader) array(path string, depth int) (any, error) {
	list := []any{}
	for r.decoder.More() {
		at := join(path, strconv.Itoa(len(list)))
		entry, err := r.value(at, depth+1)
		if err != nil {
			return nil, err
		}
		if _, known := r.src.places[at]; !known {
			r.src.places[at] = Place{r.file, r.line(int(r.decoder.InputOffset()))}
		}
		list = append(list, entry)
	}
	_, err := r.decoder.Token()
	return list, err
}

// number is the smallest of int64, uint64 and float64 that holds the number.
func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return u
	}
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	return f
}
