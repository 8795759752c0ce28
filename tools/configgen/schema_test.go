package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/runtime/config"
)

const root = "../.."

// TestCommitted compares the committed files with what the structs give.
func TestCommitted(t *testing.T) {
	if err := run(root, true); err != nil {
		t.Error(err)
	}
}

// TestEveryKeyIsDocumented finds keys without a comment, and comments in Go's words.
func TestEveryKeyIsDocumented(t *testing.T) {
	docs, err := comments(filepath.Join(root, "runtime", "config"))
	if err != nil {
		t.Fatal(err)
	}
	keys := config.Keys(docs)
	if len(keys) < 300 {
		t.Errorf("only %d keys", len(keys))
	}
	for _, k := range keys {
		if k.Meaning == "" {
			t.Errorf("%s has no comment", k.Path)
		}
		if strings.Contains(k.Meaning, "nil") {
			t.Errorf("%s speaks of nil: %s", k.Path, k.Meaning)
		}
	}
}

// TestSchemaTakesWhatWeftTakes validates the built-in configuration, the examples, what
// the README and the guides show, and every right configuration among the cases.
func TestSchemaTakesWhatWeftTakes(t *testing.T) {
	schema := compiled(t)
	valid := func(name string, value any) {
		t.Helper()
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "examples", "*", "weft.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, filepath.Join(root, "configs", "weft.yaml")) {
		valid(file, parsed(t, file, read(t, file)))
	}
	snippets := 0
	for _, guide := range []string{"README.md", "configs/OPERATOR.md", "configs/PROTOCOLS.md", "plugins/AUTHOR.md", "runtime/backbone/CLUSTER.md"} {
		for name, text := range snippetsOf(string(read(t, filepath.Join(root, guide)))) {
			value, ok := parsed(t, name+".yaml", []byte(text)).(map[string]any)
			if ok && isConfig(value) {
				snippets++
				valid(guide+": "+name+"\n"+text, value)
			}
		}
	}
	if snippets < 16 {
		t.Errorf("only %d configurations in the README and the guides", snippets)
	}
	right := 0
	for file, problems := range cases(t) {
		if problems == nil {
			right++
			valid(file, parsed(t, file, read(t, file)))
		}
	}
	if right < 10 {
		t.Errorf("only %d right cases", right)
	}
}

// shape are the causes of problems that the schema knows as well. Bounds of quantities
// that are written as text are none.
var shape = []string{"wrong type", "unknown key", "missing key", "unknown value", "empty entry in a list", "not a range of priorities"}

// TestSchemaRefusesWhatWeftRefuses finds wrong cases that the schema takes though a
// problem of theirs is one of shape.
func TestSchemaRefusesWhatWeftRefuses(t *testing.T) {
	schema := compiled(t)
	refused := 0
	for file, problems := range cases(t) {
		for _, p := range problems {
			if !slices.Contains(shape, p.Cause) || !strings.HasSuffix(p.File, filepath.Base(file)) {
				continue // said in the environment or by an override
			}
			refused++
			if err := schema.Validate(parsed(t, file, read(t, file))); err == nil {
				t.Errorf("%s: the schema takes it: %v", file, p)
			}
			break
		}
	}
	if refused < 10 {
		t.Errorf("only %d cases were refused", refused)
	}
	for text, place := range map[string]string{
		"loops: -1":                                   "/loops",
		"loops: many":                                 "/loops",
		"drain: 10":                                   "/drain",
		"drain: 10 seconds":                           "/drain",
		"dead_letter: {size: 64 megabytes}":           "/dead_letter/size",
		"api: {rate: 200}":                            "/api/rate",
		"log: {level: verbose}":                       "/log/level",
		"log: {lvl: info}":                            "/log",
		"plugins: {Auth: {file: x}}":                  "/plugins",
		"plugins: {auth: {}}":                         "/plugins/auth",
		"plugins: {auth: {file: x, cpu: fast}}":       "/plugins/auth/cpu",
		"routes: [{name: a, to: []}]":                 "/routes/0/to",
		"routes: [{name: a}]":                         "/routes/0",
		"routes: [{name: a, to: [x], qos: 3}]":        "/routes/0/qos",
		"listeners: [{name: a b}]":                    "/listeners/0",
		"listeners: [null]":                           "/listeners/0",
		"listeners: [{limits: {frame: 8}}]":           "/listeners/0/limits/frame",
		"listeners: [{chain: auth}]":                  "/listeners/0/chain",
		"upstreams: {a: {protocol: http, budget: 5}}": "/upstreams/a/budget",
	} {
		err := schema.Validate(parsed(t, "inline.yaml", []byte(text)))
		var invalid *jsonschema.ValidationError
		if !errors.As(err, &invalid) || !slices.Contains(placesOf(invalid), place) {
			t.Errorf("%s: expected an error at %s, got %v", text, place, err)
		}
	}
}

// placesOf are where an error is, as JSON pointers.
func placesOf(err *jsonschema.ValidationError) []string {
	at := ""
	for _, key := range err.InstanceLocation {
		at += "/" + key
	}
	places := []string{at}
	for _, cause := range err.Causes {
		places = append(places, placesOf(cause)...)
	}
	return places
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, filepath.Join(root, "configs", "weft.schema.json"))))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(config.SchemaID, value); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(config.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// cases are those of runtime/config, with what is wrong; files that cannot be parsed and
// those that need their variables or overrides to be right are left out.
func cases(t *testing.T) map[string]config.Problems {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "runtime", "config", "testdata", "cases", "*"))
	if err != nil || len(files) < 50 {
		t.Fatal(len(files), err)
	}
	list := map[string]config.Problems{}
	for _, file := range files {
		if ext := filepath.Ext(file); ext != ".yaml" && ext != ".json" && ext != ".toml" {
			continue
		}
		_, err := config.Load(config.Options{File: file})
		var problems config.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatal(file, err)
		}
		if !slices.ContainsFunc(problems, func(p config.Problem) bool {
			return strings.HasPrefix(p.Cause, "not valid") || p.Cause == "more than one document" || strings.HasSuffix(p.Key, "<<") || strings.HasPrefix(p.Cause, "nested too") || p.Cause == "key given twice"
		}) {
			list[file] = problems
		}
	}
	return list
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// parsed is a document as a validator takes it.
func parsed(t *testing.T, name string, text []byte) any {
	t.Helper()
	var value any
	var err error
	switch filepath.Ext(name) {
	case ".json":
		value, err = jsonschema.UnmarshalJSON(bytes.NewReader(text))
	case ".toml":
		var table map[string]any
		err = toml.Unmarshal(text, &table)
		value = table
	default:
		err = yaml.Unmarshal(text, &value)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	if value == nil {
		return map[string]any{}
	}
	return plain(value)
}

// plain makes keys and dates text.
func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, entry := range value {
			value[key] = plain(entry)
		}
		return value
	case map[any]any:
		table := map[string]any{}
		for key, entry := range value {
			table[fmt.Sprint(key)] = plain(entry)
		}
		return table
	case []any:
		for i, entry := range value {
			value[i] = plain(entry)
		}
		return value
	}
	return value
}

var fences = regexp.MustCompile("(?s)```yaml\n(.*?)```|<<'END'\n(.*?)\n *END\n")

// snippetsOf are the YAML texts of a Markdown document.
func snippetsOf(text string) map[string]string {
	list := map[string]string{}
	for i, m := range fences.FindAllStringSubmatch(text, -1) {
		list[fmt.Sprintf("snippet %d", i+1)] = dedent(m[1] + m[2])
	}
	return list
}

// dedent takes away the indentation of the first line.
func dedent(text string) string {
	prefix := text[:len(text)-len(strings.TrimLeft(text, " "))]
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], prefix)
	}
	return strings.Join(lines, "\n")
}

// isConfig tells configurations from other YAML by their keys.
func isConfig(value map[string]any) bool {
	for _, k := range config.Keys(nil) {
		if _, there := value[k.Path]; there {
			return true
		}
	}
	return false
}
