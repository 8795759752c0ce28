package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/tools/load"
)

// benchServer has a listener of each kind that bench has something to say to.
func benchServer(t *testing.T) *running {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "weft.yaml")
	yaml := `
listeners:
  - {name: plain, address: "127.0.0.1:0", frame: mqtt}
  - {name: lines, address: "127.0.0.1:0", frame: line, subscribe: ["raw/lines"]}
  - {name: modbus, address: "127.0.0.1:0", frame: modbus-tcp, chain: [registers]}
plugins:
  registers:
    file: "std:modbus-registers"
    grants: {kv: {namespace: plant}, publish: {topics: ["plant/#"]}}
    config: {topic: "plant/{unit}/{name}", registers: [{at: 40001, name: temperature, value: 100}, {at: 40002, name: humidity, value: 85}]}
api: {address: "127.0.0.1:0"}
`
	if err := os.WriteFile(conf, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return startWeft(t, "-c", conf)
}

// TestBenchLoads measures over each protocol, in each way of pacing, with checks that pass
// and checks that fail.
func TestBenchLoads(t *testing.T) {
	r := benchServer(t)
	mqtt := []string{"--to", r.at["plain"], "--frame", "mqtt5"}
	api := []string{"--to", r.at["api"], "--frame", "api"}
	modbus := []string{"--to", r.at["modbus"], "--frame", "modbus-tcp"}
	const good = "0 lost, 0 duplicate, 0 out of order"
	for name, c := range map[string]struct {
		base, args []string
		code       int
		says       string
	}{
		"api":           {api, []string{"--topic", "bench/{client}", "--publishers", "2", "--exact"}, exitOK, good},
		"api, large":    {api, []string{"--size", "20000", "--exact"}, exitOK, good},
		"api, nobody":   {api, []string{"--subscribers", "0"}, exitFailed, "no_subscriber"},
		"api, no":       {api, []string{"--request"}, exitFailed, "not_found"},
		"modbus":        {modbus, []string{"--registers", "1:40001:2", "--expect", `^\x04\x00\x64\x00\x55$`}, exitOK, "0 failed"},
		"modbus, rate":  {modbus, []string{"--registers", "1:40001:1", "--publishers", "2", "--rate", "200"}, exitOK, "target"},
		"modbus, no":    {modbus, []string{"--registers", "1:40009:1"}, exitFailed, "exception 2"},
		"modbus, what":  {modbus, nil, exitUsage, "--registers is missing"},
		"modbus, where": {modbus, []string{"--registers", "1:50000000:1"}, exitUsage, "expected UNIT:ADDRESS:COUNT"},
		"ramp":          {mqtt, []string{"--ramp", "100..400", "--steps", "3", "--hold", "50ms"}, exitOK, "step 4"},
		"ramp, evenly":  {mqtt, []string{"--ramp", "100..400", "--steps", "1", "--exact"}, exitOK, "step 1"},
		"ramp, what":    {mqtt, []string{"--ramp", "100"}, exitUsage, "expected FROM..TO"},
		"knee":          {mqtt, []string{"--find-knee", "--p99", "20s", "--rate", "100", "--max-rate", "150"}, exitOK, "the highest that was tried"},
		"no knee":       {mqtt, []string{"--find-knee", "--p99", "1ns", "--rate", "100"}, exitFailed, "even 100 messages a second"},
		"same draw": {mqtt, []string{"--rate", "500", "--template", `{"s":"{stamp}","v":{random:1..1000000},"n":{seq},"c":{client},"x":"{choice:a|b}"}`,
			"--expect-subset", `{"v":{random:1..1000000},"n":{seq},"c":{client},"x":"{choice:a|b}"}`, "--publishers", "2", "--topics", "3", "--topic", "a/{n}"}, exitOK, "0 failed"},
		"other draw": {mqtt, []string{"--rate", "500", "--template", `{"s":"{stamp}","v":{random:1..1000000}}`, "--expect-subset", `{"v":{random:1..1000000#b}}`}, exitFailed, "json_differs"},
		"no json":    {mqtt, []string{"--rate", "500", "--expect-json", `1`}, exitFailed, "not_json"},
		"no match":   {mqtt, []string{"--rate", "500", "--expect", "^$"}, exitFailed, "no_match"},
		"late":       {mqtt, []string{"--rate", "500", "--expect-within", "1ns"}, exitFailed, "late"},
		"template":   {mqtt, []string{"--template", "{stamp}{random:1}"}, exitRuntime, "expected such as {random:1..100}"},
		"threshold":  {mqtt, []string{"--threshold", "out_of_order=0", "--threshold", "p50=1ns"}, exitFailed, "p50 is"},
	} {
		args := append(append([]string{"bench", "--duration", "100ms", "--warmup", "20ms"}, c.base...), c.args...)
		if got := weft(t, args...); got.code != c.code || !strings.Contains(got.out+got.errOut, c.says) {
			t.Errorf("%s: %q: code %d, want %d with %q:\n%s%s", name, args, got.code, c.code, c.says, got.out, got.errOut)
		}
	}
	got := weft(t, append([]string{"bench", "--to", r.at["plain"], "--frame", "mqtt5"}, "--duration", "100ms", "--warmup", "0s", "--ramp", "200..400", "--steps", "2", "--json")...)
	var result load.Result
	if err := json.Unmarshal([]byte(got.out), &result); err != nil {
		t.Fatalf("%v:\n%s%s", err, got.out, got.errOut)
	}
	if len(result.Steps) != 2 || result.Steps[0].TargetRate != 200 || result.Steps[1].TargetRate != 400 || len(result.Series) < 2 || result.About == nil {
		t.Errorf("%s", got.out)
	}
}
