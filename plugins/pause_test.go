package plugins_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/abi/vectors"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
)

// gate is a transport whose requests wait until the test lets them go on, by path.
type gate struct {
	mu   sync.Mutex
	open map[string]chan struct{}
}

func (g *gate) of(path string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = map[string]chan struct{}{}
	}
	if g.open[path] == nil {
		g.open[path] = make(chan struct{})
	}
	return g.open[path]
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-g.of(r.URL.Path):
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(r.URL.Path)), Request: r}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// waiting is a chain of conformance guests whose messages wait for a gate.
type waiting struct {
	*testing.T
	gate   gate
	env    *plugins.Env
	list   []*plugins.Plugin
	chain  *plugins.Chain
	woken  chan struct{}
	passed []string // what left the chain
}

func conformanceGuest(tb testing.TB, language string) []byte {
	tb.Helper()
	guests, err := vectors.Guests()
	if err != nil {
		tb.Fatal(err)
	}
	for _, g := range guests {
		if g.Language == language {
			return g.Wasm
		}
	}
	tb.Fatalf("no guest in %s", language)
	return nil
}

func httpGrants(deadline time.Duration) hostfuncs.Grants {
	g := allGrants("pauses")
	g.Publish = &hostfuncs.PublishGrant{Topics: []string{"#"}}
	g.HTTP = &hostfuncs.HTTPGrant{Hosts: []string{"http://web"}, Deadline: deadline, Concurrency: 64}
	return g
}

// newWaiting makes a chain of guests with these configurations.
func newWaiting(t *testing.T, spec plugins.Spec, configs ...string) *waiting {
	t.Helper()
	w := &waiting{T: t, woken: make(chan struct{}, 1)}
	w.env = newEnv(t, plugins.EnvConfig{HTTP: &w.gate, FuelPerMicrosecond: 8000})
	wasm := conformanceGuest(t, "assemblyscript")
	for i, config := range configs {
		s := spec
		s.CPU = 20 * time.Millisecond
		s.Name, s.Wasm, s.Config, s.Memory = fmt.Sprint("guest", i), wasm, []byte(config), 64<<20
		if s.Grants.HTTP == nil {
			s.Grants = httpGrants(time.Minute)
		}
		p, err := w.env.Load(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		w.list = append(w.list, p)
	}
	w.chain = newChain(t, w.list...)
	w.chain.OnWake(func() {
		select {
		case w.woken <- struct{}{}:
		default:
		}
	})
	return w
}

// send runs messages through the chain: each "session commands", lines separated
// by "; ". "0/topic" is a session of 0 and a topic other than t.
func (w *waiting) send(list ...string) *plugins.Batch {
	w.Helper()
	b := &plugins.Batch{}
	for i, text := range list {
		session, commands, _ := strings.Cut(text, " ")
		session, topic, other := strings.Cut(session, "/")
		if !other {
			topic = "t"
		}
		var id uint64
		fmt.Sscan(session, &id)
		b.Messages = append(b.Messages, abi.Message{
			Session: id, Seq: uint64(i), Topic: []byte(topic), Payload: []byte(strings.ReplaceAll(commands, "; ", "\n")),
		})
	}
	b.Carry = func(origin int32) any { return list[origin] }
	w.chain.Messages(b)
	w.note(b)
	return b
}

func (w *waiting) note(b *plugins.Batch) {
	for i, m := range b.Messages {
		o := b.Outcomes[i]
		text := fmt.Sprintf("%d %s", m.Session, o.Verdict)
		if o.Verdict == abi.VerdictContinue || o.Emitted {
			text += " " + string(m.Topic)
		}
		if len(o.Out) > 0 {
			text += " " + strings.ReplaceAll(strings.TrimSpace(string(o.Out)), "\n", "; ")
		}
		if o.Cause > plugins.CausePlugin {
			text += " (" + o.Cause.String() + ")"
		}
		w.passed = append(w.passed, text)
	}
}

// open lets requests go on and resumes messages until n are left in the chain.
func (w *waiting) open(n int, paths ...string) *plugins.Batch {
	w.Helper()
	for _, path := range paths {
		close(w.gate.of(path))
	}
	return w.await(n)
}

func (w *waiting) await(n int) *plugins.Batch {
	w.Helper()
	b := &plugins.Batch{}
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for {
		b.Reset()
		w.chain.Resume(b)
		w.note(b)
		if held, _ := w.chain.Held(); held == n {
			return b
		}
		select {
		case <-w.woken:
		case <-late.C:
			held, _ := w.chain.Held()
			w.Fatalf("%d messages are held, expected %d; so far %q", held, n, w.passed)
		}
	}
}

// expect compares what has left the chain since it was asked last.
func (w *waiting) expect(want ...string) {
	w.Helper()
	if got, want := strings.Join(w.passed, "\n"), strings.Join(want, "\n"); got != want {
		w.Errorf("left the chain:\n%s\nexpected:\n%s", got, want)
	}
	w.passed = nil
}

func ask(path string) string { return "http GET http://web" + path + " - 0; await" }

const answered = `{"resume": "answer"}`

func TestPausedMessagesKeepTheirOrder(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, answered)
	b := w.send("1 topic before", "1 "+ask("/a"), "2 topic other", "1 topic after", "1 reply last", "1 drop x")
	w.expect("1 continue before", "2 continue other")
	if held, size := w.chain.Held(); held != 4 || size == 0 || b.Held != 4 || w.chain.HeldOf(1) != 4 || w.chain.HeldOf(2) != 0 {
		t.Errorf("held %d with %d bytes, %d of the batch", held, size, b.Held)
	}
	w.send("2 topic other", "1 topic much-later")
	w.expect("2 continue other")
	b = w.open(0, "/a")
	w.expect("1 reply http 200; body /a", "1 continue after", "1 reply last", "1 drop x", "1 continue much-later")
	for i, want := range []string{"1 " + ask("/a"), "1 topic after", "1 reply last", "1 drop x", "1 topic much-later"} {
		if b.Carried[b.Outcomes[i].Origin] != want {
			t.Errorf("message %d carries %v", i, b.Carried[i])
		}
	}
	w.send("1 topic free")
	w.expect("1 continue free")
	if s := w.list[0].Stats(); s.Paused != 1 || s.Resumed != 1 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	w.awaitCalls(0)
}

// awaitCalls waits until the goroutines of all calls but n have ended.
func (w *waiting) awaitCalls(n int64) {
	w.Helper()
	late := time.Now().Add(20 * time.Second)
	for open := int64(-1); open != n; runtime.Gosched() {
		open = 0
		for _, p := range w.list {
			open += p.Stats().Host.HTTPOpen
		}
		if time.Now().After(late) {
			w.Fatalf("%d calls are open, expected %d", open, n)
		}
	}
}

// TestWithoutASessionTheTopicIsTheOrder: messages that belong to no session wait behind
// those of their topic alone.
func TestWithoutASessionTheTopicIsTheOrder(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, answered)
	w.send("0/a "+ask("/a"), "0/b topic free", "0/a topic later", "1/a topic mine")
	w.expect("0 continue free", "1 continue mine")
	w.send("0/b topic free", "0/a topic last")
	w.expect("0 continue free")
	behind, other := abi.Message{Topic: []byte("a")}, abi.Message{Topic: []byte("b")}
	if o := (plugins.Outcome{}); w.chain.Ahead(&other) || w.chain.Wait(&other, &o, nil) || !w.chain.Ahead(&behind) || !w.chain.Wait(&behind, &o, nil) {
		t.Error("what passed another chain waits for another topic than its own")
	}
	w.open(0, "/a")
	w.expect("0 reply http 200; body /a", "0 continue later", "0 continue last", "0 continue a")
}

// TestTheTopicThatCameIsTheOrder: a plugin that changes topics before another pauses
// changes nothing about who waits for whom.
func TestTheTopicThatCameIsTheOrder(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, `{"messages": "topic one"}`, answered)
	w.send("0/a " + ask("/a"))
	w.send("0/b continue", "0/a continue")
	w.expect("0 continue one")
	w.send("0/one drop x", "0/b reply b")
	w.expect("0 drop x", "0 reply b")
	w.open(0, "/a")
	w.expect("0 reply http 200; body /a", "0 continue one")
}

func TestAnswersInAnotherOrder(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, answered)
	w.send("1 "+ask("/a"), "1 "+ask("/b"), "2 "+ask("/c"), "1 pause 1", "1 topic end")
	w.open(4, "/c")
	w.expect("2 reply http 200; body /c")
	close(w.gate.of("/b"))
	w.send("3 topic meanwhile")
	w.await(4)
	w.expect("3 continue meanwhile")
	w.open(0, "/a")
	w.expect("1 reply http 200; body /a", "1 reply http 200; body /b", "1 reply http 200; body /a", "1 continue end")
}

func TestPausedAgainAndInSeveralPlugins(t *testing.T) {
	w := newWaiting(t, plugins.Spec{},
		`{"messages": "http GET http://web/first - 0\nawait\nremember one 1", "resume": "remember two 2\nset first done\ncontinue\nemit side x"}`,
		`{"messages": "http GET http://web/second - 0\nawait", "resume": "context one\ncontext two\nattribute first"}`)
	w.send("1 a", "1 b")
	w.expect()
	w.open(0, "/first", "/second")
	said := "context one 1; context two 2; attribute first done"
	w.expect("1 reply "+said, "1 reply side context one 1; context two 2; attribute first !none",
		"1 reply "+said, "1 reply side context one 1; context two 2; attribute first !none")
}

func TestContextReachesThoseThatWait(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, `{"resume": "remember who truck\ncontinue"}`)
	w.send("1 "+ask("/a"), "2 "+ask("/b"))
	w.send("1 context who")
	b := w.open(1, "/a")
	w.expect("1 continue t", "1 reply context who truck")
	if len(b.Contexts) != 1 || b.Contexts[0].Session != 1 {
		t.Errorf("contexts %+v", b.Contexts)
	}
	w.open(0, "/b")
}

func TestPauseDeadline(t *testing.T) {
	w := newWaiting(t, plugins.Spec{Grants: httpGrants(20 * time.Millisecond)}, answered)
	w.send("1 "+ask("/never"), "1 topic next")
	w.await(0)
	w.expect("1 reply http !timeout", "1 continue next")
	w.send("1 http GET http://elsewhere/ - 0", "1 http GET http://web/ - 0 @Host=x", "1 http GET http://web/ *70000 0")
	w.expect("1 reply http !denied", "1 reply http !invalid", "1 reply http !limit")
}

func TestAnAnswerThatNobodyWaitsFor(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, `{"resume": "answer\ncontinue"}`)
	w.send("1 http GET http://web/a - 0")
	close(w.gate.of("/a"))
	<-w.woken
	w.await(0)
	w.expect("1 continue t")
	w.send("1 await")
	w.await(0)
	w.expect("1 continue t", "1 continue report")
	if s := w.list[0].Stats(); s.Paused != 1 {
		t.Errorf("%+v", s)
	}
	w.awaitCalls(0)
}

// TestDeadlineOfAMessage: a message does not begin to wait once more after its
// plugin's deadline.
func TestDeadlineOfAMessage(t *testing.T) {
	w := newWaiting(t, plugins.Spec{Deadline: time.Nanosecond, OnFailure: plugins.FailQuarantine}, `{"resume": "http GET http://web/a - 0\nawait"}`)
	w.send("1 " + ask("/a"))
	w.open(0, "/a")
	w.expect("1 route dead-letter (deadline)")
	if s := w.list[0].Stats(); s.Paused != 1 || s.Policy != 1 || s.Traps+s.Faults != 0 {
		t.Errorf("%+v", s)
	}
}

func TestFaultyPauses(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, `{"resume": "http GET http://web/again - 0\nawait", "open": "await"}`)
	w.send("1 pause 7")
	w.expect("1 drop (fault)")
	w.send("1 pause 0")
	w.expect("1 drop (fault)")
	b := messages("x")
	w.chain.Open(b)
	w.note(b)
	w.expect("1 drop (fault)")

	w = newWaiting(t, plugins.Spec{}, `{"needs": {"payload": -1, "without": ["resume"]}}`)
	w.send("1 " + ask("/a"))
	w.expect("1 drop (fault)")

	w = newWaiting(t, plugins.Spec{}, `{"resume": "http GET http://web/a - 0\nawait"}`)
	w.send("1 " + ask("/a"))
	w.open(0, "/a")
	w.expect("1 drop (fault)")
	if s := w.list[0].Stats(); s.Paused != abi.MaxPauses || s.Faults != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTrapWhilePaused(t *testing.T) {
	for policy, want := range map[plugins.Policy]string{
		plugins.FailClosed: "1 drop (lost)", plugins.FailOpen: "1 continue kept (lost)", plugins.FailQuarantine: "1 route dead-letter (lost)",
	} {
		w := newWaiting(t, plugins.Spec{OnFailure: policy}, answered)
		w.send("1 topic kept; "+ask("/a"), "1 topic behind")
		w.send("2 trap")
		w.passed = nil
		w.await(0)
		w.expect(want, "1 continue behind")
		if s := w.list[0].Stats(); s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		w.send("1 " + ask("/b"))
		w.open(0, "/b")
		w.expect("1 reply http 200; body /b")
	}
}

func TestTrapInTheSameBatch(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, answered)
	// The batch traps and is replayed: the first message pauses once more, with an
	// instance that then traps again.
	w.send("1 "+ask("/a"), "2 trap", "3 "+ask("/a"))
	w.expect("2 drop (trap)")
	w.open(0, "/a")
	w.expect("1 drop (lost)", "3 reply http 200; body /a")
}

func TestTrapInResume(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, `{"resume": "trap"}`)
	w.send("1 "+ask("/a"), "2 pause 1", "3 "+ask("/b"))
	w.open(0, "/a")
	w.expect("1 drop (trap)", "2 drop (trap)", "3 drop (lost)")
}

func TestSessionEndsWhilePaused(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, answered)
	w.send("1 "+ask("/a"), "1 topic behind", "2 "+ask("/a"), "3 "+ask("/b"))
	b := &plugins.Batch{}
	w.chain.DropHeld(1, b)
	w.note(b)
	w.expect("1 drop (ended)", "1 drop (ended)")
	if len(b.Carried) != 2 || b.Outcomes[0].Plugin != 0 || b.Outcomes[1].Plugin != -1 {
		t.Errorf("%+v, %v", b.Outcomes, b.Carried)
	}
	w.open(1, "/a")
	w.expect("2 reply http 200; body /a")
	b.Reset()
	w.chain.DropAllHeld(b)
	w.note(b)
	w.expect("3 drop (ended)")
	if held, size := w.chain.Held(); held != 0 || size != 0 {
		t.Errorf("%d messages, %d bytes are left", held, size)
	}
}

func TestHeldIsBounded(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, answered)
	w.chain.LimitHeld(3, 0)
	w.send("1 "+ask("/a"), "1 topic b", "1 topic c", "1 topic d", "2 "+ask("/a"))
	w.expect("1 drop (held)", "2 drop (held)")
	w.send("1 topic e", "3 topic f")
	w.expect("1 drop (held)", "3 continue f")
	w.open(0, "/a")
	w.expect("1 reply http 200; body /a", "1 continue b", "1 continue c")

	w.chain.LimitHeld(0, 5000)
	big := "topic b; payload *3000"
	w.send("1 "+ask("/b"), "1 "+big, "1 "+big)
	w.expect("1 drop (held)")
	w.open(0, "/b")
	w.expect("1 reply http 200; body /b", "1 continue b")
}

func TestWaitBehind(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, answered)
	m, o := abi.Message{Session: 1, Topic: []byte("passed")}, plugins.Outcome{Verdict: abi.VerdictRoute, Out: []byte("all"), Plugin: 3}
	if w.chain.Wait(&m, &o, nil) {
		t.Error("there is nothing to wait behind")
	}
	w.send("1 " + ask("/a"))
	if !w.chain.Wait(&m, &o, "mine") {
		t.Error("it does not wait")
	}
	b := w.open(0, "/a")
	w.expect("1 reply http 200; body /a", "1 route all")
	if b.Carried[1] != "mine" || b.Outcomes[1].Plugin != 3 {
		t.Errorf("%v, %+v", b.Carried, b.Outcomes[1])
	}
}

// TestSwapWhilePaused: the instance that paused a message resumes it, though
// another generation has taken over.
func TestSwapWhilePaused(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, `{"resume": "count"}`)
	w.send("1 count; "+ask("/a"), "2 "+ask("/b"))
	spec := w.list[0].Spec()
	spec.Wasm, spec.Config, spec.Generation = conformanceGuest(t, "assemblyscript"), []byte(`{"messages": "topic new", "resume": "trap"}`), 2
	next, err := w.env.Load(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	ready, err := next.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	swapped, err := w.chain.Swap(w.list[0], []*plugins.Standby{ready})
	if err != nil {
		t.Fatal(err)
	}
	swapped.Commit()
	if err := w.list[0].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.send("1 x", "3 y")
	w.expect("3 continue new")
	if n := w.list[0].Stats().Instances; n != 1 {
		t.Errorf("%d instances of the former generation", n)
	}
	w.open(1, "/a")
	w.expect("1 reply count 2", "1 continue report", "1 continue new")
	w.open(0, "/b")
	if n := w.list[0].Stats().Instances; n != 0 {
		t.Errorf("%d instances of the former generation are left", n)
	}
}

func TestCloseWhilePaused(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, answered)
	w.send("1 "+ask("/a"), "2 "+ask("/b"))
	if err := w.chain.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &plugins.Batch{}
	w.chain.Resume(b)
	if held, _ := w.chain.Held(); held != 0 || len(b.Messages) != 0 {
		t.Errorf("%d held, %d came back", held, len(b.Messages))
	}
}

// TestHeldBytesAreTheirOwn: the caller's buffers are reused after the run.
func TestHeldBytesAreTheirOwn(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, `{"resume": "continue"}`)
	frame := []byte("head" + strings.ReplaceAll(ask("/a"), "; ", "\n"))
	b := &plugins.Batch{Messages: []abi.Message{{Session: 1, Topic: []byte("topic"), Frame: frame, Payload: frame[4:], Attrs: abi.Attributes(nil).AppendString("a", "b")}}}
	want := b.Messages[0]
	want.Frame, want.Payload = bytes.Clone(frame), bytes.Clone(frame[4:])
	w.chain.Messages(b)
	topic := b.Messages[:cap(b.Messages)][0].Topic
	clear(frame)
	clear(topic)
	b = w.open(0, "/a")
	if m := b.Messages[0]; !bytes.Equal(m.Frame, want.Frame) || !bytes.Equal(m.Payload, want.Payload) || !bytes.Equal(m.Attrs, want.Attrs) || &m.Frame[4] != &m.Payload[0] {
		t.Errorf("came back as %+v", m)
	}
}
