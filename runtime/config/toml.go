package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/toml/v2"
	gotoml "github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// readTOML reads a TOML document.
func readTOML(file string, data []byte) (source, Problems) {
	src := source{tree: map[string]any{}, places: map[string]Place{}}
	tree, err := toml.Parser().Unmarshal(data)
	if err != nil {
		p := Problem{Cause: "not valid TOML", Value: err.Error(), File: file}
		if at := (*gotoml.DecodeError)(nil); errors.As(err, &at) {
			p.Line, _ = at.Position()
		} else {
			p.Line = tomlPlaces(file, data, src.places)
		}
		p.Value = strings.TrimPrefix(p.Value, "toml: ")
		p.Fix = remedyFor(tomlRemedies, p.Value)
		return src, Problems{p}
	}
	for key, value := range tree {
		src.tree[key] = plain(value)
	}
	tomlPlaces(file, data, src.places)
	return src, nil
}

// plain turns TOML's dates and times into text and leaves the rest as it is.
func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, entry := range value {
			value[key] = plain(entry)
		}
		return value
	case []any:
		for i, entry := range value {
			value[i] = plain(entry)
		}
		return value
	case nil, string, bool, int64, uint64, float64:
		return value
	}
	return fmt.Sprint(value)
}

// tomlPlaces notes the lines of tables and of the keys in them, and returns the
// first line that defines one again, 0 if none does. What is inside an inline
// table or an array has the line of its key.
func tomlPlaces(file string, data []byte, places map[string]Place) (again int) {
	parser := &unstable.Parser{}
	parser.Reset(data)
	count := make(map[string]int)
	table := ""
	for parser.NextExpression() {
		expression := parser.Expression()
		base := table
		if expression.Kind != unstable.KeyValue {
			base = ""
		}
		path, line := base, 0
		for key := expression.Key(); key.Next(); {
			if path != "" && path != base {
				path = lastEntry(path, count)
			}
			path = join(path, string(key.Node().Data))
			line = parser.Shape(key.Node().Raw).Start.Line
		}
		switch expression.Kind {
		case unstable.ArrayTable:
			count[path]++
			path = lastEntry(path, count)
			table = path
		case unstable.Table:
			table = path
		}
		if _, known := places[path]; known && again == 0 {
			again = line
		}
		places[path] = Place{file, line}
	}
	return again
}

// lastEntry is the path of the entry of an array of tables that was begun last;
// any other path stays as it is.
func lastEntry(path string, count map[string]int) string {
	if n := count[path]; n > 0 {
		return join(path, strconv.Itoa(n-1))
	}
	return path
}
