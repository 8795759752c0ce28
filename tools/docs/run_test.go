package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stage is a bench without weft: what is played is ordinary commands.
func stage(t *testing.T) *bench {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		if os.Getenv("WEFT_REQUIRE_TOOLCHAINS") == "true" {
			t.Fatal(err)
		}
		t.Skip("LEFT OUT: bash is not here, which plays the documents' commands")
	}
	scratch := t.TempDir()
	return &bench{repository: scratch, scratch: scratch, bin: filepath.Join(scratch, "bin"), patience: time.Minute, whole: time.Minute, helps: map[string]help{}, report: &report{}}
}

func playText(t *testing.T, b *bench, body string) error {
	t.Helper()
	d, err := parse("x.md", body)
	if err != nil {
		t.Fatal(err)
	}
	return b.play(t.Context(), scenes(d)[0])
}

func TestPlay(t *testing.T) {
	b := stage(t)
	err := playText(t, b, "<!-- docs: before here=before -->\n<!-- docs: sees ^job \\d -->\n<!-- docs: after test -e made -->\n"+
		"```sh\nx=\"$here and after\"\n(sleep 0.2; echo job 1; touch made) &\ncat <<'END' >file\n$x\nEND\nf() {\n  echo \"$x\"\n}\n```\n"+
		"```console\n$ f\nbefore and after\n$ cat file; kill %1; wait $! || true\n$x\n```\n"+
		"```sh\ntail -f file # in a terminal of its own\necho more >>file\necho 17 # prints 17\n```\n"+
		"<!-- docs: fails 3 -->\n```sh\n(exit 3)\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	if b.report.commands != 10 {
		t.Errorf("%d commands", b.report.commands)
	}
}

func TestPlayFails(t *testing.T) {
	for name, body := range map[string]string{
		"before: until false; do sleep 0.1; done: it has not ended": "<!-- docs: before until false; do sleep 0.1; done -->\n```sh\ntrue\n```\n",
		"after: until false; do sleep 0.1; done: it has not ended":  "<!-- docs: after until false; do sleep 0.1; done -->\n```sh\ntrue\n```\n",
		"line 2: sleep 1000: it has not ended":                      "```sh\nsleep 1000\n```\n",
		"ends with 1":                                               "```sh\nfalse\n```\n",
		"nobody does":                                               "```console\n$ echo one\ntwo\n```\n",
		"nobody has printed":                                        "<!-- docs: sees two -->\n```sh\necho one\n```\n",
		"after: false":                                              "<!-- docs: after false -->\n```sh\necho one\n```\n",
		"before: ends with 1":                                       "<!-- docs: before false -->\n```sh\necho one\n```\n",
		"the shell has ended":                                       "```sh\nexit 0\n```\n",
		"ends with 0":                                               "<!-- docs: fails 3 -->\n```sh\ntrue\n```\n",
		"says no reason":                                            "<!-- docs: skip -->\n```sh\ntrue\n```\n",
		"is no configuration":                                       "```yaml\nnothing: true\n```\n",
	} {
		b := stage(t)
		b.patience, b.whole = 300*time.Millisecond, 2*time.Second
		if err := playText(t, b, body); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNothingIsLeft: what commands leave behind, in jobs and in terminals, ends with the
// scene.
func TestNothingIsLeft(t *testing.T) {
	b := stage(t)
	pids := filepath.Join(t.TempDir(), "pids")
	err := playText(t, b, "```sh\nsleep 1000 & echo $! >>"+pids+"\n(echo $BASHPID >>"+pids+"; exec sleep 1000) # in a terminal of its own\nuntil [ $(wc -l <"+pids+") = 2 ]; do sleep 0.1; done\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(string(text))
	if len(list) != 2 {
		t.Fatalf("pids %q", text)
	}
	for _, pid := range list {
		// One that has ended may still have an entry: whoever is its parent now reaps it.
		stat, _ := os.ReadFile("/proc/" + pid + "/stat")
		if err := exec.Command("kill", "-0", pid).Run(); err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("process %s is left", pid)
		}
	}
}
