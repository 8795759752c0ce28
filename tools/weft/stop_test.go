//go:build unix

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// process is a weft that is a process of its own.
type process struct {
	*running
	cmd    *exec.Cmd
	errOut *lockedBuffer
}

// startProcess runs weft with a configuration and further variables until the test ends.
func startProcess(t *testing.T, config string, env ...string) *process {
	t.Helper()
	return startProcessWith(t, config, nil, env...)
}

// startProcessWith passes it sockets, too, as a service manager does.
func startProcessWith(t *testing.T, config string, sockets []*os.File, env ...string) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := beginProcess(t, file, sockets, env...)
	for !strings.Contains(p.out.String(), "Ctrl-C drains") {
		select {
		case code := <-p.ended:
			p.ended <- code
			t.Fatalf("weft run ended with %d:\n%s", code, p.errOut)
		case <-time.After(time.Millisecond):
		}
	}
	for _, m := range addressLine.FindAllStringSubmatch(p.out.String(), -1) {
		p.at[m[1]] = m[2]
	}
	return p
}

// beginProcess runs weft with a configuration file until the test ends.
func beginProcess(t *testing.T, file string, sockets []*os.File, env ...string) *process {
	t.Helper()
	p := &process{running: &running{at: map[string]string{}, ended: make(chan int, 1), out: &lockedBuffer{}}, errOut: &lockedBuffer{}}
	p.cmd = exec.Command(os.Args[0], "run", "-c", file)
	if sockets != nil { // who passes them names the process that they are for
		p.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", os.Args[0], "run", "-c", file)
		p.cmd.ExtraFiles = sockets
	}
	p.cmd.Env = append(append(os.Environ(), asProcess+"=1"), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.errOut
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		p.ended <- p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		p.exit(t)
	})
	return p
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end of the process.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case code := <-p.ended:
		p.ended <- code
		return code
	case <-time.After(time.Minute):
		t.Fatalf("weft has not ended:\n%s", p.errOut)
		return -1
	}
}

// heard is a set of names that one writes and another one reads.
type heard struct {
	mu    sync.Mutex
	names map[string]bool
}

func (h *heard) add(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names == nil {
		h.names = map[string]bool{}
	}
	h.names[name] = true
}

func (h *heard) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.names)
}

// stream is one connection of the test.
type stream struct {
	net.Conn
	in []byte
}

func dialStream(t *testing.T, address string) *stream {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &stream{Conn: c}
}

// packet is the next packet of MQTT; an error ends the connection.
func (s *stream) packet() ([]byte, error) {
	for {
		if n, _, err := packet.Cut(s.in, 0); n > 0 || err != nil {
			b := s.in[:n:n]
			s.in = s.in[n:]
			return b, err
		}
		buf := make([]byte, 64<<10)
		n, err := s.Read(buf)
		if err != nil {
			return nil, err
		}
		s.in = append(s.in, buf[:n]...)
	}
}

func mqttStream(t *testing.T, address, id string) *stream {
	t.Helper()
	s := dialStream(t, address)
	_, err := s.Write(packet.AppendConnect(nil, &packet.Connect{Version: packet.V311, CleanStart: true, ClientID: []byte(id)}))
	if err == nil {
		_, err = s.packet() // CONNACK
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stream) subscribe(t *testing.T, qos uint8) {
	t.Helper()
	_, err := s.Write(packet.AppendSubscribe(nil, &packet.Subscribe{ID: 1, Filters: []packet.Subscription{{Filter: []byte("#"), QoS: qos}}}, packet.V311))
	if err == nil {
		_, err = s.packet() // SUBACK
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hear takes messages until the connection ends, and acknowledges those of QoS 1.
func (s *stream) hear(into *heard) {
	for {
		b, err := s.packet()
		if err != nil {
			return
		}
		var m packet.Publish
		if packet.TypeOf(b) != packet.TypePublish || m.Decode(b, packet.V311, packet.FromServer) != nil {
			continue
		}
		into.add(string(m.Payload))
		if m.QoS == 1 {
			_, _ = s.Write(packet.AppendAck(nil, &packet.Ack{Type: packet.TypePuback, ID: m.ID}, packet.V311))
		}
	}
}

// publishMQTT publishes at QoS 1, a few at a time, until the connection ends, and notes
// what was acknowledged.
func publishMQTT(s *stream, accepted *heard) {
	const window = 16
	open := map[uint16]string{}
	for n := 1; ; n++ {
		id := uint16(n%60000) + 1
		open[id] = fmt.Sprintf("mqtt %d", n)
		if _, err := s.Write(packet.AppendPublish(nil, &packet.Publish{QoS: 1, ID: id, Topic: []byte("by/mqtt"), Payload: []byte(open[id])}, packet.V311)); err != nil {
			n = -1
		}
		for n < 0 || len(open) >= window {
			b, err := s.packet()
			if err != nil {
				return
			}
			var ack packet.Ack
			if packet.TypeOf(b) == packet.TypePuback && ack.Decode(b, packet.V311) == nil {
				accepted.add(open[ack.ID])
				delete(open, ack.ID)
			}
		}
	}
}

// publishFrames publishes by mcp-seq and notes what came back, which the same route has
// sent to the subscribers.
func publishFrames(s *stream, accepted *heard) {
	for n := 1; ; n++ {
		text := fmt.Sprintf("frame %d", n)
		b := append([]byte{1, 1}, byte(n>>8), byte(n))
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), 0)
		if _, err := s.Write(append(b, text...)); err != nil {
			return
		}
		head := make([]byte, 9)
		if _, err := io.ReadFull(s, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[4:]))
		if _, err := io.ReadFull(s, body); err != nil {
			return
		}
		accepted.add(string(body))
	}
}

// publishHTTP publishes until nobody answers, or the answer is no.
func publishHTTP(api string, accepted *heard) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for n := 1; ; n++ {
		text := fmt.Sprintf("http %d", n)
		answer, err := client.Post("http://"+api+"/v1/publish/by/http", "text/plain", strings.NewReader(text))
		if err != nil {
			return
		}
		said, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !bytes.Contains(said, []byte(`"accepted":true`)) {
			return
		}
		accepted.add(text)
	}
}

const stopConfig = `
loops: 2
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
  - {name: frames, address: "127.0.0.1:0", frame: mcp-seq, topic: by/frame}
routes: [{name: back, when: {listener: frames}, to: [subscribers, reply]}]
api: {address: "127.0.0.1:0"}
`

// readiness is what the process has said about it, in order, without repetitions.
type readiness struct {
	mu   sync.Mutex
	said []int
}

// ask asks until nobody answers any more.
func (r *readiness) ask(api string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for {
		answer, err := client.Get("http://" + api + "/readyz")
		if err != nil {
			return
		}
		_ = answer.Body.Close()
		r.mu.Lock()
		if n := len(r.said); n == 0 || r.said[n-1] != answer.StatusCode {
			r.said = append(r.said, answer.StatusCode)
		}
		r.mu.Unlock()
		time.Sleep(5 * time.Millisecond) // others have something to do
	}
}

func (r *readiness) now() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said)
}

// crowd is clients of three protocols that publish as fast as they can.
type crowd struct {
	kinds   [3]heard // what of each was accepted
	working sync.WaitGroup
}

// press lets them publish; those of frames only where somebody answers them.
func press(t *testing.T, p *process, frames bool) *crowd {
	t.Helper()
	c := &crowd{}
	pub := mqttStream(t, p.at["mqtt"], "pub")
	c.working.Go(func() { publishMQTT(pub, &c.kinds[0]) })
	c.working.Go(func() { publishHTTP(p.at["api"], &c.kinds[2]) })
	least := [3]int{200, 0, 50}
	if frames {
		seq := dialStream(t, p.at["frames"])
		c.working.Go(func() { publishFrames(seq, &c.kinds[1]) })
		least[1] = 200
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		enough := true
		for i := range c.kinds {
			enough = enough && c.kinds[i].count() >= least[i]
		}
		if enough {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("accepted were only %d, %d and %d\n%s", c.kinds[0].count(), c.kinds[1].count(), c.kinds[2].count(), p.errOut)
		}
	}
}

// missing waits until everybody has been cut off and is what was accepted and not heard.
func (c *crowd) missing(got *heard) (names []string) {
	c.working.Wait()
	got.mu.Lock()
	defer got.mu.Unlock()
	for i := range c.kinds {
		for name := range c.kinds[i].names {
			if !got.names[name] {
				names = append(names, name)
			}
		}
	}
	return names
}

// stopped asks weft to stop and expects it to end well, and in its time.
func (p *process) stopped(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, p.errOut)
	}
	if strings.Contains(p.errOut.String(), "cut short") {
		t.Errorf("the drain did not end within its time:\n%s", p.errOut)
	}
}

// TestStopUnderLoad: weft, asked to stop while clients of three protocols publish, has
// delivered what it accepted, and says that all is well.
func TestStopUnderLoad(t *testing.T) {
	for qos := range uint8(2) {
		t.Run(fmt.Sprintf("subscriber of QoS %d", qos), func(t *testing.T) {
			p := startProcess(t, stopConfig)
			var ready readiness
			var asking, hearing sync.WaitGroup
			asking.Go(func() { ready.ask(p.at["api"]) })
			var got heard
			sub := mqttStream(t, p.at["mqtt"], "sub")
			sub.subscribe(t, qos)
			hearing.Go(func() { sub.hear(&got) })
			c := press(t, p, true)
			p.stopped(t)
			asking.Wait()
			if said := ready.now(); len(said) == 0 || said[0] != http.StatusOK || slices.Contains(said[1:], http.StatusOK) {
				t.Errorf("asked whether it is ready it says %v", said)
			}
			hearing.Wait()
			if names := c.missing(&got); len(names) > 0 {
				t.Errorf("%d accepted messages were not delivered, %s among them:\n%s", len(names), names[0], p.errOut)
			}
		})
	}
}

// TestStopAwaitsAcknowledgements: a subscriber with more before it than may be in flight
// gets it all as long as it acknowledges, however slowly; what it publishes then is not
// accepted. One that acknowledges nothing is not waited for long, and what it has not
// said to have is counted.
func TestStopAwaitsAcknowledgements(t *testing.T) {
	const messages = 300 // the window is 256
	begin := func(t *testing.T) (*process, *stream) {
		p := startProcess(t, strings.Replace(stopConfig, "listeners:\n", "listeners:\n  - {name: web, address: \"127.0.0.1:0\", frame: mqtt, websocket: {path: /mqtt}}\n", 1))
		dialStream(t, p.at["web"]) // and says nothing
		sub, pub := mqttStream(t, p.at["mqtt"], "sub"), mqttStream(t, p.at["mqtt"], "pub")
		sub.subscribe(t, 1)
		for n := range messages {
			_, err := pub.Write(packet.AppendPublish(nil, &packet.Publish{QoS: 1, ID: uint16(n + 1), Topic: []byte("t"), Payload: fmt.Appendf(nil, "m %d", n)}, packet.V311))
			if err == nil {
				_, err = pub.packet() // PUBACK
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return p, sub
	}
	t.Run("slowly", func(t *testing.T) {
		t.Parallel()
		p, sub := begin(t)
		p.signal(t, syscall.SIGTERM)
		for !strings.Contains(p.errOut.String(), "message=draining") {
			time.Sleep(time.Millisecond)
		}
		var got heard
		late := packet.AppendPublish(nil, &packet.Publish{Topic: []byte("late"), Payload: []byte("late")}, packet.V311)
		late = packet.AppendPublish(late, &packet.Publish{QoS: 1, ID: 1, Topic: []byte("late"), Payload: []byte("late")}, packet.V311)
		for {
			b, err := sub.packet()
			if err != nil {
				break
			}
			var m packet.Publish
			if packet.TypeOf(b) != packet.TypePublish {
				t.Errorf("packet % x", b)
				continue
			}
			if err := m.Decode(b, packet.V311, packet.FromServer); err != nil {
				t.Fatal(err)
			}
			got.add(string(m.Payload))
			time.Sleep(time.Millisecond)
			_, _ = sub.Write(packet.AppendAck(nil, &packet.Ack{Type: packet.TypePuback, ID: m.ID}, packet.V311))
			if got.count() == messages/2 {
				_, _ = sub.Write(late)
			}
		}
		if code := p.exit(t); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		if got.count() != messages || got.names["late"] {
			t.Errorf("heard %d of %d, what came too late among them: %v", got.count(), messages, got.names["late"])
		}
		if said := p.errOut.String(); !strings.Contains(said, `undelivered_copies=0 dead_letters_discarded=0 lost_by="draining=1"`) {
			t.Errorf("it does not say how it ended:\n%s", said)
		}
	})
	t.Run("not at all", func(t *testing.T) {
		t.Parallel()
		p, _ := begin(t)
		begun := time.Now()
		p.signal(t, syscall.SIGTERM)
		if code := p.exit(t); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		if took := time.Since(begun); took < 2*time.Second {
			t.Errorf("it was waited for only %v", took)
		}
		if said := p.errOut.String(); !strings.Contains(said, fmt.Sprintf("undelivered_copies=%d ", messages)) || strings.Contains(said, "cut short") {
			t.Errorf("it does not say what was not delivered:\n%s", said)
		}
	})
}

// TestStopUnderLoadDurable: weft is asked to stop under load, behind a log. What a client whose session is kept has
// not got when weft ends, it gets from the next.
func TestStopUnderLoadDurable(t *testing.T) {
	config := durableStopConfig + "backbone: {data: \"" + filepath.Join(t.TempDir(), "data") + "\", name: one}\n"
	p := startProcess(t, config)
	var got heard
	var hearing sync.WaitGroup
	listen := func(p *process) {
		t.Helper()
		s, again := keptStream(t, p.at["mqtt"], "sub")
		if !again {
			s.subscribe(t, 1)
		}
		hearing.Go(func() { s.hear(&got) })
	}
	listen(p)
	c := press(t, p, false)
	p.stopped(t)
	hearing.Wait()
	names := c.missing(&got)
	t.Logf("%d are left for the next start", len(names))
	first := p
	p = startProcess(t, config)
	listen(p)
	for deadline := time.Now().Add(time.Minute); len(names) > 0; names = c.missing(&got) {
		if time.Now().After(deadline) {
			t.Fatalf("%d accepted messages were not delivered, %s among them:\n%s\n%s", len(names), names[0], first.errOut, p.errOut)
		}
		time.Sleep(time.Millisecond)
	}
}

const durableStopConfig = `
loops: 2
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
routes: [{name: logged, when: {topic: "by/#"}, to: [subscribers], qos: 1, durable: {}}]
api: {address: "127.0.0.1:0"}
`

// keptStream is a client whose session outlives its connections, and whether it was there
// already.
func keptStream(t *testing.T, address, id string) (s *stream, again bool) {
	t.Helper()
	s = dialStream(t, address)
	_, err := s.Write(packet.AppendConnect(nil, &packet.Connect{Version: packet.V311, ClientID: []byte(id)}))
	var b []byte
	if err == nil {
		b, err = s.packet()
	}
	if err != nil || len(b) != 4 || b[0] != 0x20 || b[3] != 0 {
		t.Fatalf("CONNACK: % x, %v", b, err)
	}
	return s, b[2] == 1
}

// TestStopTwice: a drain that would take an hour makes weft unready and leaves it alive;
// the second signal ends it, and it says what was lost.
func TestStopTwice(t *testing.T) {
	for _, second := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(second.String(), func(t *testing.T) {
			p := startProcess(t, "drain: 1h\n"+strings.Replace(stopConfig, "frame: mqtt}", "frame: mqtt, deadlines: {write: 1h}}", 1))
			sub := mqttStream(t, p.at["mqtt"], "sub") // that reads no more
			_ = sub.Conn.(*net.TCPConn).SetReadBuffer(4096)
			sub.subscribe(t, 0)
			large := strings.Repeat("x", 256<<10)
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for range 48 { // more than the sockets' buffers take
				answer, err := client.Post("http://"+p.at["api"]+"/v1/publish/large", "text/plain", strings.NewReader(large))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
			var ready readiness
			go ready.ask(p.at["api"])
			for !slices.Contains(ready.now(), http.StatusOK) {
				time.Sleep(time.Millisecond)
			}
			p.signal(t, syscall.SIGTERM)
			for said := (result{}); said.code != exitFailed || !strings.HasPrefix(said.out, "draining"); {
				select {
				case code := <-p.ended:
					p.ended <- code
					t.Fatalf("weft ended with %d by one signal, with a receiver that does not read:\n%s", code, p.errOut)
				default:
				}
				said = weft(t, "health", "--api", p.at["api"])
				if said.code == exitAPI {
					t.Fatalf("nobody answers while it drains: %+v", said)
				}
			}
			if said := weft(t, "health", "--live", "--json", "--api", p.at["api"]); said.code != exitOK || !strings.Contains(said.out, `"state":"draining"`) {
				t.Errorf("weft health --live: %+v", said)
			}
			for deadline := time.Now().Add(time.Minute); len(ready.now()) < 2 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			if said := ready.now(); !slices.Equal(said, []int{http.StatusOK, http.StatusServiceUnavailable}) {
				t.Errorf("asked whether it is ready it says %v", said)
			}
			p.signal(t, second)
			if code := p.exit(t); code != exitRuntime {
				t.Errorf("exit code %d", code)
			}
			if said := p.errOut.String(); !strings.Contains(said, "the drain was cut short: 0 messages were accepted and have no end, and") {
				t.Errorf("it does not say what was lost:\n%s", said)
			}
		})
	}
}
