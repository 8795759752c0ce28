package server_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// durableRoute is what the routes of a durable configuration say at first.
const durableRoute = `  - {name: kept, when: {topic: "d/#"}, to: [subscribers], durable: {}}` + "\n"

// durableTurns are what the configuration becomes while messages of its durable route are
// under way: each is put in the place of the route above.
var durableTurns = []struct {
	routes, more string
	restart      string // what is said to wait for one
}{
	{strings.Replace(durableRoute, `"d/#"}`, `"d/#", listener: mqtt}`, 1), "", "[]"},
	{strings.Replace(durableRoute, "to:", "chain: [stays], to:", 1), "plugins: {stays: STAYS}", "[]"},
	{strings.Replace(durableRoute, "to:", "chain: [stays, comes], to:", 1), "plugins: {stays: STAYS, comes: STAYS}", "[]"},
	{strings.Replace(durableRoute, "to:", "chain: [comes], to:", 1), "plugins: {comes: STAYS}", "[]"},
	{"  - {name: before, when: {topic: other}, to: [all]}\n" + durableRoute, "", "[]"},
	{"  - {name: behind, when: {topic: other}, to: [all]}\n", "", "[routes.kept]"},
	{strings.Replace(durableRoute, "name: kept", "name: renamed", 1), "", "[routes.kept routes.renamed]"},
	{strings.Replace(durableRoute, "to: [subscribers]", `to: ["queue:q"]`, 1), "", "[routes.kept.to]"},
	{strings.Replace(durableRoute, ", durable: {}", "", 1), "", "[routes.kept.durable]"},
	{"", "", "[routes.kept]"},
	{durableRoute, "", "[]"},
}

// A durable route changes, goes and gets another name while some of its messages wait for
// the log and others for their receiver: every one that was acknowledged comes, once and in
// order, and every publisher is answered.
func TestReloadsUnderADurableRoute(t *testing.T) {
	config := strings.Replace(withLoops(durableConfig(t.TempDir(), ""), 2), "frame: mqtt}", "frame: mqtt, mqtt: {window: 12}}", 1)
	f := startFiltering(t, "auto", config)
	router := `{file: "std:topic-router", config: {rules: [{when: {alarm: high}, topic: never}]}}`
	const publishers, window, most = 3, 8, 200_000
	sub := f.mqtt(packet.V5, "sub")
	sub.subscribes(to("d/#", 1))
	var done atomic.Bool
	var all sync.WaitGroup
	sent := make([]int, publishers)
	faults := make(chan error, publishers+1)
	for who := range publishers {
		c, _, err := connectFlaky(f.address("mqtt"), fmt.Sprint("pub", who))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		all.Go(func() {
			var err error
			sent[who], err = c.pipelines(fmt.Sprint("d/", who), 0, window, func(n int) bool { return done.Load() || n >= most })
			faults <- err
		})
	}
	last, _, err := connectFlaky(f.address("mqtt"), "last")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = last.Close() })
	go func() {
		all.Wait()
		_, err := last.pipelines(fmt.Sprint("d/", publishers), 0, 1, func(n int) bool { return n == 1 }) // the last in the log
		faults <- err
	}()
	turned := make(chan error, 1)
	go func() {
		defer done.Store(true)
		turned <- func() error {
			for n := range 3 * len(durableTurns) {
				turn := durableTurns[n%len(durableTurns)]
				text := strings.Replace(config, durableRoute, turn.routes, 1)
				if turn.routes == "" {
					text = strings.Replace(text, "routes:\n", "", 1)
				}
				text += strings.ReplaceAll(turn.more, "STAYS", router) + "\n"
				f.yaml.Store(&text)
				if err := f.Reload(t.Context()); err != nil {
					return err
				}
				if got := fmt.Sprint(f.ConfigStatus().Restart); got != turn.restart {
					return fmt.Errorf("%s: %s wait for a restart, not %s", turn.routes, got, turn.restart)
				}
			}
			return nil
		}()
	}()
	// Of each publisher the subscriber gets one after another, and acknowledges them late.
	got, unacked := make([]int, publishers), []uint16(nil)
	for {
		m := sub.hears()
		var who, n int
		if _, err := fmt.Sscanf(string(m.Topic)+" "+string(m.Payload), "d/%d %d", &who, &n); err != nil || who < publishers && n != got[who] {
			t.Fatalf("got %s %q, want the one behind %v", m.Topic, m.Payload, got)
		}
		if who == publishers {
			break
		}
		got[who]++
		if unacked = append(unacked, m.ID); len(unacked) == window {
			for _, id := range unacked {
				sub.acks(packet.TypePuback, id)
			}
			unacked = unacked[:0]
		}
	}
	if err := <-turned; err != nil {
		t.Error(err)
	}
	for range publishers + 1 {
		if err := <-faults; err != nil {
			t.Error(err)
		}
	}
	f.await("weft_log_lag", 0)
	f.end()
	if l := f.Ledger(); l.Lost() != 0 || sum(got) != sum(sent) {
		t.Errorf("%d of %d came: %+v", sum(got), sum(sent), l)
	}
	t.Logf("%d messages over %d reloads", sum(got), 3*len(durableTurns))
}

func sum(list []int) (n int) {
	for _, one := range list {
		n += one
	}
	return n
}

// pipelines publishes numbers from first on, so many of them unacknowledged at a time,
// until it is enough and all below acked are acknowledged, each in its turn.
func (f *flaky) pipelines(topic string, first, window int, enough func(n int) bool) (acked int, err error) {
	acked = first
	for sent := first; ; {
		for ; sent < acked+window && !enough(sent); sent++ {
			m := packet.Publish{Topic: []byte(topic), Payload: fmt.Append(nil, sent), QoS: 1, ID: uint16(sent%65000 + 1)}
			if _, err := f.Write(packet.AppendPublish(nil, &m, packet.V5)); err != nil {
				return acked, err
			}
		}
		if acked == sent {
			return acked, nil
		}
		b, err := f.next()
		if err != nil {
			return acked, err
		}
		var ack packet.Ack
		if err := ack.Decode(b, packet.V5); err != nil || ack.Type != packet.TypePuback || ack.Reason != packet.Success || ack.ID != uint16(acked%65000+1) {
			return acked, errors.Join(fmt.Errorf("%d was answered with %+v", acked, ack), err)
		}
		acked++
	}
}

// What a durable route that stays until a restart stands on stays with it: the listener
// that its condition names, the plugins of its chain, the pool where it goes.
func TestADurableRouteKeepsWhatItStandsOn(t *testing.T) {
	config := withLoops(durableConfig(t.TempDir(), ""), 2)
	config = strings.Replace(config, `{topic: "d/#"}`, `{listener: lines}, chain: [stays]`, 1) +
		"plugins: {stays: {file: \"std:topic-router\", config: {rules: [{when: {alarm: high}, topic: never}]}}}\n"
	f := startFiltering(t, "auto", config)
	sub, lines := f.mqtt(packet.V5, "sub"), f.dial("lines")
	sub.subscribes(to("d/#", 1))
	says := func(what string) {
		t.Helper()
		if got := lines.ask(what); got != "ACK: "+what {
			t.Fatalf("got %q", got)
		}
		sub.gets(what)
	}
	says("before")
	text := config[:strings.Index(config, "  - {name: lines")] + config[strings.Index(config, "routes:"):]
	text = strings.Replace(text[:strings.Index(text, "plugins:")], durableLine(text), "", 1)
	text = strings.Replace(text, "routes:\n", "", 1)
	f.yaml.Store(&text)
	if err := f.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(f.ConfigStatus().Restart); got != "[listeners.lines plugins.stays routes.kept]" {
		t.Error(got)
	}
	says("after")
}

// durableLine is the line of the durable route.
func durableLine(config string) string {
	from := strings.Index(config, "  - {name: kept")
	return config[from : from+strings.Index(config[from:], "\n")+1]
}

// A durable route that the configuration has no more goes on until a restart, as does one
// of another name. From then on its log stays as it is, counted and said, and who had not
// had everything out of it gets the rest when the route has its name again: whoever was
// there meanwhile, too.
func TestTheLogOfARouteThatIsGone(t *testing.T) {
	config := withLoops(durableConfig(t.TempDir(), ""), 2)
	for what, without := range map[string]string{
		"removed": strings.Replace(config, "routes:\n"+durableRoute, "", 1),
		"renamed": strings.Replace(config, "name: kept", "name: renamed", 1),
	} {
		t.Run(what, func(t *testing.T) {
			folder := t.TempDir()
			config, without := inFolder(config, folder), inFolder(without, folder)
			f := startFiltering(t, "auto", config)
			for _, name := range []string{"stays away", "looks in"} {
				sub := f.mqtt(packet.V5, name, persistent)
				sub.subscribes(to("d/#", 1))
				sub.leaves()
			}
			pub := f.mqtt(packet.V5, "pub")
			pub.publishes(message("d/0", "first", 1))
			f.yaml.Store(&without)
			if err := f.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			pub.publishes(message("d/0", "second", 1))
			if n := f.Metric("weft_log_appended_total"); n != 2 {
				t.Errorf("%v messages are in the log", n)
			}
			f.end()

			f = startFiltering(t, "auto", without)
			if n := f.Metric("weft_log_unrouted_entries"); n != 2 || !strings.Contains(f.log.String(), "a log has no durable route") {
				t.Errorf("%v entries without a route:\n%s", n, f.log)
			}
			sub := f.mqttDial(packet.V5)
			if ack := sub.connect("looks in", persistent); !ack.SessionPresent {
				t.Error("the session is gone")
			}
			pub = f.mqtt(packet.V5, "pub")
			pub.publishes(message("d/0", "meanwhile", 1))
			sub.gets("meanwhile")
			sub.leaves()
			f.end()

			f = startFiltering(t, "auto", config)
			if n := f.Metric("weft_log_unrouted_entries"); n != 0 && what == "removed" {
				t.Errorf("%v entries without a route", n)
			}
			for name, want := range map[string][]string{"looks in": {"first", "second"}, "stays away": {"first", "second"}} {
				sub := f.mqttDial(packet.V5)
				if ack := sub.connect(name, persistent); !ack.SessionPresent {
					t.Error("the session is gone")
				}
				var got []string
				for range want {
					m := sub.hears()
					sub.acks(packet.TypePuback, m.ID)
					if string(m.Payload) == "meanwhile" { // it waited for the one that was away
						m = sub.hears()
						sub.acks(packet.TypePuback, m.ID)
					}
					got = append(got, string(m.Payload))
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s got %q", name, got)
				}
			}
		})
	}
}

// inFolder is a durable configuration with its log in another folder.
func inFolder(config, folder string) string {
	from := strings.Index(config, "data: ") + len("data: ")
	return config[:from] + fmt.Sprintf("%q", folder) + config[from+strings.Index(config[from:], ","):]
}
