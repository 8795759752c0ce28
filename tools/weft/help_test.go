package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestGuides: the guide that a command's help names is there, and so is its heading.
func TestGuides(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		file, part, _ := strings.Cut(strings.TrimPrefix(guideOf(cmd), guides), "#")
		text, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Errorf("%s: %v", cmd.CommandPath(), err)
			return
		}
		title := regexp.MustCompile(`(?im)^#+ ` + strings.ReplaceAll(part, "-", "[ ,]+") + `$`)
		if part != "" && !title.Match(text) {
			t.Errorf("%s: %s has no heading %s", cmd.CommandPath(), file, part)
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRoot(system{}))
}
