package config_test

import (
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

// A document that is empty for a moment, or that was cut off, leaves what runs as it is; one
// that says so may leave no listener.
func TestEmptied(t *testing.T) {
	from := load(t, config.Options{File: "x.yaml", Data: []byte(running)})
	nowhere := load(t, config.Options{File: "x.yaml", Data: []byte("listeners: []\n")})
	blank := load(t, config.Options{File: "x.yaml", Data: []byte{}})
	for _, c := range []struct{ file, text, says string }{
		{"x.yaml", "", "the file is empty"},
		{"x.yaml", " \n\n", "the file is empty"},
		{"x.yaml", "# nothing\n---\n# but comments\n", "the file is empty"},
		{"x.yaml", "\ufeff", "the file is empty"},
		{"x.yaml", "\ufeff# a comment\n", "the file is empty"},
		{"x.yaml", "{}", "the file is empty"},
		{"x.toml", "", "the file is empty"},
		{"x.toml", "# a comment\n", "the file is empty"},
		{"x.json", "\n", "the file is empty"},
		{"x.json", "{}", "the file is empty"},
		{"x.yaml", "loops: 1\n", "would leave no listener"},
		{"x.yaml", "listeners:\n", "would leave no listener"},
		{"x.json", `{"loops": 1, "listeners": null}`, "would leave no listener"},
		{"x.yaml", "listeners: []\n", ""},
		{"x.toml", "listeners = []\n", ""},
		{"x.json", `{"listeners": []}`, ""},
		{"x.yaml", running, ""},
	} {
		to := load(t, config.Options{File: c.file, Data: []byte(c.text)})
		says := func(running *config.Config) string {
			if err := to.Emptied(running); err != nil {
				return err.Error()
			}
			return ""
		}
		got := says(from)
		if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s %q: %q, expected %q", c.file, c.text, got, c.says)
		}
		if got != "" && (!strings.Contains(got, "write listeners: []") || !strings.Contains(got, c.file)) {
			t.Errorf("%s %q: no remedy, or no place: %s", c.file, c.text, got)
		}
		if to.Blank() != (c.says == "the file is empty") {
			t.Errorf("%s %q: blank is %v", c.file, c.text, to.Blank())
		}
		if got := says(blank); got != "" {
			t.Errorf("%s %q: where the running one was empty, too: %s", c.file, c.text, got)
		}
		if got := says(nowhere); (got != "") != to.Blank() {
			t.Errorf("%s %q: where nobody listens: %q", c.file, c.text, got)
		}
	}
	to := load(t, config.Options{File: "x.yaml", Data: []byte("loops: 1"), Overrides: map[string]string{"listeners": "[]"}})
	if err := to.Emptied(from); err != nil {
		t.Errorf("said by an override: %v", err)
	}
	if err := config.Default().Emptied(from); err != nil || config.Default().Blank() {
		t.Errorf("without a file: %v", err)
	}
}
