package backbone_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/backbone/natstest"
)

// What a child of these tests is told.
const (
	logChildDir = "WEFT_LOG_CHILD"
	logChildURL = "WEFT_LOG_URL"
	logChildRun = "WEFT_LOG_RUN"
)

func childOptions(dir, url string) backbone.Options {
	o := backbone.Options{Node: "one", Dir: dir, Size: 1 << 30, Logger: slog.New(slog.DiscardHandler)}
	if url != "" {
		o.URLs, o.Within = []string{url}, 20*time.Second
	}
	return o
}

// TestLogChild appends records, RUN/NUMBER, until it is killed. It says how many are
// acknowledged, and how many wait for the hub.
func TestLogChild(t *testing.T) {
	dir, run := os.Getenv(logChildDir), os.Getenv(logChildRun)
	if dir == "" {
		t.Skip("runs as the child of another test")
	}
	b, err := backbone.Open(t.Context(), childOptions(dir, os.Getenv(logChildURL)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := b.Log(t.Context(), backbone.LogOptions{Name: "killed", Window: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var acked atomic.Int64
	room := make(chan struct{}, 40)
	go func() {
		for i := 0; ; i++ {
			room <- struct{}{}
			id := ""
			if i/500%2 == 1 {
				id = fmt.Sprint(run, "/", i)
			}
			if err := l.Append(id, 0, fmt.Appendf(nil, "%s/%d", run, i), func(a backbone.Appended) {
				if a.Err != nil || a.Duplicate {
					fmt.Printf("wrong %+v\n", a)
				}
				acked.Add(1)
				time.AfterFunc(time.Millisecond, func() { <-room })
			}); err != nil {
				fmt.Println("wrong", err)
			}
		}
	}()
	for {
		fmt.Println("acked", acked.Load(), l.Waiting().Backlog)
		time.Sleep(time.Millisecond)
	}
}

// logChild runs the child until enough says so of what it tells, kills it, and
// returns how many records it was promised.
func logChild(t *testing.T, dir, url string, run int, enough func(acked, backlog int) bool) (acked int) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestLogChild$", "-test.v")
	c.Env = append(os.Environ(), logChildDir+"="+dir, logChildURL+"="+url, logChildRun+"="+strconv.Itoa(run))
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var faults bytes.Buffer
	c.Stderr = &faults
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill := func() { killed = true; _ = c.Process.Kill() }
	late := time.AfterFunc(60*time.Second, func() { _ = c.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text := lines.Text()
		if strings.HasPrefix(text, "wrong") {
			t.Error(text)
		}
		var n, backlog int
		if _, err := fmt.Sscanf(text, "acked %d %d", &n, &backlog); err != nil {
			continue
		}
		acked = n
		if !killed && enough(n, backlog) {
			kill()
		}
	}
	_ = c.Wait()
	if !killed {
		t.Fatalf("run %d ended by itself after %d records: %s", run, acked, faults.Bytes())
	}
	return acked
}

// checkRuns reads the log: of each run it must have all records that were promised,
// each once, in order, and none of a later run before one of an earlier.
func checkRuns(t *testing.T, l *backbone.Log, promised []int) {
	t.Helper()
	run, next := 0, 0
	for from := uint64(0); ; {
		entries, err := l.Read(t.Context(), from, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			var r, n int
			if _, err := fmt.Sscanf(string(e.Record), "%d/%d", &r, &n); err != nil {
				t.Fatal(err)
			}
			for r > run {
				if next < promised[run] {
					t.Fatalf("run %d ends at %d, promised were %d", run, next, promised[run])
				}
				run, next = run+1, 0
			}
			if r != run || n != next {
				t.Fatalf("%s where %d/%d is due", e.Record, run, next)
			}
			next++
			from = e.Seq + 1
		}
	}
	if run != len(promised)-1 || next < promised[run] {
		t.Fatalf("the log ends with %d/%d, promised were %v", run, next, promised)
	}
}

func TestKillLosesNoRecord(t *testing.T) {
	dir, seed := t.TempDir(), rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var promised []int
	for run := range 5 {
		n := 100 + r.IntN(1500)
		promised = append(promised, logChild(t, dir, "", run, func(acked, _ int) bool { return acked >= n }))
	}
	b, err := backbone.Open(t.Context(), childOptions(dir, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	checkRuns(t, openLog(t, b, backbone.LogOptions{Name: "killed", Window: time.Hour}), promised)
}

// The node is killed while it keeps messages for a hub that is away, and while it
// sends them to one that is back.
func TestKillWhileForwarding(t *testing.T) {
	dir, seed := t.TempDir(), rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	hub := natstest.Start(t, natstest.Options{})
	var promised []int
	for run := range 6 {
		before, kept := r.IntN(400), 200+r.IntN(800)
		backAgain, left := run%2 == 0, kept/(1+r.IntN(4))
		away, back := hub.Kill, hub.Start
		if run%3 == 1 {
			away, back = hub.Pause, hub.Resume
		}
		stopped, started := false, false
		promised = append(promised, logChild(t, dir, hub.URL(), run, func(acked, backlog int) bool {
			switch {
			case !stopped && acked > before:
				stopped = true
				away()
			case stopped && !started && backlog > kept && backAgain:
				started = true
				back()
			case started:
				return backlog < left
			case stopped && !backAgain:
				return backlog > kept
			}
			return false
		}))
		if !started {
			back()
		}
	}
	b, err := backbone.Open(t.Context(), childOptions(dir, hub.URL()))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	l := openLog(t, b, backbone.LogOptions{Name: "killed", Window: time.Hour})
	eventually(t, "what waited is there", func() bool { return !l.Waiting().Away })
	checkRuns(t, l, promised)
}
