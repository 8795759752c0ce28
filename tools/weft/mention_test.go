package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mention is a command line in a text: a command, perhaps one below it, and what follows of
// flags and of words in capitals, which stand for arguments.
var (
	mention = regexp.MustCompile(`\bweft ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?((?: -{1,2}[a-z][a-z-]*| [A-Z]{2,}\b)*)`)
	filled  = regexp.MustCompile(`\$?\{+[^}]*\}+`) // what a template fills in
)

// TestCommandsThatTextsName: where an error, a remedy, an alert, a help text or the console
// names a command, there is one, and it takes the flags and arguments that are named.
// The guides' commands are run by tools/docs.
func TestCommandsThatTextsName(t *testing.T) {
	root, found := newRoot(system{}), 0
	judge := func(file, line string) {
		for _, m := range mention.FindAllStringSubmatch(filled.ReplaceAllString(line, "FILLED"), -1) {
			cmd, _, err := root.Find([]string{m[1]})
			if err != nil || cmd == root {
				continue // prose: weft is, weft knows
			}
			found++
			if cmd.HasSubCommands() && m[2] != "" {
				below, _, err := root.Find([]string{m[1], m[2]})
				if m[2] == "signature" {
					continue // what is signed begins with "weft plugin signature v1"
				}
				if err != nil || below == cmd {
					t.Errorf("%s: %q: there is no weft %s %s", file, m[0], m[1], m[2])
					continue
				}
				cmd = below
			}
			arguments := 0
			for word := range strings.FieldsSeq(m[3]) {
				flag := cmd.Flags().Lookup(strings.TrimPrefix(word, "--"))
				switch {
				case !strings.HasPrefix(word, "-"):
					arguments++
					continue
				case word == "--help":
					continue
				case !strings.HasPrefix(word, "--"):
					flag = cmd.Flags().ShorthandLookup(word[1:])
				}
				if flag == nil {
					t.Errorf("%s: %q: weft %s has no flag %s", file, m[0], cmd.Name(), word)
				} else if flag.NoOptDefVal == "" {
					arguments-- // the word behind it is its value
				}
			}
			if arguments <= 0 {
				continue // it is named, not written out
			}
			if err := cmd.ValidateArgs(make([]string, arguments)); err != nil {
				t.Errorf("%s: %q: %v", file, m[0], err)
			}
		}
	}
	for _, folder := range []string{"runtime", "plugins", "hostfuncs", "abi", "tools/weft", "configs", "examples"} {
		err := filepath.WalkDir(filepath.Join("..", "..", filepath.FromSlash(folder)), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "dist" || entry.Name() == "testdata" || entry.Name() == "target"):
				return filepath.SkipDir
			case entry.IsDir() || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			switch filepath.Ext(path) {
			case ".go", ".tsx", ".ts", ".yaml", ".proto", ".service":
			default:
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(text)) {
				judge(path, line)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 100 {
		t.Errorf("only %d commands are named: the search finds them no more", found)
	}
	t.Logf("%d commands", found)
}

// TestGroupsRefuseWhatTheyDoNotHave: a word that is no command below one is a mistake.
func TestGroupsRefuseWhatTheyDoNotHave(t *testing.T) {
	root := newRoot(system{})
	groups := 0
	for _, cmd := range below(root) {
		if !cmd.HasSubCommands() || cmd.Name() == "completion" || cmd.Name() == "help" {
			continue
		}
		groups++
		r := weft(t, append(strings.Fields(cmd.CommandPath())[1:], "blok")...)
		if r.code != exitUsage || !strings.Contains(r.errOut, `unknown command "blok"`) || r.out != "" {
			t.Errorf("%s blok: %d\n%s%s", cmd.CommandPath(), r.code, r.out, r.errOut)
		}
		if r = weft(t, strings.Fields(cmd.CommandPath())[1:]...); r.code != exitOK || !strings.Contains(r.out, "Examples:") {
			t.Errorf("%s: %d\n%s%s", cmd.CommandPath(), r.code, r.out, r.errOut)
		}
	}
	if groups < 10 {
		t.Errorf("%d groups", groups)
	}
}
