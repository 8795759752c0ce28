package clients

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const broker = `
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
api: {address: ""}
`

// seconds is how long a client of mosquitto's waits for what it is to get.
var seconds = fmt.Sprint(int(patience.Seconds()))

// versions are those of the protocol, as mosquitto's clients call them.
var versions = []string{"311", "5"}

// mosquitto is one of mosquitto's clients, running.
type mosquitto struct {
	t   *testing.T
	cmd *exec.Cmd
	out *lines
}

// run starts a client against the listener.
func (w *weft) run(program, version string, args ...string) *mosquitto {
	w.t.Helper()
	host, port, err := net.SplitHostPort(w.address("mqtt"))
	if err != nil {
		w.t.Fatal(err)
	}
	args = append([]string{"-h", host, "-p", port, "-V", version}, args...)
	// What they print would otherwise wait until it is much.
	args = append([]string{"-oL", need(w.t, program)}, args...)
	m := &mosquitto{t: w.t, cmd: exec.Command(need(w.t, "stdbuf"), args...), out: newLines()}
	m.cmd.Stderr = os.Stderr
	out := pipe(w.t, m.cmd.StdoutPipe)
	if err := m.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go m.out.read(out)
	w.t.Cleanup(m.kill)
	return m
}

func (m *mosquitto) kill() {
	if m.cmd.ProcessState == nil {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
	}
}

// wait waits until the client has ended and answers its exit code.
func (m *mosquitto) wait() int {
	m.t.Helper()
	kill := time.AfterFunc(patience, func() { _ = m.cmd.Process.Kill() })
	defer kill.Stop()
	<-m.out.ended
	_ = m.cmd.Wait()
	return m.cmd.ProcessState.ExitCode()
}

// done waits until the client has ended well.
func (m *mosquitto) done() {
	m.t.Helper()
	if code := m.wait(); code != 0 {
		m.t.Fatalf("%s ended with %d:\n%s", m.cmd, code, m.out.all())
	}
}

// subscribe starts mosquitto_sub, which prints "> " and the format for each
// message, and waits until it is subscribed.
func (w *weft) subscribe(version, format string, args ...string) *mosquitto {
	w.t.Helper()
	m := w.run("mosquitto_sub", version, append([]string{"-d", "-F", "> " + format, "-W", seconds}, args...)...)
	m.out.await(w.t, "SUBACK", func(line string) bool { return strings.HasPrefix(line, "Subscribed") })
	return m
}

// hears waits for the next message.
func (m *mosquitto) hears(want string) {
	m.t.Helper()
	line := m.out.await(m.t, fmt.Sprintf("message %q", want), func(line string) bool { return strings.HasPrefix(line, "> ") })
	if got := strings.TrimPrefix(line, "> "); got != want {
		m.t.Fatalf("got %q, want %q\n%s", got, want, m.out.all())
	}
}

func (w *weft) publish(version string, args ...string) {
	w.t.Helper()
	w.run("mosquitto_pub", version, args...).done()
}

func eachVersion(t *testing.T, run func(t *testing.T, version string)) {
	for _, v := range versions {
		t.Run(v, func(t *testing.T) { run(t, v) })
	}
}

func TestMosquittoQoS(t *testing.T) {
	eachVersion(t, func(t *testing.T, v string) {
		w := start(t, broker)
		for qos := range 3 {
			for sub := range 3 {
				q, s := fmt.Sprint(qos), fmt.Sprint(sub)
				m := w.subscribe(v, "%t %p %q %r", "-t", "plant/+/temperature", "-q", s, "-C", "2")
				w.publish(v, "-t", "plant/a/temperature", "-m", "21 degrees", "-q", q)
				m.hears(fmt.Sprintf("plant/a/temperature 21 degrees %d 0", min(qos, sub))) // first: that one has ended says nothing of QoS 0
				w.publish(v, "-t", "plant/b/temperature", "-n", "-q", q)
				m.hears(fmt.Sprintf("plant/b/temperature  %d 0", min(qos, sub)))
				m.done()
			}
		}
	})
}

func TestMosquittoRetained(t *testing.T) {
	eachVersion(t, func(t *testing.T, v string) {
		w := start(t, broker)
		w.publish(v, "-t", "state/door", "-m", "open", "-r", "-q", "1")
		light := w.subscribe(v, "%t %p %q %r", "-t", "state/light")
		w.publish(v, "-t", "state/light", "-m", "on", "-r")
		light.hears("state/light on 0 0") // of QoS 0 nothing else says that it has come
		m := w.subscribe(v, "%t %p %q %r", "-t", "state/door", "-q", "1")
		m.hears("state/door open 1 1")
		w.publish(v, "-t", "state/door", "-m", "shut", "-r", "-q", "1")
		m.hears("state/door shut 1 0")
		m.kill()
		w.publish(v, "-t", "state/door", "-n", "-r", "-q", "1")
		m = w.subscribe(v, "%t %p %q %r", "-t", "state/#", "-q", "1")
		m.hears("state/light on 0 1")
		w.publish(v, "-t", "state/end", "-m", "x")
		m.hears("state/end x 0 0") // and nothing of the door
	})
}

func TestMosquittoWill(t *testing.T) {
	eachVersion(t, func(t *testing.T, v string) {
		w := start(t, broker)
		watcher := w.subscribe(v, "%t %p %q %r", "-t", "gone/#", "-q", "1")
		dying := w.subscribe(v, "%p", "-t", "x", "--will-topic", "gone/pump", "--will-payload", "the pump", "--will-qos", "1", "--will-retain")
		dying.kill()
		watcher.hears("gone/pump the pump 1 0")
		late := w.subscribe(v, "%t %p %q %r", "-t", "gone/#", "-q", "1")
		late.hears("gone/pump the pump 1 1")
		well := w.subscribe(v, "%p", "-t", "x", "-C", "1", "--will-topic", "gone/fan", "--will-payload", "the fan")
		w.publish(v, "-t", "x", "-m", "go")
		well.done()
		w.publish(v, "-t", "gone/end", "-m", "end")
		watcher.hears("gone/end end 0 0") // no will of who said goodbye
	})
}

func TestMosquittoPersistentSession(t *testing.T) {
	eachVersion(t, func(t *testing.T, v string) {
		w := start(t, broker)
		args := []string{"-i", "meter-7", "-c", "-t", "orders/#", "-q", "2"}
		first := w.subscribe(v, "%t %p %q", append(args, "-C", "1")...)
		w.publish(v, "-t", "orders/0", "-m", "m0", "-q", "1")
		first.hears("orders/0 m0 1")
		first.done()
		for i := 1; i <= 5; i++ {
			w.publish(v, "-t", fmt.Sprintf("orders/%d", i), "-m", fmt.Sprintf("m%d", i), "-q", "2")
		}
		again := w.run("mosquitto_sub", v, append(args, "-F", "> %t %p %q", "-C", "5", "-W", seconds)...)
		for i := 1; i <= 5; i++ {
			again.hears(fmt.Sprintf("orders/%d m%d 2", i, i))
		}
		again.done()
	})
}

func TestMosquittoSharedSubscription(t *testing.T) {
	w := start(t, broker)
	one := w.subscribe("5", "%p", "-t", "$share/workers/jobs/#", "-t", "end", "-q", "1", "-i", "one")
	two := w.subscribe("5", "%p", "-t", "$share/workers/jobs/#", "-t", "end", "-q", "1", "-i", "two")
	const jobs = 10
	for i := range jobs {
		w.publish("5", "-t", "jobs/x", "-m", fmt.Sprint(i), "-q", "1")
	}
	seen := map[string]int{}
	for late := time.After(patience); len(seen) < jobs; {
		line := ""
		select {
		case line = <-one.out.next:
		case line = <-two.out.next:
		case <-late:
			t.Fatalf("only %v came", seen)
		}
		if strings.HasPrefix(line, "> ") {
			if seen[line]++; seen[line] > 1 {
				t.Fatalf("a job came twice: %v", seen)
			}
		}
	}
	w.publish("5", "-t", "end", "-m", "end", "-q", "1")
	one.hears("end") // and no job again
	two.hears("end")
}

func TestMosquittoProperties(t *testing.T) {
	w := start(t, broker)
	m := w.subscribe("5", "%t|%p|%P|%C|%D|%R", "-t", "props/#", "-q", "1")
	w.publish("5", "-t", "props/a", "-m", "x", "-q", "1",
		"-D", "publish", "user-property", "colour", "blue", "-D", "publish", "user-property", "size", "7",
		"-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic", "answers/1",
		"-D", "publish", "correlation-data", "c-1", "-D", "publish", "topic-alias", "3")
	m.hears("props/a|x|colour:blue size:7|text/plain|c-1|answers/1")
}

func TestMosquittoManyWithAnAlias(t *testing.T) {
	w := start(t, broker)
	m := w.subscribe("5", "%t %p", "-t", "alias/#", "-q", "1")
	in := w.feed("5", "one\ntwo\nthree\n", "-t", "alias/long/topic", "-q", "1", "-l", "-D", "publish", "topic-alias", "1")
	in.done()
	for _, want := range []string{"one", "two", "three"} {
		m.hears("alias/long/topic " + want)
	}
}

// feed runs mosquitto_pub with an input.
func (w *weft) feed(version, input string, args ...string) *mosquitto {
	w.t.Helper()
	host, port, _ := net.SplitHostPort(w.address("mqtt"))
	m := &mosquitto{t: w.t, out: newLines()}
	m.cmd = exec.Command(need(w.t, "mosquitto_pub"), append([]string{"-h", host, "-p", port, "-V", version}, args...)...)
	m.cmd.Stdin, m.cmd.Stderr = strings.NewReader(input), os.Stderr
	out := pipe(w.t, m.cmd.StdoutPipe)
	if err := m.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go m.out.read(out)
	w.t.Cleanup(m.kill)
	return m
}

func TestMosquittoExpiry(t *testing.T) {
	w := start(t, broker)
	w.publish("5", "-t", "short/a", "-m", "a", "-r", "-q", "1", "-D", "publish", "message-expiry-interval", "1")
	w.publish("5", "-t", "short/b", "-m", "b", "-r", "-q", "1", "-D", "publish", "message-expiry-interval", "600")
	until := time.Now().Add(1500 * time.Millisecond)
	for time.Now().Before(until) { // time itself is what is tested here
		time.Sleep(50 * time.Millisecond)
	}
	m := w.subscribe("5", "%t %p", "-t", "short/#", "-q", "1")
	m.hears("short/b b")
	w.publish("5", "-t", "short/end", "-m", "end")
	m.hears("short/end end") // and not what has expired
}

// TestMosquittoBlocked: a client whose address is blocked is refused, and gets in again
// when it is not.
func TestMosquittoBlocked(t *testing.T) {
	w := start(t, strings.Replace(broker, `api: {address: ""}`, `api: {address: "127.0.0.1:0"}`, 1))
	w.publish("5", "-t", "a", "-m", "x")
	call := func(method, body string) {
		t.Helper()
		r, err := http.Post("http://"+w.address("api")+"/weft.v1.FastPath/"+method, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		if r.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(r.Body)
			t.Fatalf("%s: %s: %s", method, r.Status, text)
		}
	}
	call("Block", `{"source": "127.0.0.1", "ttl": "3600s"}`)
	if code := w.run("mosquitto_pub", "5", "-t", "a", "-m", "x").wait(); code == 0 {
		t.Error("who is blocked has published")
	}
	call("Unblock", `{"source": "127.0.0.1"}`)
	w.publish("5", "-t", "a", "-m", "x")
}

// TestNetcatBlocked: datagrams that nc sends are counted by what became of them.
func TestNetcatBlocked(t *testing.T) {
	w := start(t, "listeners: [{name: packets, address: \"127.0.0.1:0\", frame: mcp-dgram, filter: {deny: [127.0.0.1]}}]\napi: {address: \"127.0.0.1:0\"}\n")
	host, port, err := net.SplitHostPort(w.address("packets"))
	if err != nil {
		t.Fatal(err)
	}
	nc := exec.Command(need(t, "nc"), "-u", "-w", "1", host, port)
	nc.Stdin = strings.NewReader("12345678")
	if out, err := nc.CombinedOutput(); err != nil && len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	const want = `weft_filter_packets_total{enforcer="engine",listener="packets",reason="denied"} 1`
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		shown := metrics(t, w.address("api"))
		if strings.Contains(shown, want) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("never: %s\n%s", want, shown)
		}
	}
}
