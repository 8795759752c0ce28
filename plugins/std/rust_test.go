package std_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRustUnits compiles the Rust plugins for this machine and runs the tests
// beside their code: hashes and signatures against the standards' own vectors,
// base64, errors of the configuration. The checks see to it that it is not skipped
// there (.ci/run sdk).
func TestRustUnits(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for some seconds")
	}
	rustc, err := exec.LookPath("/usr/bin/rustc") // another toolchain on the PATH may be older or newer
	if err != nil {
		if rustc, err = exec.LookPath("rustc"); err != nil {
			t.Skip("no rustc; on Debian: apt-get install -y --no-install-recommends rustc")
		}
	}
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no cc, with which rustc links; on Debian: apt-get install -y --no-install-recommends gcc libc6-dev")
	}
	compile := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), rustc, append([]string{"--edition", "2021"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	dir := t.TempDir()
	sdk := filepath.Join(dir, "libweft.rlib")
	compile("--crate-type", "rlib", "--crate-name", "weft", "-o", sdk, "../../abi/sdk/rust/src/lib.rs")
	for _, name := range []string{"json-to-protobuf", "jwt-auth", "modbus-registers", "rate-limit", "topic-router"} {
		tests := filepath.Join(dir, name)
		compile("--test", "--crate-name", "plugin", "-A", "dead_code", "--extern", "weft="+sdk, "-o", tests, filepath.Join(name, "plugin.rs"))
		if out, err := exec.CommandContext(t.Context(), tests).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		} else {
			t.Logf("%s: %s", name, out)
		}
	}
}
