package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/recording"
)

// recorded writes a recording of the conformance guest, which does what a payload
// says, and returns its file.
func recorded(t *testing.T, h recording.Header, entries ...recording.Entry) string {
	t.Helper()
	var text bytes.Buffer
	w, err := recording.NewWriter(&text, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		e := &entries[i]
		if e.Batch == 0 {
			e.Batch = uint64(i + 1)
		}
		if e.Hook == "" {
			e.Hook = "messages"
		}
		if e.Listener == "" {
			e.Listener = "trucks"
		}
		e.Session, e.Time = max(e.Session, 1), time.Unix(1_700_000_000+int64(i), 0)
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(recording.End{Why: "count"}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "traffic.jsonl")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// says is a message and what was recorded of it.
func says(payload, verdict, out string) recording.Entry {
	e := recording.Entry{Message: recording.Message{Topic: recording.Text("a"), Payload: []byte(payload)}}
	e.Outcome = recording.Outcome{Verdict: verdict, Out: []byte(out)}
	if verdict != "continue" {
		e.Outcome.Cause = "plugin"
	}
	return e
}

func changed(e recording.Entry, c recording.Changed) recording.Entry {
	e.Outcome.Changed = &c
	return e
}

func TestReplayTheSame(t *testing.T) {
	topic, payload := recording.Text("b"), []byte("new")
	attributes := recording.Attributes(abi.Attributes(nil).AppendString("k", "v"))
	emits := says("emit out x retain", "continue", "")
	emits.Outcome.Emitted = []recording.Message{{Topic: recording.Text("out"), Payload: []byte("x"), Flags: abi.FlagRetain | abi.FlagEmitted, Session: 1}}
	subscribes := says("subscribe in/# 1", "continue", "")
	subscribes.Outcome.Subscriptions = []recording.Subscription{{Pattern: recording.Text("in/#"), QoS: 1}}
	subscribes.Batch = 100
	follows := says("listener", "reply", "unknown listener\n")
	follows.Batch = 100
	opens := recording.Entry{Hook: "open", Outcome: recording.Outcome{Verdict: "continue"}}
	traps := says("trap", "drop", "")
	traps.Outcome.Cause = "trap"
	file := recorded(t, recording.Header{Plugin: "conformance"},
		opens, says("drop reason", "drop", "reason"), changed(says("topic b", "continue", ""), recording.Changed{Topic: &topic}),
		changed(says("payload new\nset k v", "continue", ""), recording.Changed{Payload: &payload, Attributes: &attributes}),
		emits, subscribes, follows, says("wall", "reply", "wall 1700000007000000000\n"), traps,
	)
	for _, args := range [][]string{nil, {"--against", strings.Replace(conformanceGuest, "rust", "assemblyscript", 1)}} {
		r := weft(t, append([]string{"plugin", "replay", conformanceGuest, file, "--fail-on-difference"}, args...)...)
		if r.code != exitOK || !strings.Contains(r.out, "9 messages, 9 the same, 0 different\nthe candidate failed: trap 1\n") {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

func TestReplayDifferences(t *testing.T) {
	topic, json1, json2 := recording.Text("b"), []byte(`{"a":1,"b":2}`), []byte("text")
	attributes := recording.Attributes(abi.Attributes(nil).AppendString("k", "w").AppendString("l", "x"))
	emits := says("emit out x", "continue", "")
	emits.Outcome.Emitted = []recording.Message{{Topic: recording.Text("elsewhere"), Payload: []byte("x")}}
	one := says("emits 2 out", "continue", "")
	subscribes := says("subscribe in/# 1", "continue", "")
	file := recorded(t, recording.Header{Plugin: "conformance"},
		says("drop reason", "continue", ""), says("drop reason", "drop", "another"), changed(says("topic c", "continue", ""), recording.Changed{Topic: &topic}),
		changed(says(`payload {"a":1,"b":3}`, "continue", ""), recording.Changed{Payload: &json1}),
		changed(says("payload 0x00ff", "continue", ""), recording.Changed{Payload: &json2}),
		changed(says("set k v", "continue", ""), recording.Changed{Attributes: &attributes}),
		says("remember identity t7\npriority 7", "continue", ""), emits, one, subscribes, says("trap", "continue", ""), says("", "continue", ""),
	)
	r := weft(t, "plugin", "replay", conformanceGuest, file, "--fail-on-difference", "--show", "0")
	if r.code != exitFailed {
		t.Errorf("%+v", r)
	}
	goldenText(t, "replay.txt", regexp.MustCompile(`(fuel a message, candidate:) \d+`).ReplaceAllString(r.out, "$1 N"))
	var report replayReport
	r = weft(t, "plugin", "replay", conformanceGuest, file, "--json", "--show", "2")
	if r.code != exitOK || json.Unmarshal([]byte(r.out), &report) != nil || report.Messages != 12 || report.Different != 11 || len(report.Differences) != 2 ||
		report.Fields["verdict"] != 2 || report.Fields["payload"] != 2 || report.Causes["trap"] != 1 || report.CutOff || report.Differences[0].Line != 2 {
		t.Errorf("%+v", r)
	}
}

func TestReplayMistakes(t *testing.T) {
	good := recorded(t, recording.Header{Plugin: "p"}, says("", "continue", ""))
	chain := recorded(t, recording.Header{Listener: "trucks", Chain: []string{"auth", "filter"}}, says("", "continue", ""))
	alone := recorded(t, recording.Header{Listener: "trucks", Chain: []string{"filter"}}, says("", "continue", ""))
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, append(bytes.TrimSuffix(text, []byte("\n")), "\n{\"batch\":3,\n"...)[:len(text)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{conformanceGuest}, exitUsage, "a module and a recording"},
		{[]string{conformanceGuest, bad + ".none"}, exitConfig, "weft plugin record"},
		{[]string{conformanceGuest, conformanceGuest}, exitConfig, "not a recording"},
		{[]string{conformanceGuest, bad}, exitConfig, "line 3"},
		{[]string{conformanceGuest, chain}, exitConfig, "--against"},
		{[]string{conformanceGuest, chain, "--against", conformanceGuest}, exitOK, "1 the same"},
		{[]string{conformanceGuest, alone}, exitOK, "1 the same"},
		{[]string{passGuest + "x", good}, exitConfig, "no such file"},
		{[]string{conformanceGuest, good, "--show", "-1"}, exitUsage, "--show"},
		{[]string{conformanceGuest, good, "--plugin-config", `{"error":"not so"}`}, exitConfig, "not so"},
	} {
		r := weft(t, append([]string{"plugin", "replay"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.out+r.errOut, c.says) {
			t.Errorf("weft plugin replay %s: exit code %d, want %d with %q in\n%s%s", strings.Join(c.args, " "), r.code, c.code, c.says, r.out, r.errOut)
		}
	}
}

func TestBench(t *testing.T) {
	var rows []benchRow
	r := weft(t, "plugin", "bench", passGuest, "--batch", "1,64", "--payload", "0,16,20,128", "--time", "5ms", "--json")
	if r.code != exitOK || json.Unmarshal([]byte(r.out), &rows) != nil || len(rows) != 8 {
		t.Fatalf("%+v", r)
	}
	for _, row := range rows {
		if row.Messages == 0 || row.Nanos <= 0 || row.Fuel <= 0 || row.In < 128 || row.Failed != 0 {
			t.Errorf("%+v", row)
		}
	}
	if r = weft(t, "plugin", "bench", passGuest, "--sample", "testdata/sample.yaml", "--batch", "3", "--time", "5ms"); r.code != exitOK || !strings.Contains(r.out, "sample") {
		t.Errorf("%+v", r)
	}
	if r = weft(t, "plugin", "bench", conformanceGuest, "--plugin-config", `{"messages":"trap"}`, "--batch", "1", "--payload", "9", "--time", "5ms"); r.code != exitRuntime || !strings.Contains(r.errOut, "messages failed: the figures are those of failing") {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct{ flag, value, says string }{
		{"--batch", "0", "1 to 4096"}, {"--payload", "-1", "0 to"}, {"--time", "0s", "up to"}, {"--batch", "x", "invalid"},
	} {
		if r := weft(t, "plugin", "bench", passGuest, c.flag, c.value); r.code != exitUsage || !strings.Contains(r.errOut, c.says) {
			t.Errorf("%s %s: %+v", c.flag, c.value, r)
		}
	}
	for size := range 200 {
		if p := benchPayload(size); len(p) != size || size > 0 && !json.Valid(p) {
			t.Errorf("payload of %d: %q", size, p)
		}
	}
}

// What became of a message after a pause is no message to replay.
func TestReplayLeavesOutWhatWasResumed(t *testing.T) {
	resumed := says("trap", "reply", "yes")
	resumed.Hook = "resume"
	file := recorded(t, recording.Header{Plugin: "conformance"}, says("drop x", "drop", "x"), resumed, says("drop x", "drop", "x"))
	var report replayReport
	r := weft(t, "plugin", "replay", conformanceGuest, file, "--json", "--fail-on-difference")
	if r.code != exitOK || json.Unmarshal([]byte(r.out), &report) != nil || report.Messages != 2 || report.Resumed != 1 || len(report.Causes) != 0 {
		t.Errorf("%+v", r)
	}
}
