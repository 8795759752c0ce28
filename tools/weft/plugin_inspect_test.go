package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	passGuest        = "../guests/testdata/pass-rust/pass-rust.wasm"
	conformanceGuest = "../../abi/vectors/v1.0/rust.wasm"
)

// goldenText compares a text with testdata/NAME; -update writes it.
func goldenText(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not what %s says (-update writes it):\n%s", file, got)
	}
}

// TestInspect keeps what is shown of a module. Each build of it has other numbers:
// they are left out.
func TestInspect(t *testing.T) {
	conformance := weft(t, "plugin", "inspect", conformanceGuest)
	pass := weft(t, "plugin", "inspect", passGuest, "--sample", "testdata/sample.yaml")
	if conformance.code != exitOK || pass.code != exitOK {
		t.Fatalf("%+v\n%+v", conformance, pass)
	}
	numbers := regexp.MustCompile(`[0-9a-f]{64}|\b\d+(\.\d+)?\b`)
	goldenText(t, "inspect.txt", numbers.ReplaceAllString(pass.out, "N"))
	for _, want := range []string{
		"imports kv_add, kv_cas, kv_delete, kv_get", ": the commands that begin with kv-",
		"\nto grant it\n  plugins:\n    conformance:\n      file: " + conformanceGuest + "\n      grants:\n        clock: {}\n", "kv: {namespace: NAME, size: 1MiB}\n",
		"handed on to the next generation",
	} {
		if !strings.Contains(conformance.out, want) {
			t.Errorf("no %q in\n%s", want, conformance.out)
		}
	}
}

func TestInspectJSON(t *testing.T) {
	r := weft(t, "plugin", "inspect", "std:jwt-auth", "--json")
	var i inspection
	if r.code != exitOK || json.Unmarshal([]byte(r.out), &i) != nil {
		t.Fatalf("%+v", r)
	}
	if i.Name != "jwt-auth" || i.ABI != "1.1" || len(i.SHA256) != 64 || i.Size == 0 || i.Sections["code"] == 0 || len(i.Hooks) == 0 ||
		i.MemoryBegins == 0 || i.Metering.Functions == 0 || i.Metering.Size <= i.Size || i.Fuel != nil {
		t.Errorf("%+v", i)
	}
	asks := map[string]string{}
	for _, c := range i.Capabilities {
		asks[c.Name] = c.Grant
	}
	if asks["clock"] != "clock: {}" {
		t.Errorf("capabilities %v", asks)
	}
	// The same sample costs the same every time.
	var first inspection
	for range 2 {
		r = weft(t, "plugin", "inspect", passGuest, "--sample", "testdata/sample.yaml", "--json")
		if r.code != exitOK || json.Unmarshal([]byte(r.out), &i) != nil || i.Fuel == nil || i.Fuel.Messages != 2 || i.Fuel.Least == 0 || i.Fuel.Failed != 0 {
			t.Fatalf("%+v", r)
		}
		if first.Fuel != nil && *first.Fuel != *i.Fuel {
			t.Errorf("%+v, before %+v", *i.Fuel, *first.Fuel)
		}
		first = i
	}
}

func TestModuleMistakes(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.wasm")
	if err := os.WriteFile(text, []byte("(module)"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "weft.yaml")
	if err := os.WriteFile(config, []byte("listeners: [{name: a, address: 127.0.0.1:0, frame: line}]\nplugins: {filter: {file: \"std:json-filter\"}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"inspect"}, exitUsage, "the file of one module"},
		{[]string{"inspect", dir + "/none.wasm"}, exitConfig, "weft plugin build"},
		{[]string{"inspect", text}, exitConfig, "wat2wasm"},
		{[]string{"inspect", "std:jwt-aut"}, exitUsage, `did you mean "jwt-auth"?`},
		{[]string{"inspect", passGuest, "-c", config}, exitUsage, "takes a --sample"},
		{[]string{"inspect", passGuest, "--sample", dir + "/none"}, exitUsage, "--sample"},
		{[]string{"inspect", passGuest, "--sample", t.TempDir()}, exitUsage, "no *.yaml"},
		{[]string{"inspect", passGuest, "--sample", text}, exitConfig, "not a recording"},
		{[]string{"inspect", passGuest, "--sample", "testdata/sample.yaml", "-c", config}, exitUsage, "expected --plugin filter"},
		{[]string{"inspect", passGuest, "--sample", "testdata/sample.yaml", "--plugin-config", "{"}, exitUsage, "expected JSON"},
		{[]string{"inspect", "std:json-filter", "--sample", "testdata/sample.yaml", "--plugin-config", `{"rename": 1}`}, exitConfig, "rename"},
	} {
		r := weft(t, append([]string{"plugin"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.out+r.errOut, c.says) {
			t.Errorf("weft plugin %s: exit code %d, want %d with %q in\n%s%s", strings.Join(c.args, " "), r.code, c.code, c.says, r.out, r.errOut)
		}
	}
	if r := weft(t, "plugin", "inspect", "std:json-filter", "--sample", "testdata/sample.yaml", "-c", config, "--plugin", "filter"); r.code != exitOK {
		t.Errorf("with a configuration of weft: %+v", r)
	}
}
