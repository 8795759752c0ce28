package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/weftrun/weft/runtime/ports"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProcess) != "" {
		main() // which ends the process
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

// result is what a command line did.
type result struct {
	code        int
	out, errOut string
}

func weft(t *testing.T, args ...string) result {
	t.Helper()
	return weftWith(t, "", args...)
}

func weftWith(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	code := run(ctx, system{args: args, stdin: strings.NewReader(stdin), stdout: &out, stderr: &errOut, program: "weft"})
	return result{code, out.String(), errOut.String()}
}

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("listeners:\n  - {name: a, addres: 127.0.0.1:0, frame: line}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := "127.0.0.1:" + unusedPort(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"help"}, exitOK, "Exit codes:"},
		{[]string{"rn"}, exitUsage, "did you mean run?"},
		{[]string{"check", "--confg", "x"}, exitUsage, "did you mean --config?"},
		{[]string{"publish"}, exitUsage, "expected a topic"},
		{[]string{"run", "-c", bad}, exitConfig, `did you mean "address"?`},
		{[]string{"check", "-c", bad}, exitConfig, bad + ":2"},
		{[]string{"run", "-c", bad + ".none.yaml"}, exitConfig, "none.yaml"},
		{[]string{"run", "--driver", "kqueue"}, exitUsage, "auto, epoll, net"},
		{[]string{"publish", "a", "b", "--api", nobody}, exitAPI, "weft run"},
		{[]string{"subscribe", "a", "--api", nobody}, exitAPI, "weft run"},
		{[]string{"send", "--to", nobody, "x"}, exitRuntime, "weft run"},
		{[]string{"send", "--frame", "mcp-sec", "x"}, exitUsage, "did you mean mcp-seq?"},
		{[]string{"send", "--hex", "abc"}, exitUsage, "hexadecimal"},
		{[]string{"bench", "--threshold", "p99"}, exitUsage, "p99=5ms"},
		{[]string{"bench", "--to", nobody}, exitRuntime, "refused"},
		{[]string{"bench", "--token", "x", "--sign"}, exitUsage, "[sign token]"},
		{[]string{"bench", "--rate", "100", "--window", "10"}, exitUsage, "[rate window]"},
		{[]string{"bench", "--key", "x"}, exitUsage, "--sign"},
		{[]string{"bench", "--topic", "a/#"}, exitUsage, "--sign"},
		{[]string{"bench", "--request", "--subscribers", "2"}, exitUsage, "no subscribers"},
		{[]string{"bench", "--template", "{stamp}", "--size", "9"}, exitUsage, "{pad}"},
		{[]string{"bench", "--rate", "0"}, exitUsage, "messages a second"},
		{[]string{"completion", "bash", "x"}, exitUsage, "unknown command"},
		{[]string{"help", "pubish"}, exitUsage, "did you mean publish?"},
		{[]string{"token"}, exitUsage, "--subject"},
		{[]string{"frames", "nothing-like-it"}, exitUsage, "expected one of"},
	} {
		r := weft(t, c.args...)
		if r.code != c.code || !strings.Contains(r.out+r.errOut, c.says) {
			t.Errorf("weft %s: exit code %d, want %d with %q in\n%s%s", strings.Join(c.args, " "), r.code, c.code, c.says, r.out, r.errOut)
		}
	}
}

// unusedPort is one on which nobody listens during the test.
func unusedPort(t *testing.T) string {
	t.Helper()
	port, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return strconv.Itoa(port)
}

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	root := newRoot(system{program: "weft"})
	for _, cmd := range below(root) {
		if cmd.Hidden || cmd.Name() == "help" || strings.HasPrefix(cmd.CommandPath(), "weft completion") {
			continue
		}
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		r := weft(t, args...)
		if r.code != exitOK || !strings.Contains(r.out, "Examples:\n  "+cmd.CommandPath()) {
			t.Errorf("%s --help: %d\n%s%s", cmd.CommandPath(), r.code, r.out, r.errOut)
		}
		if r.errOut != "" {
			t.Errorf("%s --help writes to stderr: %s", cmd.CommandPath(), r.errOut)
		}
	}
}

// below lists the commands below one, and those below them.
func below(parent *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, cmd := range parent.Commands() {
		list = append(append(list, cmd), below(cmd)...)
	}
	return list
}

// asProcess is the variable that makes of the test's binary a weft: its arguments are
// the command line.
const asProcess = "TEST_AS_WEFT"

var update = flag.Bool("update", false, "write testdata/help.txt anew")

// TestHelp keeps the help of every command in one file, so that a change of the
// command line is seen where changes are read. -update writes it.
func TestHelp(t *testing.T) {
	root := newRoot(system{program: "weft"})
	var all strings.Builder
	all.WriteString(weft(t, "--help").out)
	for _, name := range common {
		if _, _, err := root.Find([]string{name}); err != nil {
			t.Errorf("help lists %s, which is no command", name)
		}
		if name == "completion" {
			continue
		}
		fmt.Fprintf(&all, "\n-- weft %s --help\n%s", name, weft(t, name, "--help").out)
	}
	for _, name := range commonPlugin {
		if cmd, _, err := root.Find([]string{"plugin", name}); err == nil && cmd.Name() == name {
			fmt.Fprintf(&all, "\n-- weft plugin %s --help\n%s", name, weft(t, "plugin", name, "--help").out)
		}
	}
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(all.String(), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != line {
			t.Fatalf("%s:%d: the help is not what the file says (go test ./tools/weft -run TestHelp -update)\nwant %q", golden, i+1, line)
		}
	}
}

func TestListingsAsJSON(t *testing.T) {
	if r := weft(t, "frames", "--json"); len(linesOf[map[string]any](t, r)) < 7 {
		t.Errorf("weft frames --json: %+v", r)
	}
	var version map[string]string
	if r := weft(t, "version", "--json"); r.code != 0 || json.Unmarshal([]byte(r.out), &version) != nil || version["abi"] != "1.1" {
		t.Errorf("weft version --json: %+v", r)
	}
	var checks []finding
	if r := weft(t, "check", "--no-addresses", "--json"); r.code != 0 || json.Unmarshal([]byte(r.out), &checks) != nil || len(checks) < 5 {
		t.Errorf("weft check --json: %+v", r)
	}
}

// running is the built-in example on ports of its own.
type running struct {
	at    map[string]string
	stop  func()
	ended chan int
	out   *lockedBuffer
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var addressLine = regexp.MustCompile(`(?m)^  (\w+) +(127\.0\.0\.1:\d+)`)

func startExample(t *testing.T) *running {
	t.Helper()
	return startWeft(t, "--set", "listeners.trucks.address=127.0.0.1:0", "--set", "listeners.lines.address=127.0.0.1:0",
		"--set", "api.address=127.0.0.1:0")
}

// startWeft runs weft with these arguments until the test ends.
func startWeft(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{at: map[string]string{}, stop: stop, ended: make(chan int, 1), out: &lockedBuffer{}, log: &lockedBuffer{}}
	log := r.log
	go func() {
		r.ended <- run(ctx, system{
			args:  append([]string{"run"}, args...),
			stdin: strings.NewReader(""), stdout: r.out, stderr: log, program: "weft",
		})
	}()
	t.Cleanup(func() {
		stop()
		if code := <-r.ended; code != exitOK {
			t.Errorf("weft run ended with %d:\n%s", code, log)
		}
	})
	for !strings.Contains(r.out.String(), "Ctrl-C drains") {
		select {
		case code := <-r.ended:
			r.ended <- code
			t.Fatalf("weft run ended with %d:\n%s", code, log)
		case <-time.After(time.Millisecond):
		}
	}
	for _, m := range addressLine.FindAllStringSubmatch(r.out.String(), -1) {
		r.at[m[1]] = m[2]
	}
	return r
}

func TestTheBuiltInExample(t *testing.T) {
	r := startExample(t)
	api := "--api=" + r.at["api"]
	seen := make(chan result, 1)
	go func() {
		seen <- weft(t, "subscribe", "alarm/#", "probe", "--count", "3", "--wait", "30s", "--json", api)
	}()
	r.awaitSubscription(t)

	sent := weft(t, "send", "--to", r.at["lines"], "--frame", "line", `{"truck":"12","temp":9.5}`)
	if sent.code != 0 || sent.out != "ACK: {\"truck\":\"12\",\"temp\":9.5}\n" {
		t.Errorf("a line: %+v", sent)
	}
	token := strings.TrimSpace(weft(t, "token", "--subject", "truck-7").out)
	sent = weft(t, "send", "--to", r.at["trucks"], "--preface", token, "--wait", "0", `{"temp":8.5}`)
	if sent.code != 0 || sent.errOut != "OK truck-7\n" {
		t.Errorf("a frame with a token: %+v", sent)
	}
	got := <-seen
	if got.code != 0 {
		t.Fatalf("weft subscribe: %+v", got)
	}
	for i, line := range strings.Split(strings.TrimSpace(got.out), "\n")[1:] { // the first one is the probe
		var m received
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if want := []string{"alarm/12", "alarm/truck-7"}[i]; m.Topic != want || m.Attributes["alarm"] != "high" {
			t.Errorf("alarm %d: %s", i, line)
		}
	}
	// Each shows a token of its own: a name has one holder, and weft may not have
	// noticed yet that the last connection is closed.
	token = strings.TrimSpace(weft(t, "token", "--subject", "truck-8").out)
	sent = weft(t, "send", "--to", r.at["trucks"], "--preface", token, "--type", "event", `{"temp":3.5}`)
	if sent.code != 0 || sent.out != "" {
		t.Errorf("an event, which nobody answers: %+v", sent)
	}
	token = strings.TrimSpace(weft(t, "token", "--subject", "truck-9").out)
	sent = weft(t, "send", "--to", r.at["trucks"], "--preface", token, "--wait", "1ms", `{"temp":3.5}`)
	if sent.code != exitRuntime || !strings.Contains(sent.errOut, "no answer came") {
		t.Errorf("a request that nobody answers: %+v", sent)
	}
	forged := strings.TrimSpace(weft(t, "token", "--subject", "truck-7", "--key", "another").out)
	if sent = weft(t, "send", "--to", r.at["trucks"], "--preface", forged, `{"temp":8.5}`); sent.code != exitRuntime || !strings.Contains(sent.errOut, "closed the connection") {
		t.Errorf("a forged token: %+v", sent)
	}
	if p := weft(t, "publish", "alarm/office", "hello", api); p.code != exitRuntime || !strings.Contains(p.out+p.errOut, "no_subscriber") {
		t.Errorf("publishing to nobody: %+v", p)
	}
	b := weft(t, "bench", "--sign", "--to", r.at["trucks"], "--topic", "truck/#", "--count", "2000", "--warmup", "0", "--duration", "20s",
		"--threshold", "lost=0", "--json")
	if b.code != 0 || !strings.Contains(b.out, `"lost": 0`) {
		t.Errorf("weft bench: %+v", b)
	}
	if b = weft(t, "bench", "--sign", "--to", r.at["trucks"], "--topic", "truck/#", "--count", "100", "--duration", "20s", "--warmup", "0",
		"--threshold", "p50=1ns"); b.code != exitFailed || !strings.Contains(b.errOut, "p50") {
		t.Errorf("a threshold that nothing meets: %+v", b)
	}
}

// awaitSubscription waits until somebody listens to alarms.
func (r *running) awaitSubscription(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if p := weft(t, "publish", "probe", "x", "--json", "--api="+r.at["api"]); strings.Contains(p.out, `"delivered":0`) || p.code != 0 {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		return
	}
	t.Fatal("nobody subscribes")
}

func TestThePortIsInUse(t *testing.T) {
	r := startExample(t)
	got := weft(t, "run", "--set", "listeners.lines.address="+r.at["lines"], "--set", "listeners.trucks.address=127.0.0.1:0", "--set", "api.address=127.0.0.1:0")
	if got.code != exitRuntime || !strings.Contains(got.errOut, r.at["lines"]) {
		t.Errorf("%+v", got)
	}
	check := weft(t, "check", "--set", "listeners.lines.address="+r.at["lines"])
	if check.code != exitConfig || !strings.Contains(check.out, "WRONG  lines "+r.at["lines"]) {
		t.Errorf("%+v", check)
	}
}

func TestTheBannerIsCopyAndPaste(t *testing.T) {
	r := startExample(t)
	banner := r.out.String()
	for _, command := range []string{
		"weft subscribe 'alarm/#' --api " + r.at["api"],
		fmt.Sprintf("| nc -N 127.0.0.1 %s", strings.TrimPrefix(r.at["lines"], "127.0.0.1:")),
		"curl -s -H 'Content-Type: application/json' -d ",
		"http://" + r.at["api"] + "/weft.v1.Messages/Publish",
		"weft-demo-key-do-not-use-elsewhere",
	} {
		if !strings.Contains(banner, command) {
			t.Errorf("the banner lacks %q:\n%s", command, banner)
		}
	}
}
