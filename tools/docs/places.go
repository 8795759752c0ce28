package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	goCall = regexp.MustCompile(`(?m)\bgo (?:run|test) [^|;&#\n]*`)
	goFlag = regexp.MustCompile(`(?:^|\s)--?([a-z][\w-]*)`)
	goWord = regexp.MustCompile(`(?:^|\s)(\./[\w./-]+)`)
)

// checkGo finds programs and packages in a block's go run and go test that the
// repository does not have, and flags of its programs that their sources do not name.
func checkGo(repository string, bl block) error {
	for _, call := range goCall.FindAllString(strings.ReplaceAll(bl.text, "\\\n", " "), -1) {
		if strings.HasPrefix(call, "go run ") && !strings.HasPrefix(call, "go run ./") {
			continue // somebody else's program: its arguments are its own
		}
		for _, m := range goWord.FindAllStringSubmatch(call, -1) {
			folder := filepath.Join(repository, strings.TrimSuffix(m[1], "..."))
			if _, err := os.Stat(folder); err != nil {
				return fmt.Errorf("%s:%d: %s: there is no %s", bl.file, bl.line, call, m[1])
			}
			if !strings.HasPrefix(call, "go run ./tools/") || strings.HasPrefix(call, "go run ./tools/weft") {
				continue
			}
			sources, err := sourcesOf(folder)
			if err != nil {
				return err
			}
			_, rest, _ := strings.Cut(call, m[1])
			for _, f := range goFlag.FindAllStringSubmatch(rest, -1) {
				if !strings.Contains(sources, `"`+f[1]+`"`) {
					return fmt.Errorf("%s:%d: %s has no flag -%s", bl.file, bl.line, m[1], f[1])
				}
			}
		}
	}
	return nil
}

// sourcesOf is the text of a folder's Go files.
func sourcesOf(folder string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		all.Write(text)
	}
	return all.String(), nil
}
