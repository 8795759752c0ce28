package config

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// A secret need not stand in the configuration: in a plugin's configuration and in the
// headers of an upstream, ${env:NAME} stands for the value of an environment variable and
// ${file:PATH} for the content of a file, without the end of its last line. The path is
// relative to the configuration file's folder. $${env:NAME} is the text ${env:NAME}.

// maxSecret is how many bytes a secret's file may have.
const maxSecret = 64 << 10

// secrets reads what references name, and remembers it.
type secrets struct {
	folder string
	env    map[string]string
	files  map[string][sha256.Size]byte // by resolved path; of the content
}

func newSecrets(o Options) *secrets {
	s := &secrets{folder: o.folder(), env: make(map[string]string, len(o.Env)), files: map[string][sha256.Size]byte{}}
	for _, variable := range o.Env {
		name, value, _ := strings.Cut(variable, "=")
		s.env[name] = value
	}
	return s
}

// text puts what they stand for in the place of a text's references. Problems name the
// reference, never what it stands for.
func (s *secrets) text(text string) (string, []Problem) {
	if s == nil || !strings.Contains(text, "${") {
		return text, nil
	}
	var problems []Problem
	text = reference.ReplaceAllStringFunc(text, func(found string) string {
		m := reference.FindStringSubmatch(found)
		if m[1] != "" {
			return found[1:]
		}
		value, p := s.value(m[2], m[3])
		if p.Cause != "" {
			p.Value = show(found)
			problems = append(problems, p)
		}
		return value
	})
	return text, problems
}

// value is what one reference stands for; a problem with a cause if there is nothing.
func (s *secrets) value(kind, name string) (string, Problem) {
	var value []byte
	switch kind {
	case "env":
		text, set := s.env[name]
		switch {
		case strings.HasPrefix(name, envPrefix):
			return "", Problem{Cause: "not a variable for a secret", Found: "variables that begin with WEFT_ are configuration", Fix: "choose another name"}
		case !set:
			return "", Problem{Cause: "no such variable", Expected: "a secret in the environment variable " + name, Fix: "set it where weft is started, or correct the name"}
		}
		value = []byte(text)
	default:
		var p Problem
		if value, p = s.read(name); p.Cause != "" {
			return "", p
		}
	}
	switch {
	case len(value) == 0:
		return "", Problem{Cause: "an empty secret", Expected: "a value"}
	case !utf8.Valid(value):
		return "", Problem{Cause: "not text", Expected: "a secret in UTF-8", Fix: "encode it, by base64 for example, if the plugin takes that"}
	}
	return string(value), Problem{}
}

// read is the content of a secret's file.
func (s *secrets) read(name string) ([]byte, Problem) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.folder, path)
	}
	data, err := readFile(path, maxSecret)
	switch {
	case name == "" || errors.Is(err, os.ErrNotExist):
		return nil, Problem{Cause: "no such file", Fix: "correct the path (relative to this file's folder)"}
	case err != nil:
		return nil, Problem{Cause: "cannot read the file", Found: err.Error()}
	}
	s.files[path] = sha256.Sum256(data)
	data = bytes.TrimSuffix(data, []byte{'\n'})
	return bytes.TrimSuffix(data, []byte{'\r'}), Problem{}
}

// readFile reads a file that is one, and has at most so many bytes.
func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no file")
	case info.Size() > most:
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", info.Size(), most)
	}
	return os.ReadFile(path)
}

// tree resolves the references in a value of a plugin's configuration; the value itself
// stays as it is.
func (d *decoder) tree(value any, path string) any {
	switch value := value.(type) {
	case map[string]any:
		resolved := make(map[string]any, len(value))
		for key, entry := range value {
			resolved[key] = d.tree(entry, join(path, key))
		}
		return resolved
	case []any:
		resolved := make([]any, len(value))
		for i, entry := range value {
			resolved[i] = d.tree(entry, join(path, fmt.Sprint(i)))
		}
		return resolved
	case string:
		return d.resolve(value, path)
	}
	return value
}

// resolve is a text with its references resolved.
func (d *decoder) resolve(text, path string) string {
	text, problems := d.secrets.text(text)
	for _, p := range problems {
		d.problem(path, p)
	}
	return text
}

// FilesChanged tells whether a file that a secret or a descriptor set was read from has
// another content now, or cannot be read any more: whether reading the same configuration
// again may give another one.
func (c *Config) FilesChanged() bool {
	if c.origin == nil {
		return false
	}
	for path, set := range c.origin.descriptors {
		data, err := readFile(path, maxDescriptor)
		if err != nil || !bytes.Equal(data, set) {
			return true
		}
	}
	if c.origin.secrets == nil {
		return false
	}
	for path, sum := range c.origin.secrets.files {
		data, err := readFile(path, maxSecret)
		if err != nil || sha256.Sum256(data) != sum {
			return true
		}
	}
	return false
}
