package main

import (
	"fmt"
	"regexp"
	"strings"
)

// kind is what a block of a document is.
type kind int

// The kinds of blocks.
const (
	text    kind = iota // shown, nothing to run
	shell               // commands, one after the other
	console             // commands behind "$ ", and what they print
	config              // YAML, TOML or JSON
)

// order is one instruction to this tool, from a comment above a block:
// <!-- docs: WORD REST -->.
type order struct {
	word, rest string
	line       int
}

// orders are the words that there are, and what the rest behind each is.
var orders = map[string]string{
	"scene":    "[NAME]: everything ends, the folder is empty again",
	"variants": "OLD | NEW | ...: the scene is played once more with each NEW instead of OLD",
	"skip":     "REASON: the block is not run; commands of weft's in it are checked",
	"before":   "COMMAND: is run before the block",
	"after":    "COMMAND: has to succeed after the block, tried again until it does",
	"sees":     "REGEXP: has to be printed by anything in the scene",
	"numbers":  "vary: digits in shown output stand for any",
	"file":     "NAME: the block is written to this file",
	"with":     "TEXT: is put before a configuration that is only a part of one",
	"fails":    "CODE: how each command of the block ends",
	"terminal": "each command of the block has a terminal of its own",
}

// block is one block of code of a document.
type block struct {
	file    string
	line    int    // of its first line of text
	lang    string // of the fence; "" for an indented one
	kind    kind
	text    string
	heading string
	name    string // of a file, where the words before it end in `NAME`:
	orders  []order
}

// has returns the rest of an order's first mention.
func (b block) has(word string) (string, bool) {
	for _, o := range b.orders {
		if o.word == word {
			return o.rest, true
		}
	}
	return "", false
}

// document is a text, cut into what matters here.
type document struct {
	file     string
	blocks   []block
	inline   []block  // what stands between backticks in running text and is a command of weft's or of go
	headings []string // as anchors
	links    []link
}

// link is a reference to a file or an anchor.
type link struct {
	line   int
	target string
}

var (
	comment   = regexp.MustCompile(`^\s*<!--\s*docs:\s*(\S+)\s*(.*?)\s*-->\s*$`)
	fence     = regexp.MustCompile("^(\\s*)```+\\s*([\\w-]*)")
	heading   = regexp.MustCompile(`^#+\s+(.*?)\s*$`)
	backticks = regexp.MustCompile("`([^`]+)`")
	reference = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	named     = regexp.MustCompile("`([\\w.-]+\\.(?:ya?ml|toml|json))`[^`]*:$")
	unanchor  = regexp.MustCompile(`[^\p{L}\p{N}\s_-]`)
)

// parse cuts a document into blocks, links and anchors.
func parse(file, body string) (*document, error) {
	d := &document{file: file}
	lines := strings.Split(body, "\n")
	var waiting []order
	last, title := "", "" // the last line of running text, the heading above
	add := func(b block) {
		b.file, b.heading, b.orders, waiting = file, title, waiting, nil
		if m := named.FindStringSubmatch(last); m != nil {
			b.name = m[1]
		}
		if name, ok := b.has("file"); ok {
			b.name = name
		}
		b.kind = kindOf(b)
		d.blocks = append(d.blocks, b)
		last = ""
	}
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch m, c := fence.FindStringSubmatch(line), comment.FindStringSubmatch(line); {
		case c != nil:
			if _, known := orders[c[1]]; !known {
				return nil, fmt.Errorf("%s:%d: %q is no order to docs: see %s", file, i+1, c[1], "tools/docs/parse.go")
			}
			waiting = append(waiting, order{c[1], c[2], i + 1})
		case m != nil:
			b, end := block{line: i + 2, lang: m[2]}, i+1
			for end < len(lines) && !strings.HasPrefix(strings.TrimSpace(lines[end]), "```") {
				end++
			}
			if end == len(lines) {
				return nil, fmt.Errorf("%s:%d: the block has no end", file, i+1)
			}
			b.text = dedent(lines[i+1:end], m[1])
			if m[2] == "" {
				return nil, fmt.Errorf("%s:%d: the block has no language, such as sh, console, yaml or text", file, i+1)
			}
			add(b)
			i = end
		case strings.HasPrefix(line, "    ") && strings.TrimSpace(line) != "" && (i == 0 || strings.TrimSpace(lines[i-1]) == "" || heading.MatchString(lines[i-1])):
			end := i
			for end < len(lines) && (strings.HasPrefix(lines[end], "    ") || strings.TrimSpace(lines[end]) == "" && more(lines, end)) {
				end++
			}
			add(block{line: i + 1, text: dedent(lines[i:end], "    ")})
			i = end - 1
		default:
			if h := heading.FindStringSubmatch(line); h != nil {
				title = h[1]
				d.headings = append(d.headings, anchor(title))
			}
			d.prose(line, i+1)
			if trimmed := strings.TrimSpace(line); trimmed != "" {
				last = trimmed
			}
		}
	}
	if len(waiting) > 0 {
		return nil, fmt.Errorf("%s:%d: docs: %s has no block below it", file, waiting[0].line, waiting[0].word)
	}
	return d, nil
}

// prose takes the links and the commands between backticks out of a line.
func (d *document) prose(line string, number int) {
	for _, m := range backticks.FindAllStringSubmatch(line, -1) {
		if strings.HasPrefix(m[1], "weft ") || goCall.MatchString(m[1]) {
			d.inline = append(d.inline, block{file: d.file, line: number, text: m[1]})
		}
	}
	for _, m := range reference.FindAllStringSubmatch(backticks.ReplaceAllString(line, ""), -1) {
		d.links = append(d.links, link{number, m[1]})
	}
}

// more tells whether an indented block goes on behind an empty line.
func more(lines []string, at int) bool {
	for ; at < len(lines); at++ {
		if strings.TrimSpace(lines[at]) != "" {
			return strings.HasPrefix(lines[at], "    ")
		}
	}
	return false
}

func dedent(lines []string, prefix string) string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.TrimPrefix(line, prefix)
	}
	return strings.Trim(strings.Join(out, "\n"), "\n") + "\n"
}

func kindOf(b block) kind {
	switch b.lang {
	case "yaml", "toml", "json":
		return config
	case "", "sh", "bash", "console":
		if strings.HasPrefix(b.text, "$ ") {
			return console
		}
		return shell
	}
	return text
}

// anchor is how GitHub calls a heading.
func anchor(title string) string {
	title = unanchor.ReplaceAllString(strings.ToLower(title), "")
	return strings.ReplaceAll(title, " ", "-")
}
