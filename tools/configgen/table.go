package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/weftrun/weft/runtime/config"
)

const head = "# Every key of the configuration\n\n" +
	"<!-- Written by go run ./tools/configgen from the structs of runtime/config. Do not edit. -->\n\n" +
	"`[]` stands for each entry of a list, `NAME` for a name that the configuration gives. A size is a number of bytes or a number\n" +
	"with a unit (`64KiB`, `10MB`), a duration has units (`500ms`, `1m30s`), a percentage a sign (`5%`), a rate its time (`1000/s`,\n" +
	"`10/h`). `weft config print --origins` says what holds and where it comes from, `weft config schema` prints the JSON Schema.\n" +
	"A change takes effect when the file is read again (reload) or when weft is started again (restart); of a list or a mapping\n" +
	"from names the entry says so for what is added or taken away.\n"

// table is the keys as Markdown, a table for each key of the first level.
func table(keys []config.Key) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	section := ""
	for _, k := range keys {
		if top := topOf(k.Path); top != section {
			section = top
			fmt.Fprintf(&b, "\n## %s\n\n| key | type | default | a change | meaning |\n| --- | --- | --- | --- | --- |\n", section)
		}
		fallback := "required"
		switch {
		case k.Default != "":
			fallback = "`" + k.Default + "`"
		case !k.Required:
			fallback = ""
		}
		change := "reload"
		switch {
		case k.Mapping:
			change = ""
		case config.TakesRestart(k.Path):
			change = "restart"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Path, cell(k.Type), cell(fallback), change, cell(k.Meaning))
	}
	return b.Bytes()
}

// topOf is the first key of a path.
func topOf(path string) string {
	top, _, _ := strings.Cut(path, ".")
	return strings.TrimSuffix(top, "[]")
}

// cell keeps text from ending its cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
