package main

import (
	"fmt"
	"strings"
)

// scene is blocks that belong together: they have one folder, and what one of them
// starts is there for the next.
type scene struct {
	name     string // the document, and the heading under which it begins
	blocks   []block
	variants []string // the first text is what the document has
}

// scenes cuts a document where it says so: <!-- docs: scene -->.
func scenes(d *document) []scene {
	var list []scene
	for _, b := range d.blocks {
		if b.kind == text && b.name == "" {
			continue
		}
		name, cut := b.has("scene")
		if cut || len(list) == 0 {
			if name == "" {
				name = b.heading
			}
			list = append(list, scene{name: fmt.Sprintf("%s:%d %s", b.file, b.line, name)})
		}
		s := &list[len(list)-1]
		s.blocks = append(s.blocks, b)
		if rest, ok := b.has("variants"); ok {
			for _, v := range strings.Split(rest, "|") {
				s.variants = append(s.variants, strings.TrimSpace(v))
			}
		}
	}
	return list
}

// variant is the scene with another text in the place of the first one.
func (s scene) variant(i int) scene {
	if i == 0 {
		return s
	}
	replaced := scene{name: s.name + " (" + s.variants[i] + ")"}
	for _, b := range s.blocks {
		b.text = strings.ReplaceAll(b.text, s.variants[0], s.variants[i])
		replaced.blocks = append(replaced.blocks, b)
	}
	return replaced
}

// command is one command of a block, with what the document says that it prints.
type command struct {
	text  string
	line  int
	shown []string
}

// commands takes a block apart. whole tells whether a text is a whole command: a
// here-document, a function or a loop has several lines.
func commands(b block, whole func(string) bool) []command {
	var list []command
	pending, begun := "", 0
	for i, line := range strings.Split(strings.TrimRight(b.text, "\n"), "\n") {
		switch {
		case b.kind == console && pending == "" && !strings.HasPrefix(line, "$ "):
			if strings.TrimSpace(line) != "" && len(list) > 0 {
				list[len(list)-1].shown = append(list[len(list)-1].shown, line)
			}
			continue
		case pending == "":
			trimmed := strings.TrimSpace(line)
			if b.kind == shell && (trimmed == "" || strings.HasPrefix(trimmed, "#")) {
				continue
			}
			pending, begun = strings.TrimPrefix(line, "$ "), b.line+i
		default:
			pending += "\n" + strings.TrimPrefix(line, "> ")
		}
		if whole(pending) {
			list = append(list, command{pending, begun, prints(pending)})
			pending = ""
		}
	}
	if pending != "" {
		list = append(list, command{pending, begun, nil})
	}
	return list
}

// prints takes "# prints TEXT" from the end of a command.
func prints(command string) []string {
	_, said, found := strings.Cut(command, "# prints")
	if !found || strings.Contains(said, "\n") {
		return nil
	}
	said = strings.TrimSpace(strings.TrimPrefix(said, ":"))
	return []string{"..." + said + "..."}
}
