package admin_test

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"
)

// Publishing, asking and a stream of events, by curl as the README has it.
func TestCurlPlain(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		leftOut(t, "curl")
	}
	r := start(t, nil)
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), curl, append([]string{"-sS", "--max-time", "10"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		return string(out)
	}
	stream := exec.CommandContext(t.Context(), curl, "-sS", "-N", "--max-time", "20", r.url+"/v1/subscribe?topic=truck/7")
	pipe, err := stream.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Start(); err != nil {
		t.Fatal(err)
	}
	e := &events{t: t, in: bufio.NewScanner(pipe)}
	if ev := e.next(); ev.kind != "subscribed" {
		t.Fatalf("%+v", ev)
	}
	if got := run("-d", `{"temp":9}`, "-H", "Weft-Attr-Level: high", "-H", "Weft-Priority: 5", r.url+"/v1/publish/truck/7"); got != "{\"accepted\":true,\"delivered\":1}\n" {
		t.Error(got)
	}
	if ev := e.next(); ev.id != "1" || ev.kind != "message" || !strings.Contains(ev.data, `"json":{"temp":9}`) || !strings.Contains(ev.data, `"attributes":{"level":"high"}`) {
		t.Errorf("%+v", ev)
	}
	if err := stream.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = stream.Wait() // killed above
	if got := run("--data-binary", "how warm?", r.url+"/v1/request/devices/7"); got != "re: how warm?" {
		t.Error(got)
	}
	if got := run("-X", "POST", "-w", "%{http_code}", "-H", "Weft-Timeout: 20ms", r.url+"/v1/request/slow"); !strings.Contains(got, "deadline_exceeded") || !strings.HasSuffix(got, "504") {
		t.Error(got)
	}
	if got := run("-H", "Content-Type: application/json", "-d", `{"topic":"devices/7","text":"how warm?","timeout":"2s"}`, r.url+"/weft.v1.Messages/Request"); !strings.Contains(got, `"text":"re: how warm?"`) {
		t.Error(got)
	}
}

// The same by grpcurl, which knows the API by reflection alone.
func TestGrpcurlStreams(t *testing.T) {
	grpcurl, err := exec.LookPath("grpcurl")
	if err != nil {
		leftOut(t, "grpcurl")
	}
	r := start(t, nil)
	address := r.server.Addr().String()
	command := func(data, method string) *exec.Cmd {
		return exec.CommandContext(t.Context(), grpcurl, "-plaintext", "-max-time", "20", "-d", data, address, "weft.v1.Messages/"+method)
	}
	stream := command(`{"patterns":["truck/7"],"as":"ENCODING_TEXT"}`, "Subscribe")
	pipe, err := stream.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	await := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("%q did not come", text)
	}
	await(`"subscribed"`)
	if out, err := command(`{"topic":"truck/7","text":"hello"}`, "Publish").CombinedOutput(); err != nil || !strings.Contains(string(out), `"accepted": true`) {
		t.Errorf("%v: %s", err, out)
	}
	await(`"text": "hello"`)
	if err := stream.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = stream.Wait() // killed above
	if out, err := command(`{"topic":"devices/7","text":"how warm?","timeout":"2s"}`, "Request").CombinedOutput(); err != nil || !strings.Contains(string(out), `"text": "re: how warm?"`) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := command(`{"topic":"slow","timeout":"0.020s"}`, "Request").CombinedOutput(); err == nil || !strings.Contains(string(out), "DeadlineExceeded") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), grpcurl, "-plaintext", address, "describe", "weft.v1.Messages.Request").CombinedOutput(); err != nil || !strings.Contains(string(out), "rpc Request") {
		t.Errorf("%v: %s", err, out)
	}
}
