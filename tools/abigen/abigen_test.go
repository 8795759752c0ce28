package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFilesAreCurrent fails when a constant was changed in package abi and not
// copied into the SDKs, or changed in an SDK by hand.
func TestFilesAreCurrent(t *testing.T) {
	if err := run("../..", true, io.Discard); err != nil {
		t.Fatal(err)
	}
}

func TestCheckFindsAStaleFile(t *testing.T) {
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "abi"), os.DirFS("../../abi")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "LICENSE"), []byte("a license\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, targets[0].path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), "= 128;", "= 129;", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	err = run(root, true, io.Discard)
	if !errors.Is(err, errStale) || !strings.Contains(err.Error(), targets[0].path) {
		t.Fatalf("a changed record size was not found: %v", err)
	}
	if err := run(root, false, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := run(root, true, io.Discard); err != nil {
		t.Fatalf("after writing: %v", err)
	}
}

func TestLoad(t *testing.T) {
	groups, err := load("../../abi")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, g := range groups {
		for _, c := range g.consts {
			got[c.name] = c.typ + " " + c.val.ExactString()
		}
	}
	for name, want := range map[string]string{
		"RecordSize":      " 128",
		"EffectReserved":  " 40",
		"HookResume":      "Hook 5",
		"VerdictPause":    "Verdict 5",
		"ChangesKnown":    "Changes 255",
		"NeedListener":    "Needs 8796093022208",
		"StatusFailed":    "Status -6",
		"MaxPayload":      " 16777216",
		"ExportOnTick":    ` "weft_on_tick"`,
		"FlagEmitted":     "Flags 8",
		"MetricHistogram": "MetricKind 2",
		"Minor":           " 1",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"CapLog", "I32", "ToNode"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s is the host's own and was copied", name)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"RecordQoS": "RECORD_QOS", "MaxKVKey": "MAX_KV_KEY", "ChangedQoS": "CHANGED_QOS",
		"NeedsAll": "NEEDS_ALL", "MaxQoS": "MAX_QOS", "RecordPayloadTotal": "RECORD_PAYLOAD_TOTAL",
	} {
		if got := upperSnake(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
