package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weftrun/weft/abi/sdk"
	"github.com/weftrun/weft/tools/build"
)

// templates are what a new project is made of: common to all languages, and one
// folder for each. A file's name loses .tmpl.
//
//go:embed templates
var templates embed.FS

// sdkFolder is where a project has the SDK.
const sdkFolder = "weft-sdk"

// language is what a project of one language needs to be told.
type language struct {
	name, title string
	build       build.Language
	source      string
	install     string // a line of its README, or nothing
	grants      string // what its cases grant, or nothing
	configs     string // the same in a configuration
}

var languages = []language{
	{name: sdk.Rust, title: "Rust", build: build.Rust, source: "src/lib.rs"},
	{
		name: sdk.TinyGo, title: "Go", build: build.Go, source: "main.go",
		grants:  "grants: {wasi: {}}    # for modules of Go's own compiler; TinyGo's need nothing\n",
		configs: ", grants: {wasi: {}}",
	},
	{
		name: sdk.AssemblyScript, title: "AssemblyScript", build: build.AssemblyScript, source: "assembly/index.ts",
		install: "    npm install                     # the compiler, once\n",
	},
}

func languageNames() []string {
	names := make([]string, len(languages))
	for i, l := range languages {
		names[i] = l.name
	}
	return names
}

// findLanguage is the language of that name; tinygo is also called go.
func findLanguage(name string) (*language, bool) {
	if name == "go" {
		name = sdk.TinyGo
	}
	i := slices.IndexFunc(languages, func(l language) bool { return l.name == name })
	if i < 0 {
		return nil, false
	}
	return &languages[i], true
}

// projectFiles are the files of a new project by path: the templates filled in,
// and the SDK.
func projectFiles(name string, l *language) (map[string][]byte, error) {
	fill := strings.NewReplacer(
		"{{name}}", name, "{{type}}", typeOf(name), "{{language}}", l.title, "{{source}}", l.source,
		"{{install}}\n", l.install, "{{grants}}\n", l.grants, "{{configgrants}}", l.configs, "{{asc}}", build.ASCVersion,
	)
	files := map[string][]byte{}
	for _, folder := range []string{"templates/common", "templates/" + l.name} {
		err := fs.WalkDir(templates, folder, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := templates.ReadFile(file)
			to := strings.TrimSuffix(strings.TrimPrefix(file, folder+"/"), ".tmpl")
			if to == "gitignore" {
				to = ".gitignore"
			}
			files[to] = []byte(fill.Replace(string(text)))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, addSDK(files, l.name, sdkFolder)
}

// addSDK adds the SDK of a language below a folder.
func addSDK(files map[string][]byte, language, folder string) error {
	all, err := sdk.Files(language)
	if err != nil {
		return err
	}
	for file, text := range all {
		files[path.Join(folder, file)] = text
	}
	files[path.Join(folder, "NOTICE")] = fmt.Appendf(nil, `The SDK of weft %s for plugins, in %s: https://github.com/weftrun/weft
Licensed under the Apache License, Version 2.0, which is in the file LICENSE beside this one. The license is that of this
folder, not of the project in which it lies.
`, currentVersions().Version, language)
	return nil
}

// typeOf makes the name of a type of a plugin's: rate-limit becomes RateLimit.
func typeOf(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

// writeFiles writes files below a folder, which it makes.
func writeFiles(folder string, files map[string][]byte) error {
	for name, text := range files {
		to := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// replaceSDK puts the SDK that the binary carries into the place of a project's.
// The former one stays until the new one is complete.
func replaceSDK(project string, l build.Language) error {
	i := slices.IndexFunc(languages, func(have language) bool { return have.build == l })
	files := map[string][]byte{}
	if err := addSDK(files, languages[i].name, ""); err != nil {
		return err
	}
	to := filepath.Join(project, sdkFolder)
	if _, err := os.Stat(filepath.Join(to, "NOTICE")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	} else if _, other := os.Stat(to); err != nil && other == nil {
		return fmt.Errorf("%s is no copy of the SDK (it has no NOTICE): it is left alone", to)
	}
	fresh, old := to+".new", to+".old"
	if err := errors.Join(os.RemoveAll(fresh), os.RemoveAll(old)); err != nil {
		return err
	}
	if err := writeFiles(fresh, files); err != nil {
		return err
	}
	if err := os.Rename(to, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(os.Rename(fresh, to), os.RemoveAll(old))
}
