package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// help is what a command of weft's says about itself.
type help struct {
	commands map[string]bool
	flags    map[string]bool // with their dashes
}

var (
	helpFlag    = regexp.MustCompile(`(?m)^\s+(?:(-\w), )?\s*(--[\w-]+)`)
	helpCommand = regexp.MustCompile(`(?m)^  ([a-z]+)\s`)
	invocation  = regexp.MustCompile(`(?m)(?:^|[;|&(]|\bsudo|\./|tools/)\s*weft((?:[ \t]+[^\s;|&)]+)+)`)
	trailing    = regexp.MustCompile(`(?m)(^|\s)#\s.*$`)
	quoted      = regexp.MustCompile(`'[^']*'|"[^"]*"`)
	topKey      = regexp.MustCompile(`(?m)^([a-z_]+):`)
)

// helpOf asks weft about a command.
func (b *bench) helpOf(ctx context.Context, path []string) (help, error) {
	name := strings.Join(path, " ")
	if h, ok := b.helps[name]; ok {
		return h, nil
	}
	out, err := exec.CommandContext(ctx, filepath.Join(b.bin, "weft"), append(path, "--help")...).Output()
	if err != nil {
		return help{}, fmt.Errorf("weft %s --help: %w", name, err)
	}
	h := help{commands: map[string]bool{"help": len(path) == 0}, flags: map[string]bool{}}
	_, flags, _ := strings.Cut(string(out), "\nFlags:\n")
	for _, m := range helpFlag.FindAllStringSubmatch(flags, -1) {
		h.flags[m[1]], h.flags[m[2]] = true, true
	}
	if _, list, found := strings.Cut(string(out), "\nCommands:\n"); found {
		list, _, _ = strings.Cut(list, "\n\n")
		for _, m := range helpCommand.FindAllStringSubmatch(list, -1) {
			h.commands[m[1]] = true
		}
	}
	b.helps[name] = h
	return h, nil
}

// checkFlags finds commands and flags in a block that this weft does not have.
func (b *bench) checkFlags(ctx context.Context, bl block) error {
	text := bl.text
	if bl.kind == console {
		text = ""
		for _, c := range commands(bl, whole) {
			text += c.text + "\n"
		}
	}
	text = trailing.ReplaceAllString(text, "")
	plain := quoted.ReplaceAllString(strings.ReplaceAll(text, "\\\n", " "), "_")
	for _, m := range invocation.FindAllStringSubmatch(plain, -1) {
		path, words := []string(nil), strings.Fields(m[1])
		h, err := b.helpOf(ctx, nil)
		if err != nil {
			return err
		}
		for len(words) > 0 && h.commands[words[0]] {
			path, words = append(path, words[0]), words[1:]
			if path[0] == "help" || path[0] == "completion" {
				words = nil
				break
			}
			if h, err = b.helpOf(ctx, path); err != nil {
				return err
			}
		}
		if len(path) == 0 && len(words) > 0 && !strings.HasPrefix(words[0], "-") || len(h.commands) > 1 && len(words) > 0 && !strings.HasPrefix(words[0], "-") {
			return fmt.Errorf("%s:%d: weft has no command %q", bl.file, bl.line, strings.TrimSpace(m[1]))
		}
		for _, word := range words {
			name, _, _ := strings.Cut(word, "=")
			if len(name) > 1 && name[0] == '-' && !h.flags[name] {
				return fmt.Errorf("%s:%d: weft %s has no flag %s", bl.file, bl.line, strings.Join(path, " "), name)
			}
		}
		b.report.flags++
	}
	return nil
}

// readKeys asks weft which keys a configuration has.
func (b *bench) readKeys(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, filepath.Join(b.bin, "weft"), "config", "schema").Output()
	if err != nil {
		return fmt.Errorf("weft config schema: %w", err)
	}
	var schema struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(out, &schema); err != nil {
		return fmt.Errorf("weft config schema: %w", err)
	}
	if len(schema.Properties) == 0 {
		return errors.New("weft config schema: it has no properties")
	}
	b.keys = map[string]bool{}
	for key := range schema.Properties {
		b.keys[key] = true
	}
	return nil
}

// isConfig tells whether all keys at the top of a text are those of a configuration.
func (b *bench) isConfig(bl block) bool {
	found := topKey.FindAllStringSubmatch(bl.text, -1)
	for _, m := range found {
		if !b.keys[m[1]] {
			return false
		}
	}
	return len(found) > 0
}

// checkConfig has weft check a configuration; a part of one gets a listener first. What
// has a name is there for the commands below it.
func (b *bench) checkConfig(ctx context.Context, t *terminals, bl block) error {
	if bl.name != "" {
		if err := os.WriteFile(filepath.Join(t.folder, bl.name), []byte(bl.text), 0o600); err != nil {
			return err
		}
	}
	if bl.lang != "yaml" || !b.isConfig(bl) {
		if bl.name == "" {
			return fmt.Errorf("%s:%d: is no configuration, and has no name: <!-- docs: file NAME --> or <!-- docs: skip REASON -->", bl.file, bl.line)
		}
		return nil
	}
	full := bl.text
	if with, ok := bl.has("with"); ok {
		full = with + "\n" + full
	}
	if !regexp.MustCompile(`(?m)^listeners:`).MatchString(full) {
		full = "listeners: [{name: docs, address: '127.0.0.1:0', frame: line}]\n" + full
	}
	name := fmt.Sprintf(".docs-%d.yaml", bl.line)
	defer func() { _ = os.Remove(filepath.Join(t.folder, name)) }()
	if err := os.WriteFile(filepath.Join(t.folder, name), []byte(full), 0o600); err != nil {
		return err
	}
	code, output, err := b.within(ctx, t, "weft check --no-addresses -c "+name)
	if err != nil {
		return fmt.Errorf("%s:%d: weft check: %w", bl.file, bl.line, err)
	}
	if code != 0 {
		text, _ := os.ReadFile(output)
		return fmt.Errorf("%s:%d: weft check ends with %d\n%s", bl.file, bl.line, code, text)
	}
	b.report.configs++
	return nil
}
