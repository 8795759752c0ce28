package server_test

import (
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// A file that is empty for a moment ends nothing: no listener, no connection, no plugin.
// One that says that weft listens nowhere has it so.
func TestAnEmptyFileEndsNothing(t *testing.T) {
	yaml := strings.Replace(reloaded, "plugins: {}", `plugins: {p: {file: "std:json-filter", config: {rename: {a: b}}}}`, 1)
	yaml = strings.Replace(yaml, "chain: []", "chain: [p]", 1)
	f := startFiltering(t, "auto", yaml)
	out, in := f.mqtt(packet.V5, "out"), f.dial("in")
	out.subscribes(to("#", 0))
	goesOn := func() {
		t.Helper()
		in.say(text(`{"a":1}`))
		out.hearsOn("a", `{"b":1}`)
	}
	goesOn()
	for _, c := range []struct{ text, says string }{
		{"", "the file is empty"},
		{"# being written\n", "the file is empty"},
		{"\ufeff", "the file is empty"},
		{"loops: 2\nplugins: {}\n", "would leave no listener"},
		{"loops: 2\nlisteners:\n", "would leave no listener"},
	} {
		f.refused(yaml, c.text, nil, c.says)
		if problems, _, _ := f.CheckConfig([]byte(c.text), "yaml"); !strings.Contains(strings.Join(problems, "\n"), c.says) {
			t.Errorf("a check of %q finds %q", c.text, problems)
		}
		goesOn()
	}
	f.reload(yaml, yaml)
	if s := f.ConfigStatus(); !s.Good || s.Last.Result != admin.ReloadUnchanged || f.Metric("weft_config_good") != 1 {
		t.Errorf("once it stands there again: %+v", s)
	}
	goesOn()
	f.reload(yaml, "loops: 2\nlisteners: []\napi: {address: \"\"}\ndead_letter: {topic: \"\"}\n")
	if s := f.ConfigStatus(); s.Last.Result != admin.ReloadApplied || len(f.Addresses()) != 0 {
		t.Errorf("of a file that says it: %+v, %v", s, f.Addresses())
	}
}
