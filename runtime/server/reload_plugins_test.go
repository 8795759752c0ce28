package server_test

import (
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// Several plugins that change in one reload change together: if one of them cannot be
// built, refuses its configuration, or does not take over the state of the one before it,
// the others stay as well, and so does everything else.
func TestPluginsChangeTogether(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		guest := func(config string) string {
			return strings.ReplaceAll(vectorsGuest, "WEB", "localhost") + "\n    config: " + config + "\n"
		}
		one, next := guest(`{messages: "topic one"}`), guest(`{messages: "topic next"}`)
		const state = "\n    file: ../../tools/soak/stateful/stateful.wasm\n    grants: {metrics: {}}\n"
		config := strings.Replace(reloaded, "chain: []", "chain: [one, two]", 1)
		config = strings.Replace(config, "plugins: {}\n", "plugins:\n  one:"+one+"  two:"+state, 1)
		f := startFiltering(t, driver, config)
		out, in := f.mqtt(packet.V5, "out"), f.dial("in")
		out.subscribes(to("#", 0))
		hears := passes(in, out)
		hears("one")
		for _, c := range []struct{ what, two, says string }{
			{"it is not there", strings.Replace(state, "stateful.wasm", "nowhere.wasm", 1), "nowhere.wasm"},
			{"it refuses its configuration", guest(`{error: "on purpose"}`), "on purpose"},
			{"it does not take over the state", guest(`{messages: continue}`), "not a count"},
		} {
			text := strings.NewReplacer(one, next, "  two:"+state, "  two:"+c.two, "when: {topic: t}", "when: {topic: one}").Replace(config)
			f.yaml.Store(&text)
			err := f.Reload(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "test.yaml:") {
				t.Errorf("%s: %v", c.what, err)
			}
			hears("one")
			list, err := f.Rollouts().List(t.Context(), nil)
			if err != nil || len(list) != 2 || list[0].GetLive().GetNumber() != 1 || list[1].GetLive().GetNumber() != 1 || list[0].GetCandidate() != nil {
				t.Errorf("%s: %v, %v", c.what, list, err)
			}
		}
		if s := f.ConfigStatus(); s.Refused != 3 || s.Last.Result != admin.ReloadRefused {
			t.Errorf("%+v", s)
		}
		text := strings.NewReplacer(one, next, "  two:"+state, "  two:"+strings.Replace(state, "metrics: {}", "metrics: {}, log: {}", 1)).Replace(config)
		f.yaml.Store(&text)
		if err := f.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		hears("next")
		list, err := f.Rollouts().List(t.Context(), nil)
		if err != nil || len(list) != 2 || list[0].GetPrevious().GetNumber() != 1 || list[1].GetPrevious().GetNumber() != 1 {
			t.Errorf("%v, %v", list, err)
		}
		if l := f.Ledger(); l.Lost() != 0 {
			t.Errorf("%+v", l)
		}
	})
}
