package line_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/tools/line"
)

// root is the module, seen from this folder.
const root = "../.."

func rules(t *testing.T) []line.Rule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := line.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// TestLine is the rule itself: the module keeps its line of dependency.
func TestLine(t *testing.T) {
	breaches, files, err := line.Check(root, rules(t))
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Fatalf("only %d Go files were read: is %s the module?", files, root)
	}
	for _, b := range breaches {
		t.Error(b)
	}
}

// TestRulesBite shows that each rule can fail: an import that it must refuse,
// and one beside it that it must let pass.
func TestRulesBite(t *testing.T) {
	const weft = "github.com/weftrun/weft/"
	for _, c := range []struct {
		file, path string
		rule       string // the rule that refuses it, none if it is allowed
	}{
		{"abi/message.go", weft + "runtime/frame", "abi abi-standard-library"},
		{"abi/message.go", "pgregory.net/rapid", "abi-standard-library"},
		{"abi/message.go", "encoding/binary", ""},
		{"abi/message_test.go", weft + "abi", ""},
		{"abi/message_test.go", weft + "plugins", "abi"},
		{"hostfuncs/kv.go", weft + "plugins", "hostfuncs"},
		{"hostfuncs/kv.go", weft + "abi", ""},
		{"hostfuncs/kv.go", "github.com/tetratelabs/wazero/api", ""},
		{"plugins/load.go", weft + "runtime/config", "plugins"},
		{"plugins/load.go", weft + "hostfuncs", ""},
		{"runtime/frame/decode.go", weft + "runtime/router", "frame"},
		{"runtime/frame/decode.go", weft + "abi", ""},
		{"runtime/router/trie.go", weft + "runtime/session", "router"},
		{"runtime/engine/loop_linux.go", weft + "abi", "engine"},
		{"runtime/engine/loop_linux.go", "golang.org/x/sys/unix", ""},
		{"runtime/kernel/kernel.go", weft + "runtime/engine", "kernel"},
		{"runtime/kernel/kernel.go", "github.com/cilium/ebpf/link", ""},
		{"runtime/config/config.go", weft + "runtime/frame", "config"},
		{"runtime/delivery/fan.go", weft + "runtime/engine", "parts"},
		{"runtime/delivery/fan.go", weft + "runtime/router", ""},
		{"runtime/admin/server.go", weft + "runtime/server", "parts"},
		{"runtime/server/path.go", weft + "tools/load", "server"},
		{"runtime/server/path.go", weft + "runtime/engine", ""},
		{"runtime/server/path.go", "github.com/tetratelabs/wazero", "wazero"},
		{"runtime/server/path.go", "github.com/cilium/ebpf", "ebpf"},
		{"runtime/server/path.go", "golang.org/x/sys/unix", "unix"},
		{"runtime/server/path.go", "github.com/knadh/koanf/v2", "koanf"},
		{"runtime/server/path.go", "github.com/spf13/cobra", "cobra"},
		{"runtime/delivery/log.go", "github.com/nats-io/nats.go", "nats"},
		{"tools/weft/main.go", "github.com/spf13/cobra", ""},
		{"tools/weft/main.go", weft + "runtime/server", ""},
		{"tools/weft/main.go", "log", "logging"},
		{"tools/weft/main.go", "log/slog", ""},
	} {
		var refused []string
		for _, r := range rules(t) {
			if !r.Covers(c.file) {
				continue
			}
			if reason, ok := r.Allows(c.path); !ok {
				if reason == "" {
					t.Errorf("rule %s refuses %s without a reason", r.Name, c.path)
				}
				refused = append(refused, r.Name)
			}
		}
		if got := strings.Join(refused, " "); got != c.rule {
			t.Errorf("%s imports %s: refused by %q, expected %q", c.file, c.path, got, c.rule)
		}
	}
}

func TestCheckFindsABreachAndItsPlace(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("runtime/router/clock_darwin.go", "//go:build darwin\n\npackage router\n\nimport _ \"github.com/weftrun/weft/runtime/engine\"\n")
	write("abi/sdk/tinygo/go.mod", "module elsewhere\n")
	write("abi/sdk/tinygo/sdk.go", "package sdk\n\nimport _ \"example.org/other\"\n")
	breaches, files, err := line.Check(dir, rules(t))
	if err != nil {
		t.Fatal(err)
	}
	if files != 1 || len(breaches) != 1 {
		t.Fatalf("%d files, breaches %v", files, breaches)
	}
	want := "github.com/weftrun/weft/runtime/engine is not allowed here: the router is pure: it knows abi alone (rule router) " +
		filepath.Join("runtime", "router", "clock_darwin.go") + ":5"
	if got := breaches[0].String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	const head = "linters:\n  settings:\n    depguard:\n      rules:\n"
	for name, text := range map[string]string{
		"no rules":     "linters: {}\n",
		"unknown mode": head + "        a: {list-mode: original, files: [x], allow: [y]}\n",
		"overlap":      head + "        a: {list-mode: lax, files: [x], deny: [{pkg: y}, {pkg: y/z}]}\n",
		"no YAML":      "\t",
	} {
		if _, err := line.Parse([]byte(text)); !errors.Is(err, line.ErrRules) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
