package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const graveyard = `
listeners:
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: "readings/one", acknowledge: "", chain: [guest]}
plugins:
  guest:
    file: GUEST
    on_failure: quarantine
    grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}}
api: {address: "127.0.0.1:0"}
`

// startGraveyard runs a weft whose plugin does what lines say, and thus fails on
// the line "trap".
func startGraveyard(t *testing.T) *running {
	t.Helper()
	guest, err := filepath.Abs(filepath.Join("..", "..", "abi", "vectors", "v1.0", "rust.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(graveyard, "GUEST", guest, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return startWeft(t, "-c", file)
}

// letters waits until so many are kept and returns the list.
func (r *running) letters(t *testing.T, want int) letterList {
	t.Helper()
	var list letterList
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		got := weft(t, "deadletter", "list", "--json", "--api="+r.at["api"])
		if err := json.Unmarshal([]byte(got.out), &list); got.code != 0 || err != nil {
			t.Fatalf("%v: %+v", err, got)
		}
		if int(list.Total) == want {
			return list
		}
	}
	t.Fatalf("%d letters, not %d", list.Total, want)
	return list
}

func TestDeadLetters(t *testing.T) {
	r := startGraveyard(t)
	api := "--api=" + r.at["api"]
	if got := weft(t, "deadletter", "list", api); got.code != 0 || got.out != "" || !strings.Contains(got.errOut, "no dead letters") {
		t.Errorf("an empty list: %+v", got)
	}
	for _, line := range []string{"trap", "route dead-letter"} {
		if sent := weft(t, "send", "--to", r.at["lines"], "--frame", "line", "--wait", "0", line); sent.code != 0 {
			t.Fatalf("%+v", sent)
		}
	}
	list := r.letters(t, 2)
	if g := list.Groups; len(g) != 2 || len(list.Letters) != 2 || list.Letters[0].ID <= list.Letters[1].ID {
		t.Errorf("%+v", list)
	}
	got := weft(t, "deadletter", "list", "--cause", "trap", api)
	if got.code != 0 || !strings.Contains(got.out, "readings/one") || !strings.Contains(got.out, "unreachable") || strings.Contains(got.out, " plugin ") {
		t.Errorf("the list: %+v", got)
	}
	trapped := list.Letters[0]
	if trapped.Cause != "trap" {
		trapped = list.Letters[1]
	}
	id := trapped.id()
	got = weft(t, "deadletter", "show", id, api)
	for _, want := range []string{"cause", "trap", "frame as it was received, 5 bytes", "payload as it was when it failed, 4 bytes", "session"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("show lacks %q: %+v", want, got)
		}
	}
	if got = weft(t, "deadletter", "show", id, "--hex", api); !strings.Contains(got.out, "74 72 61 70 0a") {
		t.Errorf("in hexadecimal: %+v", got)
	}
	if got = weft(t, "deadletter", "show", id, "--raw", "frame", api); got.out != "trap\n" {
		t.Errorf("the bytes: %+v", got)
	}
	var whole letterWhole
	if got = weft(t, "deadletter", "show", id, "--json", api); json.Unmarshal([]byte(got.out), &whole) != nil || string(whole.Frame) != "trap\n" || whole.Plugin != "guest" {
		t.Errorf("as JSON: %+v", got)
	}

	if got = weft(t, "deadletter", "replay", "--plugin", "guest", "--dry-run", api); got.code != 0 || strings.Count(got.out, " ready") != 2 {
		t.Errorf("a dry run: %+v", got)
	}
	if got = weft(t, "deadletter", "replay", id, api); got.code != exitRuntime || !strings.Contains(got.out, "dead: guest") {
		t.Errorf("a replay that fails: %+v", got)
	}
	if got = weft(t, "deadletter", "show", id, api); !strings.Contains(got.out, "1 time, last: dead") {
		t.Errorf("after the replay: %+v", got)
	}
	if got = weft(t, "deadletter", "replay", id, "--to", "nobody/listens", "--json", api); got.code != exitRuntime || !strings.Contains(got.out, `"reason":"no_subscriber"`) {
		t.Errorf("a replay that nobody takes: %+v", got)
	}
	seen := make(chan result, 1)
	go func() { seen <- weft(t, "subscribe", "readings/#", "probe", "--count", "2", "--wait", "30s", api) }()
	r.awaitSubscription(t)
	if got = weft(t, "deadletter", "replay", id, "--past-plugins", api); got.code != 0 || !strings.Contains(got.out, id+" delivered to 1") {
		t.Errorf("a replay past the plugins: %+v", got)
	}
	if got := <-seen; !strings.Contains(got.out, "readings/one trap") {
		t.Errorf("the subscriber has %+v", got)
	}
	if got = weft(t, "deadletter", "show", id, api); got.code != exitUsage || !strings.Contains(got.errOut, "no such dead letter") {
		t.Errorf("a delivered letter: %+v", got)
	}
	if got = weft(t, "deadletter", "replay", id, api); got.code != exitUsage || !strings.Contains(got.errOut, "not there any more: 1 letter") || strings.Contains(got.errOut, "and kept") {
		t.Errorf("a replay of a delivered letter: %+v", got)
	}
	r.letters(t, 1)
	if got = weft(t, "deadletter", "purge", "--plugin", "guest", api); got.code != 0 || !strings.Contains(got.out, "1 letter would be deleted") {
		t.Errorf("a purge without --yes: %+v", got)
	}
	if got = weft(t, "deadletter", "purge", "--plugin", "guest", "--yes", api); got.code != 0 || got.out != "1 letter deleted\n" {
		t.Errorf("a purge: %+v", got)
	}
	r.letters(t, 0)
}

func (l *letterLine) id() string {
	b, _ := json.Marshal(l.ID)
	return string(b)
}

func TestDeadLetterUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"show"}, "expected the id"},
		{[]string{"show", "x"}, "is no letter's id"},
		{[]string{"show", "1", "--raw", "topic"}, "payload, frame"},
		{[]string{"replay"}, "--all"},
		{[]string{"replay", "1", "--all"}, "exclude each other"},
		{[]string{"replay", "--all", "--rate", "0"}, "1 to 10000"},
		{[]string{"replay", "1", "--to", "a", "--past-plugins"}, "past-plugins"},
		{[]string{"purge"}, "--all"},
		{[]string{"list", "--cause", "fule"}, "expected route"},
		{[]string{"lst"}, "did you mean list?"},
	} {
		r := weft(t, append([]string{"deadletter"}, c.args...)...)
		if r.code != exitUsage || !strings.Contains(r.errOut, c.says) {
			t.Errorf("weft deadletter %s: %+v", strings.Join(c.args, " "), r)
		}
	}
}
