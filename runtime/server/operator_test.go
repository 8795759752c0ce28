package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const operated = `
listeners:
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: "raw/lines", acknowledge: "", subscribe: ["to/lines"]}
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt, limits: {connections: 7}}
routes:
  - {name: alarms, when: {topic: "alarm/#", priority: ">=4"}, to: [subscribers, "queue:ops"], qos: 1}
  - {name: lined, when: {listener: lines, attributes: {kind: "a"}}, to: ["topic:copy/{kind}"]}
default_route: ["dead-letter"]
loops: 2
api: {address: "127.0.0.1:0"}
`

// The listeners say where they are and what they have counted.
func TestListenersAreShown(t *testing.T) {
	f := start(t, "auto", operated)
	c := f.dial("lines")
	if _, err := fmt.Fprintln(c, "hello"); err != nil {
		t.Fatal(err)
	}
	f.until("the message is counted", func() bool { return f.Listeners()[0].GetMessages() == 1 })
	client := weftv1connect.NewListenersClient(http.DefaultClient, f.url())
	r, err := client.Get(t.Context(), connect.NewRequest(&weftv1.ListenersGetRequest{Name: "lines"}))
	if err != nil {
		t.Fatal(err)
	}
	l := r.Msg.GetListener()
	if l.GetConnections() != 1 || l.GetAccepted() != 1 || l.GetPayloadBytes() != 5 || l.GetProtocol() != "line" || !strings.HasPrefix(l.GetAddress(), "127.0.0.1:") || strings.HasSuffix(l.GetAddress(), ":0") {
		t.Errorf("lines: %v", l)
	}
	all, err := client.List(t.Context(), connect.NewRequest(&weftv1.ListenersListRequest{}))
	if err != nil || len(all.Msg.GetListeners()) != 2 || all.Msg.GetListeners()[1].GetConnectionsLimit() != 7 {
		t.Errorf("all: %v, %v", all, err)
	}
	if _, err = client.Get(t.Context(), connect.NewRequest(&weftv1.ListenersGetRequest{Name: "none"})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("one that is not there: %v", err)
	}
}

// A message is explained as the router sends the real one.
func TestRoutesAreExplained(t *testing.T) {
	f := start(t, "auto", operated)
	sub, err := f.Bus().Subscribe(t.Context(), []string{"alarm/+", "copy/a"}, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for _, c := range []struct {
		asks   *weftv1.RoutesExplainRequest
		route  string
		places string
		why    string // of the first route
	}{
		{&weftv1.RoutesExplainRequest{Topic: "alarm/1", Priority: 5}, "alarms", "subscribers=1 queue:ops=0", ""},
		{&weftv1.RoutesExplainRequest{Topic: "alarm/1", Priority: 3}, "", "dead-letter=1", "priority: 4-7"},
		{&weftv1.RoutesExplainRequest{Topic: "x", Listener: "lines", Attributes: map[string]string{"kind": "a"}}, "lined", "topic:copy/a=1", "topic: alarm/#"},
		{&weftv1.RoutesExplainRequest{Topic: "x", Listener: "lines", Attributes: map[string]string{"kind": "b"}}, "", "dead-letter=1", "topic: alarm/#"},
	} {
		got, err := f.Explain(c.asks)
		if err != nil {
			t.Fatal(err)
		}
		var places []string
		for _, p := range got.GetPlaces() {
			places = append(places, fmt.Sprintf("%s=%d", p.GetTo(), p.GetReceivers()))
		}
		if got.GetRoute() != c.route || got.GetDefault() != (c.route == "") || strings.Join(places, " ") != c.places || got.GetAsked()[0].GetWhy() != c.why {
			t.Errorf("%v: %v", c.asks, got)
		}
	}
	if _, err := f.Explain(&weftv1.RoutesExplainRequest{Topic: "a/#"}); !errors.Is(err, admin.ErrInvalidMessage) {
		t.Errorf("no topic: %v", err)
	}
	if _, err := f.Explain(&weftv1.RoutesExplainRequest{Topic: "a", Listener: "none"}); !errors.Is(err, admin.ErrUnknown) {
		t.Errorf("no listener: %v", err)
	}
	if _, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("alarm/1"), Priority: 5}); err != nil {
		t.Fatal(err)
	}
	f.until("the route has counted it", func() bool { return f.Routes()[0].GetMessages() == 1 })
	if r := f.Routes(); len(r) != 3 || !r[2].GetDefault() || !slices.Equal(r[0].GetWhen(), []string{"topic: alarm/#", "priority: 4-7"}) {
		t.Errorf("the routes: %v", r)
	}
}

// The configuration is shown with its origins, and one that is wrong is told so.
func TestConfigIsShown(t *testing.T) {
	f := start(t, "auto", operated)
	client := weftv1connect.NewConfigClient(http.DefaultClient, f.url())
	r, err := client.Get(t.Context(), connect.NewRequest(&weftv1.ConfigGetRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, v := range r.Msg.GetValues() {
		found[v.GetKey()] = v.GetValue() + " from " + v.GetOrigin()
	}
	if found["loops"] != "2 from test.yaml:9" || found["drain"] != "10s from default" || !r.Msg.GetStatus().GetGood() {
		t.Errorf("loops %q, drain %q, %v", found["loops"], found["drain"], r.Msg.GetStatus())
	}
	check := func(text, format string) (*weftv1.ConfigCheckResponse, error) {
		r, err := client.Check(t.Context(), connect.NewRequest(&weftv1.ConfigCheckRequest{Text: text, Format: format}))
		if err != nil {
			return nil, err
		}
		return r.Msg, nil
	}
	if got, err := check(strings.Replace(operated, "loops: 2", "loops: 3", 1), ""); err != nil || len(got.GetProblems()) != 0 || !slices.Equal(got.GetRestart(), []string{"loops"}) {
		t.Errorf("another number of loops: %v %v", got, err)
	}
	if got, err := check("listenrs: []\n", "yaml"); err != nil || len(got.GetProblems()) == 0 || !strings.Contains(got.GetProblems()[0], "listenrs") {
		t.Errorf("a key that is none: %v %v", got, err)
	}
	if _, err := check("{}", "xml"); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a format that is none: %v", err)
	}
	if _, err := check(strings.Repeat("#\n", 1<<20), ""); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a text that is too long: %v", err)
	}
	if _, err := client.Reload(t.Context(), connect.NewRequest(&weftv1.ConfigReloadRequest{})); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a configuration that was handed over is read again: %v", err)
	}
}

// Weft ends by the API as it does by a signal: not ready at once, nothing lost.
func TestDrainByTheAPI(t *testing.T) {
	f := start(t, "auto", operated)
	client := weftv1connect.NewLifecycleClient(http.DefaultClient, f.url())
	for _, bad := range []*durationpb.Duration{durationpb.New(0), durationpb.New(-time.Second), durationpb.New(2 * time.Hour)} {
		if _, err := client.Drain(t.Context(), connect.NewRequest(&weftv1.LifecycleDrainRequest{Deadline: bad})); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("within %v: %v", bad.AsDuration(), err)
		}
	}
	c := f.dial("lines")
	f.until("it is connected", func() bool { return f.Listeners()[0].GetConnections() == 1 })
	r, err := client.Drain(t.Context(), connect.NewRequest(&weftv1.LifecycleDrainRequest{Deadline: durationpb.New(20 * time.Second)}))
	if err != nil {
		t.Fatal(err)
	}
	if f.State() == life.Running || r.Msg.GetDeadline().AsDuration() != 20*time.Second {
		t.Errorf("it is %s, and answers %v", f.State(), r.Msg)
	}
	c.over()
	if err := <-f.ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	f.ended <- nil
	if _, err := f.Drain(t.Context(), 0); !errors.Is(err, admin.ErrDraining) {
		t.Errorf("once more: %v", err)
	}
}

// Sessions of every kind are listed, shown and ended.
func TestSessionsAreShown(t *testing.T) {
	f := start(t, "auto", withLoops(lastingNodes, 2)+"\n")
	a := f.dial("nodes")
	a.tells(7, "remember color red\nsubscribe news 0")
	a.answers(7, "color", "red")
	list := func(which admin.SessionsWanted) *weftv1.SessionsListResponse {
		t.Helper()
		which.Size = 100
		r, err := f.Sessions().List(t.Context(), which)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := list(admin.SessionsWanted{})
	if len(r.GetSessions()) != 1 || r.GetSessions()[0].GetName() != "7" || r.GetSessions()[0].GetConnection() == "" || r.GetSessions()[0].GetSubscriptions() != 1 {
		t.Fatalf("one that is there: %v", r)
	}
	one, err := f.Sessions().Get(t.Context(), r.GetSessions()[0].GetId())
	if err != nil || one.GetContext()["color"] != "red" || !slices.Equal(one.GetSubscriptions(), []string{"news"}) {
		t.Errorf("it: %v %v", one, err)
	}
	subscribed, err := f.Subscriptions().List(&weftv1.SubscriptionsListRequest{Topic: "news"}, 10)
	if err != nil || subscribed.GetChosen() != 1 || subscribed.GetSubscriptions()[0].GetSession() != r.GetSessions()[0].GetId() {
		t.Errorf("who gets the news: %v %v", subscribed, err)
	}
	_ = a.Close()
	f.await("weft_sessions_remembered", 1)
	r = list(admin.SessionsWanted{Away: true, Contains: "7"})
	if len(r.GetSessions()) != 1 || r.GetSessions()[0].GetExpires() == nil || r.GetSessions()[0].GetName() != "7" {
		t.Fatalf("one that is away: %v", r)
	}
	if one, err = f.Sessions().Get(t.Context(), r.GetSessions()[0].GetId()); err != nil || one.GetContext()["color"] != "red" {
		t.Errorf("what is remembered: %v %v", one, err)
	}
	if err := f.Sessions().End(t.Context(), r.GetSessions()[0].GetId()); err != nil {
		t.Fatal(err)
	}
	if err := f.Sessions().End(t.Context(), r.GetSessions()[0].GetId()); !errors.Is(err, admin.ErrGone) {
		t.Errorf("it has ended: %v", err)
	}
	f.await("weft_sessions_remembered", 0)

	b := f.dial("nodes")
	b.tells(8, "remember color blue")
	b.answers(8, "color", "blue")
	if err := f.Sessions().End(t.Context(), list(admin.SessionsWanted{}).GetSessions()[0].GetId()); err != nil {
		t.Fatal(err)
	}
	b.over()
	f.until("nothing is remembered of it", func() bool { return list(admin.SessionsWanted{}).GetAll() == 0 })
	for _, id := range []string{"", "0-1-1", "stay-zz", "stay-1", "away-1", "stay-ff80000000000001"} {
		if _, err := f.Sessions().Get(t.Context(), id); !errors.Is(err, admin.ErrGone) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// Of MQTT's sessions too: one whose client is away, and one whose client is there.
func TestMQTTSessionsAreEnded(t *testing.T) {
	eachMQTT(t, mqttConfig, func(t *testing.T, f *fixture, v packet.Version) {
		away := f.mqtt(v, "away", persistent)
		away.subscribes(to("a/+", 1))
		away.breaks(f)
		here := f.mqtt(v, "here", persistent)
		here.subscribes(to("b", 2), to("c", 0))
		r, err := f.Sessions().List(t.Context(), admin.SessionsWanted{Size: 10})
		if err != nil || len(r.GetSessions()) != 2 {
			t.Fatalf("%v %v", r, err)
		}
		first, second := r.GetSessions()[0], r.GetSessions()[1]
		if first.GetName() != "away" || first.GetConnection() != "" || first.GetSubscriptions() != 1 || second.GetName() != "here" || second.GetConnection() == "" || second.GetSubscriptions() != 2 {
			t.Errorf("%v", r)
		}
		list := func(q *weftv1.SubscriptionsListRequest) (patterns []string) {
			t.Helper()
			r, err := f.Subscriptions().List(q, 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range r.GetSubscriptions() {
				patterns = append(patterns, one.GetPattern())
			}
			return patterns
		}
		if got := list(&weftv1.SubscriptionsListRequest{Session: second.GetId()}); !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("of the one that is there: %v", got)
		}
		if got := list(&weftv1.SubscriptionsListRequest{Pattern: "a/*"}); !slices.Equal(got, []string{"a/+"}) {
			t.Errorf("of a pattern: %v", got)
		}
		for _, one := range r.GetSessions() {
			if err := f.Sessions().End(t.Context(), one.GetId()); err != nil {
				t.Fatal(err)
			}
		}
		f.until("both have ended", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			r, err := f.Sessions().List(ctx, admin.SessionsWanted{Size: 10})
			return err == nil && r.GetAll() == 0
		})
		if got := list(&weftv1.SubscriptionsListRequest{}); len(got) != 0 {
			t.Errorf("subscriptions are left: %v", got)
		}
		here.ends(packet.AdministrativeAction)
		again := f.mqttDial(v)
		if ack := again.connect("away", persistent); ack.SessionPresent {
			t.Error("the session that was ended is there again")
		}
	})
}

// Dead letters end with the process: who drains is told how many, before and after, and so
// does the log.
func TestADrainSaysWhichLettersEnd(t *testing.T) {
	f := startFiltering(t, "auto", `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, topic: t, acknowledge: ""}]
routes: [{name: graves, when: {topic: t}, to: [dead-letter]}]
dead_letter: {topic: ""}
api: {address: "127.0.0.1:0"}
`)
	if _, err := f.dial("lines").Write([]byte(strings.Repeat("x\n", 20))); err != nil {
		t.Fatal(err)
	}
	f.await("weft_dead_letters", 20)
	looked, err := weftv1connect.NewOverviewClient(http.DefaultClient, f.url()).Get(t.Context(), connect.NewRequest(&weftv1.OverviewGetRequest{}))
	if n := looked.Msg.GetSnapshot().GetSignals().GetDeadLetters(); err != nil || n != 20 {
		t.Errorf("the overview tells of %d: %v", n, err)
	}
	r, err := weftv1connect.NewLifecycleClient(http.DefaultClient, f.url()).Drain(t.Context(), connect.NewRequest(&weftv1.LifecycleDrainRequest{}))
	if err != nil || r.Msg.GetDeadLetters() != 20 {
		t.Errorf("the answer tells of %d: %v", r.Msg.GetDeadLetters(), err)
	}
	if err := <-f.ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	f.ended <- nil
	for _, want := range []string{"kept in memory and end with this process", "dead_letters=20", "level=WARN msg=stopped", "dead_letters_discarded=20"} {
		if !strings.Contains(f.log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, f.log)
		}
	}
	if n := f.MetricOf("weft_dead_letters_discarded_total", "ended"); n != 20 {
		t.Errorf("%v are counted", n)
	}
}
