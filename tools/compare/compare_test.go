package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/tools/load"
	"github.com/weftrun/weft/tools/program"
)

var update = flag.Bool("update", false, "write golden files")

// TestMain lets the test binary play a server: fake PORT KIND.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "fake" {
		os.Exit(fake(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

func fake(port, kind string) int {
	fmt.Println("fake server", kind)
	if kind == "dies" {
		return 1
	}
	if kind == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return 1
	}
	for {
		if _, err := ln.Accept(); err != nil {
			return 0
		}
	}
}

func fakeServer(t *testing.T, kind string) server {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := func(_, _ string, port int) ([]string, error) { return []string{"fake", fmt.Sprint(port), kind}, nil }
	return server{peer: peer{name: kind, command: command}, path: path}
}

func gone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH }

func TestServersStartAndEnd(t *testing.T) {
	running, stop, err := startAll(t.Context(), []server{fakeServer(t, "first"), fakeServer(t, "second")})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range running {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if !strings.Contains(p.Tail(), "fake server "+p.name) {
			t.Errorf("log %q", p.Tail())
		}
		if rss, err := load.ProcessMemory(p.PID()); err != nil || rss == 0 {
			t.Errorf("the pid is not the server's: %d bytes, %v", rss, err)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range running {
		if !gone(p.PID()) {
			t.Errorf("%s still runs", p.name)
		}
		if err := p.stop(); err != nil {
			t.Errorf("stopped twice: %v", err)
		}
	}
}

func TestStubbornServerIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the grace time")
	}
	running, stop, err := startAll(t.Context(), []server{fakeServer(t, "stubborn")})
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if !gone(running[0].PID()) || time.Since(started) < graceTime {
		t.Errorf("gone: %t after %v", gone(running[0].PID()), time.Since(started))
	}
}

func TestServerThatDiesSaysWhy(t *testing.T) {
	running, stop, err := startAll(t.Context(), []server{fakeServer(t, "first"), fakeServer(t, "dies")})
	if err == nil || !strings.Contains(err.Error(), "dies ended at once") || !strings.Contains(err.Error(), "fake server dies") {
		t.Errorf("got %v", err)
	}
	if err := stop(); err != nil || !gone(running[0].PID()) {
		t.Errorf("the other one was left behind: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for want, args := range map[string]string{
		"unknown \"kafka\"":           "--peers nats,kafka",
		"unknown \"2to2\"":            "--scenarios 2to2",
		"--rounds 0":                  "--rounds 0",
		"--seconds 0":                 "--seconds 0",
		"--window 0":                  "--window 0",
		"--connections 20000":         "--connections 20000",
		"unexpected argument \"now\"": "now",
		"not defined: -fast":          "--fast",
	} {
		var out, words bytes.Buffer
		if code := program.Run(t.Context(), "compare", tool, strings.Fields(args), &out, &words); code != program.ExitUsage || !strings.Contains(words.String(), want) {
			t.Errorf("%s: exit %d, %q", args, code, words.String())
		}
	}
	var words bytes.Buffer
	if code := program.Run(t.Context(), "compare", tool, []string{"--help"}, &bytes.Buffer{}, &words); code != program.ExitOK || !strings.Contains(words.String(), "-rounds") {
		t.Errorf("help: exit %d, %q", code, words.String())
	}
}

func TestMissingPeersAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var words bytes.Buffer
	o, err := parse([]string{"--peers", "absent"}, &words)
	if err == nil {
		t.Fatal("a peer that does not exist was accepted", o)
	}
	saved := peers
	defer func() { peers = saved }()
	peers = []peer{{name: "absent", locate: look("no-such-server"), remedy: "build one"}}
	if _, err := find(t.Context(), options{peers: []string{"absent"}}, t.TempDir(), &words); err == nil {
		t.Error("no error though nothing is here")
	}
	if want := "absent is not installed and is left out (build one)"; !strings.Contains(words.String(), want) {
		t.Errorf("%q lacks %q", words.String(), want)
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		in   []float64
		want spread
	}{{[]float64{3, 1, 2}, spread{2, 1, 3}}, {[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}}, {[]float64{7}, spread{7, 7, 7}}} {
		if got := spreadOf(test.in); *got != test.want {
			t.Errorf("%v: got %+v", test.in, *got)
		}
	}
	if spreadOf(nil) != nil {
		t.Error("a spread of nothing")
	}
}

func TestReportIsStable(t *testing.T) {
	results := func(scale float64) (all []*load.Result) {
		for _, f := range []float64{1, 1.1, 0.9} {
			all = append(all, &load.Result{
				Measured: load.Measured{Rate: 1e6 * scale * f}, Server: &load.CPU{PerMessage: 0.5 / scale * f},
				Latency: load.Latency{P50: int64(40_000 * f), P99: int64(2_000_000 * f)}, Counts: load.Counts{Lost: uint64(scale) - 1},
			})
		}
		return all
	}
	weft, nats := server{peer: peers[0], about: "weft 1"}, server{peer: peers[1], about: "nats-server: v2"}
	r := newReport(options{rounds: 3, seconds: 1.5, window: 8192}, []server{weft, nats})
	r.Host = host{"linux", "amd64", 2, "a processor", "6.0", "go1.26"}
	traffic, _ := scenarioCalled("1to1-128")
	r.add(traffic, []row{{server: weft, results: results(2)}, {server: nats, results: results(1)}})
	memory, _ := scenarioCalled("memory")
	r.add(memory, []row{{server: weft, bytes: []float64{500}}, {server: nats, bytes: []float64{50_000}}})
	var table, text bytes.Buffer
	if err := r.writeTable(&table); err != nil {
		t.Fatal(err)
	}
	if err := r.writeJSON(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/report.txt", table.Bytes())
	golden(t, "testdata/report.json", text.Bytes())
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\n%s", file, got)
	}
}

// TestAgainstNATS runs everything once against a real server, briefly.
func TestAgainstNATS(t *testing.T) {
	if testing.Short() {
		t.Skip("builds nats-server")
	}
	var out, words bytes.Buffer
	args := strings.Fields("--peers nats --rounds 2 --seconds 1 --connections 200 --json")
	if code := program.Run(t.Context(), "compare", tool, args, &out, &words); code != program.ExitOK {
		t.Fatalf("exit %d: %s", code, words.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Scenarios) != len(scenarios) {
		t.Fatalf("%d scenarios", len(r.Scenarios))
	}
	for _, s := range r.Scenarios {
		row := s.Rows[0]
		if !row.Wrong.Clean() || row.Rate == nil && row.Bytes == nil || row.Rate != nil && row.Rate.Min <= 0 {
			t.Errorf("%s: %+v", s.Name, row)
		}
	}
}
