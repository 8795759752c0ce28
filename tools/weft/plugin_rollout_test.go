package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rolledOut is a running weft whose plugin says what its configuration says.
type rolledOut struct {
	*running
	t           *testing.T
	dir         string
	rust, other string // modules that do the same
	config      string
}

func startRollout(t *testing.T) *rolledOut {
	t.Helper()
	r := &rolledOut{t: t, dir: t.TempDir()}
	vectors, err := filepath.Abs("../../abi/vectors/v1.0")
	if err != nil {
		t.Fatal(err)
	}
	r.rust, r.other = filepath.Join(vectors, "rust.wasm"), filepath.Join(vectors, "assemblyscript.wasm")
	r.config = filepath.Join(r.dir, "weft.yaml")
	r.configure("one")
	r.running = startWeft(t, "-c", r.config)
	return r
}

func (r *rolledOut) configure(says string) {
	r.t.Helper()
	text := fmt.Sprintf(`
watch: false
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, chain: [guest], acknowledge: ""}]
plugins:
  guest:
    file: %q
    watch: false
    grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}, http: {hosts: [localhost]}}
    config: {messages: "reply %s"}
api: {address: "127.0.0.1:0"}
`, r.rust, says)
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// plugin runs a command about plugins, which must end with the code and say the
// text.
func (r *rolledOut) plugin(code int, says string, args ...string) result {
	r.t.Helper()
	got := weft(r.t, append(append([]string{"plugin"}, args...), "--api", r.at["api"])...)
	if got.code != code || !strings.Contains(got.out+got.errOut, says) {
		r.t.Errorf("weft plugin %s: exit code %d, expected %d and %q:\n%s%s", strings.Join(args, " "), got.code, code, says, got.out, got.errOut)
	}
	return got
}

func TestGenerationsFromTheCommandLine(t *testing.T) {
	r := startRollout(t)
	r.plugin(exitOK, "guest   1           live", "list")
	r.plugin(exitUsage, `unknown plugin "gest": did you mean guest?`, "list", "gest")
	r.plugin(exitUsage, `unknown plugin "filter": weft plugin list shows`, "list", "filter")
	r.plugin(exitOK, "nothing to do, it runs already; generation 1 is live", "swap", "guest")
	r.plugin(exitOK, "would be generation 2; generation 1 is live", "swap", "guest", r.other, "--dry-run")
	got := r.plugin(exitConfig, "swap: plugin guest: not a WebAssembly module: it is text\nNothing has changed.", "swap", "guest", r.config)
	if strings.Contains(got.errOut, r.rust) {
		t.Errorf("it blames the plugin's file for the one that was sent: %s", got.errOut)
	}
	r.plugin(exitUsage, "no such file", "swap", "guest", r.other+".none")
	large := filepath.Join(r.dir, "large.wasm")
	if err := os.WriteFile(large, make([]byte, maxSent+1), 0o600); err != nil {
		t.Fatal(err)
	}
	r.plugin(exitUsage, "Put it in the place of the plugin's own file, then: weft plugin swap guest", "swap", "guest", large)
	if err := os.Truncate(large, maxSent); err != nil {
		t.Fatal(err)
	}
	r.plugin(exitConfig, "not a WebAssembly module", "swap", "guest", large) // it was sent whole
	r.plugin(exitUsage, "1 to 100", "canary", "guest", "--weight", "101")
}

func TestACanaryFromTheCommandLine(t *testing.T) {
	r := startRollout(t)
	got := r.plugin(exitOK, "guest: generation 1 is live; generation 2 serves 5% of the sessions, until somebody promotes it", "canary", "guest", r.other, "--weight", "5", "--manual")
	for _, next := range []string{"weft plugin promote guest", "weft plugin rollback guest", "weft plugin canary guest --weight 10"} {
		if !strings.Contains(got.out, next) {
			t.Errorf("the next command %q is not named:\n%s", next, got.out)
		}
	}
	r.plugin(exitOK, "serves 50% of the sessions", "canary", "guest", "--weight", "50")
	r.plugin(exitOK, "canary 50%", "list")
	got = r.plugin(exitOK, "", "list", "--json")
	list := linesOf[shownPlugin](t, got)
	if len(list) != 1 {
		t.Fatalf("it is %s", got.out)
	}
	if p := list[0]; p.State != "canary" || p.Generations[1].Number != 2 || p.Generations[1].Role != "candidate" || p.Trial.Weight != 50 || p.Trial.Mode != "canary" || !p.Trial.Manual {
		t.Errorf("got %+v", p)
	}
	r.plugin(exitOK, "generation 2 is not on trial any more: generation 1 is what is wanted again", "shadow", "guest", "--weight", "5")
	r.plugin(exitOK, "nothing to do", "shadow", "guest", "--weight", "5")
	r.plugin(exitOK, "generation 3 serves 5% of the sessions", "canary", "guest", r.other, "--weight", "5", "--manual")
	r.plugin(exitOK, "generation 3 is live, watched for 30s and 1000 messages", "promote", "guest")
	r.plugin(exitOK, "generation 1 is live\n", "rollback", "guest")
	r.plugin(exitRuntime, "has none before it", "rollback", "guest")
	r.plugin(exitRuntime, "no canary of guest is on trial", "promote", "guest")
}

func TestAShadowFromTheCommandLine(t *testing.T) {
	r := startRollout(t)
	r.configure("two") // which the module that is sent is given only after SIGHUP
	r.plugin(exitOK, "generation 2 sees 100% of the sessions and is compared", "shadow", "guest", r.other, "--weight", "100", "--manual")
	if got := weft(t, "send", "--to", r.at["lines"], "--frame", "line", "x"); got.out != "one\n" {
		t.Errorf("got %+v", got)
	}
	r.plugin(exitOK, "differs in 0 of ", "list", "guest")
	r.plugin(exitOK, "generation 1 is live\n", "rollback", "guest")
}

// TestHangup sends SIGHUP after the configuration has changed.
func TestHangup(t *testing.T) {
	r := startRollout(t)
	r.configure("two")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		got := weft(t, "send", "--to", r.at["lines"], "--frame", "line", "x")
		if got.out == "two\n" {
			return
		}
		if got.out != "one\n" || time.Now().After(end) {
			t.Fatalf("got %+v", got)
		}
	}
}
