package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const withConverters = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line}]
converters:
  pack: {from: json, to: cbor}
  unpack: {from: cbor, to: json}
api: {address: "127.0.0.1:0"}
`

// answerOnce answers the first request on the topic with this payload, and gives what
// was asked.
func answerOnce(t *testing.T, api, topic string, args ...string) <-chan string {
	t.Helper()
	asked := make(chan string, 1)
	go func() {
		got := weft(t, "subscribe", topic, "--count", "1", "--wait", "30s", "--json", api)
		var m received
		if err := json.Unmarshal([]byte(got.out), &m); err != nil {
			t.Errorf("%+v: %v", got, err)
			asked <- ""
			return
		}
		if p := weft(t, append([]string{"publish", m.Attributes["response_topic"], api}, args...)...); p.code != 0 {
			t.Errorf("the answer: %+v", p)
		}
		asked <- got.out
	}()
	return asked
}

// ask asks until somebody is there to answer.
func ask(t *testing.T, args ...string) result {
	t.Helper()
	for range 1000 {
		if got := weft(t, append([]string{"request"}, args...)...); !strings.Contains(got.errOut, "nobody is there to answer") {
			return got
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("nobody answers")
	return result{}
}

func TestRequest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte(withConverters), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startWeft(t, "-c", file)
	api := "--api=" + r.at["api"]

	asked := answerOnce(t, api, "devices/7", `{"temperature":9.5}`)
	if got := ask(t, "devices/7", "how warm?", "-a", "unit=celsius", api); got.code != 0 || got.out != "{\"temperature\":9.5}\n" {
		t.Errorf("%+v", got)
	}
	if line := <-asked; !strings.Contains(line, `"text":"how warm?"`) || !strings.Contains(line, `"type":"request"`) || !strings.Contains(line, `"unit":"celsius"`) {
		t.Error(line)
	}
	// Devices speak CBOR, people JSON.
	asked = answerOnce(t, api, "devices/8", `{"n":1}`, "--convert", "pack")
	if got := ask(t, "devices/8", `{"q":true}`, "--convert", "pack", "--answer-convert", "unpack", "--json", api); got.code != 0 || !strings.Contains(got.out, `"json":{"n":1}`) {
		t.Errorf("%+v", got)
	}
	if line := <-asked; !strings.Contains(line, `"payload":"oWFx9Q=="`) || !strings.Contains(line, `"content_type":"application/cbor"`) {
		t.Error(line)
	}
	raw := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(raw, []byte("\x00\xff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	asked = answerOnce(t, api, "devices/9", "--file", raw)
	if got := ask(t, "devices/9", "--raw", api); got.code != 0 || got.out != "\x00\xff\n" {
		t.Errorf("%+v", got)
	}
	<-asked

	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"request", "nobody", api}, exitRuntime, "weft subscribe 'nobody'"},
		{[]string{"request", "a", "--timeout", "1h", api}, exitUsage, "at most 5m0s"},
		{[]string{"request", "a", "b", "--file", raw, api}, exitUsage, "given twice"},
		{[]string{"request", "a", "--file", raw + ".none", api}, exitUsage, "no such file"},
		{[]string{"request", "a", "--raw", "--json", api}, exitUsage, "[raw json]"},
		{[]string{"request", "a", "--convert", "pac", api}, exitUsage, "it has pack, unpack"},
		{[]string{"publish", "a", "{", "--convert", "pack", api}, exitUsage, "converter pack: json at byte 1"},
		{[]string{"subscribe", "a", "--as", "jsn", api}, exitUsage, "expected auto, json, text, bytes"},
		{[]string{"subscribe", "a", "--convert", "x", api}, exitUsage, `no converter "x"`},
		{[]string{"request", "a", "--api", "127.0.0.1:" + unusedPort(t)}, exitAPI, "weft run"},
	} {
		if got := weft(t, c.args...); got.code != c.code || !strings.Contains(got.errOut, c.says) {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
	seen := make(chan result, 1)
	go func() { seen <- weft(t, "subscribe", "quiet", "--count", "1", "--wait", "30s", api) }()
	if got := ask(t, "quiet", "--timeout", "20ms", api); got.code != exitRuntime || !strings.Contains(got.errOut, `no answer to "quiet" within 20ms`) || !strings.Contains(got.errOut, "--timeout waits longer") {
		t.Errorf("%+v", got)
	}
	<-seen
}

func TestCheckNamesWhatConvertersLack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	text := strings.Replace(withConverters, "unpack: {from: cbor, to: json}", "unpack: {from: protobuf, to: json, descriptor: weft.yaml, message: acme.Telemetry}", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := weft(t, "check", "--no-addresses", "-c", file); got.code != exitConfig || !strings.Contains(got.out, "converters.unpack") || !strings.Contains(got.out, "no FileDescriptorSet") {
		t.Errorf("%+v", got)
	}
}
