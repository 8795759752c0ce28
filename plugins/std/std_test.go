package std_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/plugins/std"
)

func TestOpen(t *testing.T) {
	want := []string{"json-filter", "json-to-protobuf", "jwt-auth", "modbus-registers", "rate-limit", "topic-router"}
	if got := std.Names(); !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	for _, name := range std.Names() {
		if b, err := std.Open(name); err != nil || !strings.HasPrefix(string(b), "\x00asm") {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	for name, hint := range map[string]string{
		"jwt":          `did you mean "jwt-auth"?`,
		"jwtauth":      `did you mean "jwt-auth"?`,
		"topic_router": `did you mean "topic-router"?`,
		"json-filter2": `did you mean "json-filter"?`,
		"":             "expected one of json-filter, json-to-protobuf, jwt-auth, modbus-registers, rate-limit, topic-router",
		"x":            "expected one of json-filter, json-to-protobuf, jwt-auth, modbus-registers, rate-limit, topic-router",
		"../std":       "expected one of",
		"mqtt-bridge":  "expected one of",
	} {
		if _, err := std.Open(name); !errors.Is(err, std.ErrUnknown) || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %v, want %s", name, err, hint)
		}
	}
}

// TestManifests: every plugin says what it is called and what it asks for, and
// loads with no more than that.
func TestManifests(t *testing.T) {
	configs := map[string]string{"jwt-auth": authConfig, "json-filter": normaliseConfig, "topic-router": routeConfig, "rate-limit": rateConfig, "modbus-registers": modbusConfig, "json-to-protobuf": protobufConfig("t.All", "")}
	env := newEnv(t)
	for _, name := range std.Names() {
		p, err := load(t, env, use{name: name, config: configs[name], noClock: name != "jwt-auth" && name != "rate-limit"})
		if err != nil {
			t.Fatal(err)
		}
		if m := p.Description().Manifest; m.Name != name || m.Version == "" || m.Description == "" {
			t.Errorf("the manifest of %s is %+v", name, m)
		}
	}
}
