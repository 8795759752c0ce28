package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/tools/build"
)

var pluginName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}[a-z0-9]$`)

func pluginNewCommand(sys system) *cobra.Command {
	var lang, folder, update string
	cmd := &cobra.Command{
		Use:   "new NAME --lang LANGUAGE",
		Short: "Makes a project for a plugin: source, cases, the SDK",
		Long: `Makes a folder with a plugin that works: its source, cases for "weft plugin test", a manifest, a README, and the SDK as
source (weft-sdk/). Nothing is downloaded.`,
		Example: `weft plugin new limiter --lang rust
weft plugin new limiter --lang tinygo         # builds with TinyGo, or with Go's own compiler
weft plugin new limiter --lang assemblyscript
weft plugin new --update-sdk limiter          # the SDK of the weft at hand, into an existing project`,
		Args: arguments(0, 1, "the name of the plugin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case update != "" && len(args) == 0 && lang == "" && folder == "":
				return updateSDK(cmd, update)
			case update != "":
				return usageError("--update-sdk takes the folder of a project and nothing else")
			case len(args) == 0:
				return usageError("expected the name of the plugin")
			}
			return newProject(cmd, sys, args[0], lang, folder)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVarP(&lang, "lang", "l", "", "`LANGUAGE`: "+strings.Join(languageNames(), ", "))
	cmd.Flags().StringVar(&folder, "dir", "", "`FOLDER` to make (that of the name, here)")
	cmd.Flags().StringVar(&update, "update-sdk", "", "replace weft-sdk/ in the project in `FOLDER`")
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(languageNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newProject(cmd *cobra.Command, sys system, name, lang, folder string) error {
	l, known := findLanguage(lang)
	switch {
	case !pluginName.MatchString(name):
		return usageError("%q is no name for a plugin: expected small letters, digits and -, a letter first, at least two", name)
	case lang == "":
		return usageError("expected --lang %s", strings.Join(languageNames(), ", or --lang "))
	case !known:
		return usageError("--lang %q: expected %s", lang, strings.Join(languageNames(), ", "))
	}
	if folder == "" {
		folder = name
	}
	if entries, err := os.ReadDir(folder); len(entries) > 0 {
		return usageError("the folder %s is not empty: choose another --dir, or remove what is in it", folder)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder %s: %w", folder, err)
	}
	files, err := projectFiles(name, l)
	if err != nil {
		return err
	}
	if err := writeFiles(folder, files); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n", folder)
	for _, file := range []string{l.source, "manifest.json", "cases/readings.yaml", "weft.yaml", "README.md", sdkFolder + "/"} {
		fmt.Fprintf(cmd.OutOrStdout(), "  %s\n", file)
	}
	note(cmd, "next:")
	if l.install != "" {
		note(cmd, "  npm install --prefix %s", quoted(folder))
	}
	note(cmd, "  %s plugin build %s", sys.program, quoted(folder))
	note(cmd, "  %s plugin test %s", sys.program, quoted(folder))
	return nil
}

func updateSDK(cmd *cobra.Command, folder string) error {
	p, err := build.Open(folder)
	if err != nil {
		return fail(exitConfig, err, "")
	}
	if err := replaceSDK(folder, p.Language); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is that of weft %s now\n", filepath.Join(folder, sdkFolder), currentVersions().Version)
	return err
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./+-]+$`)

// quoted is a word for a command to paste.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
