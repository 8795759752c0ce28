package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/tools/process"
	"github.com/weftrun/weft/tools/program"
)

// build makes one weft for a test.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs weft for seconds")
	}
	path, err := process.Build(t.Context(), t.TempDir(), "weft", "github.com/weftrun/weft/tools/weft")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func runs(t *testing.T, args ...string) (code int, all []*report, words string) {
	t.Helper()
	var out, err bytes.Buffer
	t.Setenv("TMPDIR", t.TempDir())
	code = program.Run(t.Context(), "chaos", tool, append(args, "--json", "--seed", "5"), &out, &err)
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &all); err != nil {
			t.Fatal(err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "weft-chaos-*"))
	if (len(left) > 0) != (code == program.ExitFailed) {
		t.Errorf("exit code %d leaves %q", code, left)
	}
	return code, all, err.String()
}

// TestKill kills weft three times under load: nothing is lost that is in the log,
// and without a log the checker finds what is.
func TestKill(t *testing.T) {
	code, all, words := runs(t, "--scenarios", "memory,kill", "--rounds", "3", "--weft", build(t))
	if code != program.ExitOK || len(all) != 2 {
		t.Fatalf("exit code %d: %s", code, words)
	}
	if without, with := all[0].Verdict, all[1].Verdict; without.lost() == 0 || with.lost() != 0 || with.Acknowledged == 0 {
		t.Errorf("%v; %v", without, with)
	}
	if !strings.Contains(all[1].Command, "--scenarios kill --seed 5 --rounds 3") {
		t.Error(all[1].Command)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--scenarios", "nothing"}, {"--rounds", "-1"}, {"--clients", "0"}, {"--window", "0"}, {"--size", "31"}, {"more"}, {"--strange"},
	} {
		var out, words bytes.Buffer
		if code := program.Run(t.Context(), "chaos", tool, args, &out, &words); code != program.ExitUsage || words.Len() == 0 {
			t.Errorf("%q: exit code %d, %q", args, code, words.String())
		}
	}
	var out, words bytes.Buffer
	if code := program.Run(t.Context(), "chaos", tool, []string{"--list"}, &out, &words); code != program.ExitOK || strings.Count(out.String(), "\n") != len(scenarios()) {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

// TestSeed: what is drawn follows from the seed and the scenario.
func TestSeed(t *testing.T) {
	draw := func(seed uint64, name string) (all [20]int64) {
		r := newRun(options{seed: seed}, scenarioCalled(name), "", "", nil)
		for i := range all {
			all[i] = int64(r.between(killAfter, killUntil))
		}
		return all
	}
	first, again := draw(1, "kill"), draw(1, "kill")
	if first != again || draw(1, "kill") == draw(2, "kill") || draw(1, "kill") == draw(1, "term") {
		t.Error("moments do not follow from seed and scenario")
	}
}

func TestJudges(t *testing.T) {
	lost, none := &verdict{Acknowledged: 2, Consumers: []outcome{{Name: "c", Lost: 1}}}, &verdict{Acknowledged: 2, Consumers: []outcome{{Name: "c"}}}
	for _, s := range scenarios() {
		if strings.HasPrefix(s.name, "slow-") {
			continue
		}
		r := newRun(options{}, s, "", "", nil)
		proves := s.name == "memory" || s.name == "power-interval"
		if got := len(s.judged(r, lost)) == 0; got != proves {
			t.Errorf("%s: a loss passes: %v", s.name, got)
		}
		if got := len(s.judged(r, none)) == 0; got == proves {
			t.Errorf("%s: no loss passes: %v", s.name, got)
		}
	}
}

// TestJudgeSlow: a latency counts where several rounds say so, memory and silence
// always.
func TestJudgeSlow(t *testing.T) {
	good := map[string]float64{"p99_ms_with": 14, "p99_ms_without": 10, "p99_ms_with_least": 14, "p99_ms_without_least": 10, "weft_x_dropped_total": 1}
	for name, test := range map[string]struct {
		change map[string]float64
		paused bool
		want   int
	}{
		"good":                 {nil, false, 0},
		"slower":               {map[string]float64{"p99_ms_with": 30, "p99_ms_with_least": 30}, false, 1},
		"slower now and then":  {map[string]float64{"p99_ms_with": 30}, false, 0},
		"slower, and may be":   {map[string]float64{"p99_ms_with": 30, "p99_ms_with_least": 30}, true, 0},
		"large":                {map[string]float64{"resident_mib_with": 70}, false, 1},
		"something is missing": {map[string]float64{"fast_missing": 1}, false, 1},
		"silent":               {map[string]float64{"weft_x_dropped_total": -1}, false, 1},
	} {
		r := newRun(options{rounds: 5}, scenarioCalled("slow-drop"), "", "", nil)
		maps.Copy(r.figures, good)
		maps.Copy(r.figures, test.change)
		if name == "silent" {
			delete(r.figures, "weft_x_dropped_total")
		}
		if got := judgeSlow(test.paused)(r, nil); len(got) != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestLeftOut: what cannot run here is said, and is no failure.
func TestLeftOut(t *testing.T) {
	s := &scenario{root: true}
	if err := s.can(); (os.Geteuid() != 0) != errors.Is(err, errLeftOut) {
		t.Error(err)
	}
	var b bytes.Buffer
	(&report{Scenario: "x", LeftOut: "needs a thing"}).line(&b)
	if b.String() != "--   x                  needs a thing\n" {
		t.Errorf("%q", b.String())
	}
}
