package main

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/tools/load"
)

// startWorker runs weft bench --worker as a process until the test ends, and returns
// when it waits for work.
func startWorker(t *testing.T, url string) (*exec.Cmd, *lockedBuffer) {
	t.Helper()
	out := &lockedBuffer{}
	cmd := exec.Command(os.Args[0], "bench", "--worker", "--backbone", url, "--silence", "5s")
	cmd.Env = append(os.Environ(), asProcess+"=1")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	awaitText(t, out, "waits for work")
	return cmd, out
}

func awaitText(t *testing.T, out *lockedBuffer, text string) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !strings.Contains(out.String(), text); {
		if time.Now().After(end) {
			t.Fatalf("no %q:\n%s", text, out.String())
		}
		time.Sleep(10 * time.Millisecond) // another process's output
	}
}

// TestBenchWorkers has a load made by three processes, then kills one of them at work.
func TestBenchWorkers(t *testing.T) {
	r := benchServer(t)
	nats := natstest.Start(t, natstest.Options{})
	var workers []*exec.Cmd
	var outs []*lockedBuffer
	for range 3 {
		cmd, out := startWorker(t, nats.URL())
		workers, outs = append(workers, cmd), append(outs, out)
	}
	html := filepath.Join(t.TempDir(), "report.html")
	base := []string{"bench", "--backbone", nats.URL(), "--to", r.at["plain"], "--frame", "mqtt5", "--topic", "bench/{worker}", "--silence", "5s", "--timeout", "30s"}
	got := weft(t, append(base, "--workers", "3", "--publishers", "6", "--rate", "400", "--duration", "500ms", "--warmup", "0s",
		"--template", `{"s":"{stamp}","v":{random:1..9}}`, "--expect-subset", `{"v":{random:1..9}}`, "--exact", "--json", "--html", html)...)
	var result load.Result
	if err := json.Unmarshal([]byte(got.out), &result); got.code != exitOK || err != nil {
		t.Fatalf("code %d, %v:\n%s%s", got.code, err, got.out, got.errOut)
	}
	if c := result.Counts; c.Sent < 195 || c.Sent > 205 || !c.Clean() || c.Received != c.Sent || c.Elsewhere != 0 || result.Latency.Samples != int64(c.Sent) {
		t.Errorf("%+v, %d latencies", c, result.Latency.Samples)
	}
	if result.Publishers != 6 || result.Subscribers != 3 || len(result.Workers) != 3 || math.Round(result.TargetRate) != 400 || result.Checked == nil || result.Checked.Passed != result.Counts.Sent {
		t.Errorf("%d publishers, %d subscribers, %d workers, target %g, checks %+v", result.Publishers, result.Subscribers, len(result.Workers), result.TargetRate, result.Checked)
	}
	if page, err := os.ReadFile(html); err != nil || !strings.Contains(string(page), "<svg") || strings.Contains(string(page), "http:") {
		t.Errorf("the report: %v, %d bytes", err, len(page))
	}

	if got := weft(t, append(base, "--workers", "4", "--timeout", "1s")...); got.code != exitRuntime || !strings.Contains(got.errOut, "3 of 4 workers answered") {
		t.Errorf("too few workers: %+v", got)
	}
	done := make(chan func() (int, string), 1)
	go func() {
		got := weft(t, append(base, "--workers", "3", "--rate", "100", "--duration", "50s")...)
		done <- func() (int, string) { return got.code, got.out + got.errOut }
	}()
	awaitText(t, outs[1], "1 publishers, 1 subscribers to "+r.at["plain"]+"\n") // the second run
	if err := workers[1].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code, says := (<-done)(); code != exitRuntime || !strings.Contains(says, "has died") {
		t.Errorf("a worker that died: code %d\n%s", code, says)
	}
	awaitText(t, outs[0], "given up the run")
}
