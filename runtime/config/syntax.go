package config

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parsers say in their own words where they stopped. This is what that means to who
// wrote the file, and what to do about it.

// remedy is a fix for the messages of a parser that contain a text.
type remedy struct{ says, fix string }

var yamlRemedies = []remedy{
	{"did not find expected '-' indicator", "indent the entries of a list alike: one of them, or a line in one, stands further left or right"},
	{"did not find expected key", "indent the keys of a mapping alike: one of them stands further left or right"},
	{"expected ',' or ']'", "close the list that begins here with ], and put commas between its entries"},
	{"expected ',' or '}'", "close the mapping that begins here with }, and put commas between its keys"},
	{"mapping values are not allowed", "write a colon behind the key above, or put text that has a colon in it in quotes"},
	{"could not find expected ':'", "write a colon and a space behind the key"},
	{"found unexpected end of stream", "close the quotes that are opened here"},
	{"unknown anchor", "put it in quotes if it is text: * refers to what & has named before"},
	{"block sequence entries are not allowed", "begin the list in a line of its own below its key"},
	{"unknown escape character", `write \\ for \, or put the text in single quotes`},
	{"control characters", "remove them: this is no text"},
	{"UTF-8 octet", "save the file as UTF-8"},
	{"did not find expected node content", "put text that begins with one of ]},%@` in quotes"},
}

// yamlProblem takes the line out of the parser's error, or finds it.
func yamlProblem(file string, data []byte, err error) Problem {
	text := err.Error()
	m := yamlLine.FindStringSubmatch(text)
	line, _ := strconv.Atoi(m[1])
	p := Problem{Cause: "not valid YAML", Value: text[len(m[0]):], File: file}
	anchor, _, _ := strings.Cut(strings.TrimPrefix(p.Value, "unknown anchor '"), "'")
	switch {
	case strings.Contains(p.Value, "control characters"):
		line = lineWhere(data, func(line []byte) bool { return bytes.IndexFunc(line, isControl) >= 0 })
	case strings.Contains(p.Value, "UTF-8"):
		line = lineWhere(data, func(line []byte) bool { return !utf8.Valid(line) })
	case strings.HasPrefix(p.Value, "unknown anchor"):
		line = lineWhere(data, func(line []byte) bool { return bytes.Contains(line, []byte("*"+anchor)) })
	case ofParser.MatchString(p.Value) && !strings.Contains(p.Value, "hexdecimal"):
		line++ // its parser counts from 0, its scanner from 1
	}
	p.Line = line
	p.Fix = remedyFor(yamlRemedies, p.Value)
	if strings.Contains(p.Value, "cannot start any token") {
		p.Fix = "put text that begins with one of @`% in quotes"
		if at := lineOf(data, line); bytes.HasPrefix(bytes.TrimLeft(at, " "), []byte{'\t'}) {
			p.Fix = "indent with spaces: this line begins with a tab"
		}
	}
	return p
}

var (
	yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)
	ofParser = regexp.MustCompile(`^did not find expected (<|node content|'-'|key|',')`)
)

var jsonRemedies = []remedy{
	{"'/'", "remove it: JSON has no comments; YAML and TOML have"},
	{"'#'", "remove it: JSON has no comments; YAML and TOML have"},
	{`'\''`, "write double quotes"},
	{"'}' looking for beginning of object key", "remove the comma before it"},
	{"']' looking for beginning of value", "remove the comma before it"},
	{"looking for beginning of object key", "write double quotes around the key"},
	{"looking for beginning of value", "put text in double quotes"},
	{"after object key:value pair", "put a comma between two keys"},
	{"after array element", "put a comma between two entries"},
	{"after object key", "write a colon behind the key"},
	{"ends too early", "close what is open: a brace, a bracket or quotes"},
	{"follows the closing brace", "remove what follows"},
}

var tomlRemedies = []remedy{
	{"expected newline", "put text in quotes, and only one key in a line"},
	{"expected character =", "write KEY = VALUE"},
	{"expected value", "write KEY = VALUE, text in quotes"},
	{"incomplete number", "put text in quotes"},
	{"expected 'true'", "put text in quotes"},
	{"expected 'false'", "put text in quotes"},
	{"array is incomplete", "close the list with ]"},
	{"must be separated by commas", "put a comma between two entries"},
	{"inline table is incomplete", "close the table with }"},
	{"already exists", "put the keys into the table that is there already"},
	{"already defined", "remove it here or there"},
	{"UTF-8", "save the file as UTF-8"},
}

// remedyFor is the first fix whose words are in the text; empty if none are.
func remedyFor(list []remedy, text string) string {
	for _, r := range list {
		if strings.Contains(text, r.says) {
			return r.fix
		}
	}
	return ""
}

// isControl tells control characters that no text has.
func isControl(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f }

// lineWhere is the first line for which is returns true, counted from 1; 0 if there is
// none.
func lineWhere(data []byte, is func(line []byte) bool) int {
	n := 0
	for line := range bytes.Lines(data) {
		if n++; is(line) {
			return n
		}
	}
	return 0
}

// lineOf is a line, counted from 1; nil if there is none.
func lineOf(data []byte, n int) []byte {
	lines := bytes.SplitAfterN(data, []byte{'\n'}, n+1)
	if n < 1 || n > len(lines) {
		return nil
	}
	return lines[n-1]
}
