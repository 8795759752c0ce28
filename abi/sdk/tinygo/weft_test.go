//go:build !wasm && !tinygo.wasm

package weft_test

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	weft "github.com/weftrun/weft/abi/sdk/tinygo"
	"github.com/weftrun/weft/abi/sdk/tinygo/clock"
	"github.com/weftrun/weft/abi/sdk/tinygo/http"
	"github.com/weftrun/weft/abi/sdk/tinygo/json"
	"github.com/weftrun/weft/abi/sdk/tinygo/kv"
	"github.com/weftrun/weft/abi/sdk/tinygo/log"
	"github.com/weftrun/weft/abi/sdk/tinygo/metrics"
	"github.com/weftrun/weft/abi/sdk/tinygo/random"
	"github.com/weftrun/weft/abi/sdk/tinygo/wefttest"
)

// everything uses every part of the surface.
type everything struct {
	prefix string
	seen   uint64
}

func (e *everything) Init(config []byte) error {
	doc, err := json.Parse(config)
	if err != nil {
		return err
	}
	var ok bool
	if e.prefix, ok = doc.Get("prefix").Text(); !ok {
		return weft.Error("prefix is missing")
	}
	return nil
}

func (e *everything) Open(m *weft.Message) weft.Verdict {
	user, ok := m.AttributeString("user")
	if !ok {
		return weft.Close("no user")
	}
	m.SetContextString("identity", user)
	m.Subscribe("in/"+user+"/#", 1)
	return weft.Continue()
}

func (e *everything) Message(m *weft.Message) weft.Verdict {
	e.seen++
	switch string(m.Payload()) {
	case "topic":
		m.SetTopic(e.prefix, "/", m.Topic())
	case "context":
		m.SetContextString("count", strconv.FormatUint(e.seen, 10))
	case "forget":
		m.RemoveContext("who")
	case "drop":
		return weft.Drop("unwanted")
	case "reply":
		return weft.Reply([]byte(m.Topic()))
	case "join":
		return weft.ReplyString(m.Topic(), "!", "")
	case "route":
		return weft.Route("queue:work", "node:7")
	case "pause":
		return weft.Pause(9)
	case "ask":
		token, err := http.Request{
			Method: "PUT", URL: m.Topic(), Header: []http.Field{{Name: "accept", Value: "text/plain"}}, Body: []byte("question"), Deadline: 1500,
		}.Send()
		if err != nil {
			return weft.Drop(err.Error())
		}
		return weft.Pause(token)
	case "get":
		token, _ := http.Get(m.Topic())
		return weft.Pause(token)
	case "post":
		token, _ := http.Post(m.Topic(), "text/csv", []byte("1;2"))
		return weft.Pause(token)
	case "emit":
		for i := range byte(10) {
			m.Emit(weft.Emit{
				Topic: "out", Payload: []byte{i}, Attributes: []weft.Attribute{{Name: "n", Value: []byte{i}}},
				Type: weft.TypeRequest, Priority: 7, QoS: 1, Seq: uint64(i), Retain: i == 9,
			})
		}
		m.Unsubscribe("old/#")
	case "fields":
		m.SetSeq(m.Seq() + 1)
		m.SetPriority(6)
		m.SetQoS(2)
		m.SetType(weft.TypeResponse)
		m.SetAttributeString("a", "1")
		m.SetAttribute("b", []byte("2"))
		m.SetAttributeString("a", "3")
		m.RemoveAttribute("keep")
		m.RemoveAttribute("nothing")
	case "clear":
		m.ClearAttributes()
	case "write":
		var w weft.Writer
		for i := range int64(1000) {
			w.WriteInt(i - 500)
			w.WriteByte(',')
			if i == 500 {
				m.SetAttributeString("between", "x") // something else is lent meanwhile
			}
		}
		m.SetPayload(w.Bytes())
	}
	return weft.Continue()
}

func (e *everything) Tick(m *weft.Message) {
	m.Emit(weft.Emit{Topic: "status", Payload: strconv.AppendUint(nil, e.seen, 10)})
}

func (e *everything) Resume(m *weft.Message) weft.Verdict {
	a := m.Answer()
	if strings.HasPrefix(m.Topic(), "http") {
		r, err := a.HTTP()
		if err != nil {
			return weft.Drop(err.Error())
		}
		made, _ := r.Header.Get("x-made")
		return weft.ReplyString(strconv.Itoa(r.Status), " ", string(made), " ", string(r.Body))
	}
	return weft.ReplyString(strconv.FormatUint(a.Token, 10), " ", strconv.Itoa(int(a.Status)), " ", string(a.Bytes))
}

func (e *everything) Snapshot() []byte { return []byte(strconv.FormatUint(e.seen, 10)) }

func (e *everything) Restore(state []byte) (err error) {
	e.seen, err = strconv.ParseUint(string(state), 10, 64)
	return err
}

func start(t *testing.T) *wefttest.Guest {
	t.Helper()
	g, err := wefttest.New(&everything{}, `{"prefix": "p"}`)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, expected %+v", got, want)
	}
}

type attributes = []wefttest.Attribute

func TestBadConfiguration(t *testing.T) {
	for config, want := range map[string]string{"{}": "prefix is missing", "{": "not JSON from byte 1 on"} {
		if _, err := wefttest.New(&everything{}, config); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, expected %q", config, err, want)
		}
	}
}

// failing fails with the text of its configuration.
type failing struct{ weft.Plugin }

func (failing) Init(config []byte) error { return weft.Error(config) }

func TestErrorTextsHaveALimit(t *testing.T) {
	for config, want := range map[string]string{
		"":                               "the plugin gave no reason",
		strings.Repeat("x", 5000):        strings.Repeat("x", 4096),
		strings.Repeat("x", 4095) + "éé": strings.Repeat("x", 4095),
	} {
		if _, err := wefttest.New(failing{}, config); err == nil || err.Error() != want {
			t.Errorf("got %d bytes %.40q, expected %d", len(err.Error()), err, len(want))
		}
	}
}

func TestUntouched(t *testing.T) {
	out := start(t).Message(wefttest.Input{Topic: "a/b", Payload: "nothing", Attributes: attributes{{Name: "x", Value: "1"}}})
	same(t, out, wefttest.Output{Topic: "a/b", Payload: "nothing", Attributes: attributes{{Name: "x", Value: "1"}}})
}

func TestVerdicts(t *testing.T) {
	g := start(t)
	for payload, want := range map[string]wefttest.Decision{
		"drop": wefttest.Drop("unwanted"), "reply": wefttest.Reply("t"), "join": wefttest.Reply("t!"),
		"route": wefttest.Route("queue:work", "node:7"), "pause": wefttest.Pause(9), "": wefttest.Continue(),
	} {
		if got := g.Message(wefttest.Input{Topic: "t", Payload: payload}).Decision; got != want {
			t.Errorf("%s: got %v, expected %v", payload, got, want)
		}
	}
	same(t, g.Open(wefttest.Input{}).Decision, wefttest.Close("no user"))
	answer := weft.Answer{Token: 9, Status: -6, Bytes: []byte("late")}
	same(t, g.Resume(wefttest.Input{Answer: answer}).Decision, wefttest.Reply("9 -6 late"))
	same(t, g.Close(wefttest.Input{}).Decision, wefttest.Continue())
}

func TestHTTP(t *testing.T) {
	g := start(t)
	const url = "https://api.example.org/x"
	for i, payload := range []string{"ask", "get", "post"} {
		same(t, g.Message(wefttest.Input{Topic: url, Payload: payload}).Decision, wefttest.Pause(uint64(i+1)))
	}
	same(t, g.Requests(), []wefttest.Request{
		{Method: "PUT", URL: url, Body: "question", Header: attributes{{Name: "accept", Value: "text/plain"}}, Deadline: 1500},
		{Method: "GET", URL: url},
		{Method: "POST", URL: url, Body: "1;2", Header: attributes{{Name: "content-type", Value: "text/csv"}}},
	})
	same(t, g.Message(wefttest.Input{Topic: "ftp://x", Payload: "ask"}).Decision, wefttest.Drop("invalid argument"))
	for _, c := range []struct {
		answer weft.Answer
		want   wefttest.Decision
	}{
		{wefttest.Answered(1, 201, attributes{{Name: "x-made", Value: "yes"}}, "body"), wefttest.Reply("201 yes body")},
		{wefttest.Answered(1, 404, nil, ""), wefttest.Reply("404  ")},
		{weft.Answer{Token: 1, Status: -7}, wefttest.Drop("the deadline has passed")},
		{weft.Answer{Token: 1, Status: -1}, wefttest.Drop("the host could not do it")},
		{weft.Answer{Token: 1, Bytes: []byte("1234567")}, wefttest.Drop("the host could not do it")},
		{weft.Answer{Token: 1, Bytes: []byte("\x00\x00\x00\x00\xff\xff\xff\xff")}, wefttest.Drop("the host could not do it")},
	} {
		same(t, g.Resume(wefttest.Input{Topic: url, Answer: c.answer}).Decision, c.want)
	}
}

func TestOpenSubscribes(t *testing.T) {
	out := start(t).Open(wefttest.Input{Session: 1, Attributes: attributes{{Name: "user", Value: "truck-7"}}})
	same(t, out.ContextValue("identity"), "truck-7")
	same(t, out.Effects, []wefttest.Effect{{Kind: wefttest.Subscribed, Topic: "in/truck-7/#", QoS: 1}})
}

func TestFields(t *testing.T) {
	g := start(t)
	out := g.Message(wefttest.Input{Payload: "fields", Attributes: attributes{{Name: "keep", Value: "no"}, {Name: "other", Value: "yes"}}})
	same(t, []any{out.Seq, out.Priority, out.QoS, out.Type}, []any{uint64(1), uint8(6), uint8(2), weft.TypeResponse})
	same(t, out.Attributes, attributes{{Name: "other", Value: "yes"}, {Name: "b", Value: "2"}, {Name: "a", Value: "3"}})
	same(t, out.Changed, []string{"attributes", "seq", "type", "priority", "qos"})
	same(t, g.Message(wefttest.Input{Topic: "t", Payload: "topic"}).Topic, "p/t")
	same(t, g.Message(wefttest.Input{Payload: "clear"}).Changed, []string{"attributes"})
	same(t, g.Message(wefttest.Input{Payload: "forget"}).Changed, []string(nil))
}

func TestContextIsCarriedToLaterMessagesOfTheSession(t *testing.T) {
	message := func(session uint64, payload, who string) wefttest.Input {
		return wefttest.Input{Session: session, Payload: payload, Context: attributes{{Name: "who", Value: who}}}
	}
	out := start(t).Messages(message(1, "", "a"), message(1, "context", "a"), message(2, "", "b"), message(1, "", "a"),
		message(1, "context", "a"), message(1, "", "a"), message(2, "forget", "b"), message(2, "", "b"))
	var counts, whose []string
	var changed []bool
	for _, o := range out {
		counts = append(counts, o.ContextValue("count"))
		whose = append(whose, o.ContextValue("who"))
		changed = append(changed, o.Changed != nil)
	}
	same(t, counts, []string{"", "2", "", "2", "5", "5", "", ""})
	same(t, whose, []string{"a", "a", "b", "a", "a", "a", "", ""})
	same(t, changed, []bool{false, true, false, false, true, false, true, false})
}

func TestEffectsKeepTheirOrderAndFields(t *testing.T) {
	out := start(t).Messages(wefttest.Input{Payload: "emit"}, wefttest.Input{}, wefttest.Input{Payload: "emit"})
	same(t, len(out[1].Effects), 0)
	for _, o := range []wefttest.Output{out[0], out[2]} {
		if len(o.Effects) != 11 {
			t.Fatalf("%d effects", len(o.Effects))
		}
		same(t, o.Effects[10], wefttest.Effect{Kind: wefttest.Unsubscribed, Topic: "old/#"})
		same(t, o.Effects[8].Retain, false)
		same(t, o.Effects[9], wefttest.Effect{
			Kind: wefttest.Emitted, Topic: "out", Payload: "\x09", Attributes: attributes{{Name: "n", Value: "\x09"}},
			Type: weft.TypeRequest, Priority: 7, QoS: 1, Seq: 9, Retain: true,
		})
	}
}

func TestWriterGrows(t *testing.T) {
	out := start(t).Message(wefttest.Input{Payload: "write"})
	var want strings.Builder
	for i := range 1000 {
		want.WriteString(strconv.Itoa(i-500) + ",")
	}
	same(t, out.Payload, want.String())
	same(t, out.Attributes, attributes{{Name: "between", Value: "x"}})
}

func TestStateSurvivesASwap(t *testing.T) {
	g := start(t)
	g.Message(wefttest.Input{})
	next, err := g.Swap(&everything{}, `{"prefix": "q"}`)
	if err != nil {
		t.Fatal(err)
	}
	same(t, next.Tick(5).Effects[0].Payload, "1")
}

// TestNeeds: a hook that the plugin does not have is not asked for.
func TestNeeds(t *testing.T) {
	same(t, start(t).Needs(), weft.NeedsEverything().Without(weft.HookClose))
	g, err := wefttest.New(prefix{}, "{}")
	if err != nil {
		t.Fatal(err)
	}
	const messages, topic, context = 1 << 33, 1 << 40, 1 << 42
	same(t, uint64(g.Needs()), uint64(messages|topic|context|64))
	same(t, weft.NeedsNothing().Payload(7).WholePayload().Attributes().Topic().Context().Listener(), weft.NeedsEverything())
	same(t, g.Open(wefttest.Input{}).Decision, wefttest.Continue())
	same(t, g.Resume(wefttest.Input{}).Decision, wefttest.Continue())
	same(t, len(g.Tick(1).Effects), 0)
	next, err := g.Swap(prefix{}, "{}")
	same(t, err, nil)
	same(t, next.Close(wefttest.Input{}).Decision, wefttest.Continue())
}

type prefix struct{}

func (prefix) Init([]byte) error { return nil }

func (prefix) Needs() weft.Needs { return weft.NeedsNothing().Topic().Context().Payload(64) }

func (prefix) Message(*weft.Message) weft.Verdict { return weft.Continue() }

func TestAttributeLimits(t *testing.T) {
	for _, a := range []weft.Attribute{{Name: ""}, {Name: strings.Repeat("n", 65536)}, {Name: "n", Value: make([]byte, 65536)}} {
		g, err := wefttest.New(setter{a}, "{}")
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a name of %d and a value of %d bytes were taken", len(a.Name), len(a.Value))
				}
			}()
			g.Message(wefttest.Input{})
		}()
	}
}

type setter struct{ weft.Attribute }

func (setter) Init([]byte) error { return nil }

func (s setter) Message(m *weft.Message) weft.Verdict {
	m.SetAttribute(s.Name, s.Value)
	return weft.Continue()
}

func TestHostFunctions(t *testing.T) {
	g := start(t)
	g.SetTime(7)
	g.Do(func() {
		log.Info("hello")
		c, err := metrics.NewCounter("seen_total")
		same(t, err, nil)
		c.Add(2)
		c.Add(3)
		_, err = metrics.NewGauge("Seen")
		same(t, err, weft.ErrInvalid)
		h, err := metrics.NewHistogram("sizes")
		same(t, err, nil)
		h.Observe(1.5)
		same(t, []int64{clock.Wall(), clock.Monotonic()}, []int64{7, 7})
		a, _ := random.Number()
		if b, _ := random.Number(); a == b {
			t.Error("the same random number twice")
		}
		same(t, random.Fill(make([]byte, 3<<20)), nil)
	})
	same(t, g.Logs(), []string{"hello"})
	if v, ok := g.Metric("seen_total"); v != 5 || !ok {
		t.Errorf("seen_total %v %v", v, ok)
	}
	if v, _ := g.Metric("sizes"); v != 1 {
		t.Errorf("sizes %v", v)
	}
}

func TestKeys(t *testing.T) {
	g := start(t)
	missing := func(key string) {
		t.Helper()
		if v, ok, err := kv.Get(key); v != nil || ok || err != nil {
			t.Errorf("%s: %q %v %v", key, v, ok, err)
		}
	}
	g.Do(func() {
		missing("k")
		same(t, kv.Set("k", []byte("v"), 1), nil)
		v, ok, err := kv.Get("k")
		same(t, []any{string(v), ok, err}, []any{"v", true, nil})
	})
	g.SetTime(2_000_000)
	g.Do(func() {
		missing("k")
		same(t, kv.Set("long", make([]byte, 1000), kv.Forever), nil)
		v, _, _ := kv.Get("long")
		same(t, len(v), 1000)
		n, ok, err := kv.GetInto("long", make([]byte, 10))
		same(t, []any{n, ok, err}, []any{1000, true, nil})
		revision, err := kv.CompareAndSet("n", 0, []byte("1"), kv.Minute)
		same(t, []any{revision, err}, []any{uint64(1), nil})
		_, err = kv.CompareAndSet("n", 0, []byte("2"), kv.Minute)
		same(t, err, weft.ErrConflict)
		revision, ok, _ = kv.Revision("n")
		same(t, []any{revision, ok}, []any{uint64(1), true})
		for _, want := range []bool{true, false} {
			ok, err := kv.Delete("n")
			same(t, []any{ok, err}, []any{want, nil})
		}
		for _, step := range [][2]int64{{-5, -5}, {3, -2}} {
			sum, err := kv.Add("sum", step[0], kv.Forever)
			same(t, []any{sum, err}, []any{step[1], nil})
		}
		_, err = kv.Add("long", 1, kv.Forever)
		same(t, err, weft.ErrInvalid)
		same(t, kv.Set(strings.Repeat("k", 1025), nil, kv.Forever), weft.ErrLimit)
		same(t, weft.ErrLimit.Error(), "over a limit")
	})
}
